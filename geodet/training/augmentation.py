"""Augmentation of training chips: the place of a crop in its image, and its pixel values."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.config import AugmentConfig
from geodet.geometry.arrays import Bools, Floats
from geodet.geometry.oriented_boxes import cut_oriented, hulls, map_oriented
from geodet.models.input_values import ABSURD
from geodet.raster.chip import Chip
from geodet.training.band_statistics import BandStatistics
from geodet.training.pixel_variations import compose_variations

__all__ = ["ChipAugmentation", "Crop", "Frame", "cut_boxes", "share_boxes", "share_oriented"]

Frame = tuple[int, int, int, int]
"""A part of a crop: x1 y1 x2 y2 in its pixels."""

_MIN_VISIBLE = 0.4  # of a box, for a crop to count it as an object
_MIN_SIDE = 1.0  # pixels of its visible part likewise
_QUARTER_TURN = np.array([[0.0, 1.0], [-1.0, 0.0]])  # counterclockwise where y runs down


@dataclass(frozen=True, slots=True)
class Crop:
    """A square window of an image, with an angle, a zoom and one of the square's symmetries."""

    column: int
    """First column in the image; negative where the crop begins before it."""
    row: int
    """First row likewise."""
    side: int
    """Side of the window in pixels of the image."""
    size: int
    """Side of the crop in pixels of its own."""
    turns: int = 0
    """Quarter turns, counterclockwise."""
    is_mirrored: bool = False
    """Whether left and right are swapped, after the turns."""
    angle: float = 0.0
    """Rotation of the image around the window's centre in radians, x axis towards y axis."""

    @property
    def frame(self) -> Frame:
        """The whole crop."""
        return 0, 0, self.size, self.size

    @staticmethod
    def draw(
        width: int,
        height: int,
        boxes: Floats,
        *,
        size: int,
        augment: AugmentConfig,
        random: np.random.Generator,
    ) -> Crop:
        """Draw a crop that lies within the image, or that contains a smaller image.

        Args:
            width: Columns of the image.
            height: Rows of the image.
            boxes: (N, 4) objects of the image, x1 y1 x2 y2 in pixels.
            size: Side of the crop in pixels of its own.
            augment: Ranges of the draws.
            random: Source of all draws.
        """
        zoom = random.uniform(1 / (1 + augment.scale), 1 + augment.scale)
        side = max(1, round(size / zoom))
        room = np.array([width - side, height - side])
        corner = random.integers(np.minimum(0, room), np.maximum(0, room), endpoint=True)
        if len(boxes) and random.random() < augment.object_share:
            place = random.choice(boxes).reshape(2, 2).mean(axis=0) - side * random.random(2)
            corner = place.astype(np.int64).clip(np.minimum(0, room), np.maximum(0, room))
        turns = random.integers(4) if augment.quarter_turns else 0
        mirrored = random.integers(2)
        angle = np.deg2rad(random.uniform(-augment.rotate, augment.rotate))
        symmetry = (int(turns), bool(mirrored)) if augment.flips else (0, False)
        return Crop(int(corner[0]), int(corner[1]), side, size, *symmetry, float(angle))

    def cut(self, values: NDArray[Any], *, beyond: str = "edge") -> NDArray[Any]:
        """Cut the window out of (..., H, W), before zoom and symmetry: (..., side, side).

        Beyond the image its edge is repeated, so that no dark frame bleeds into it; with
        ``beyond="constant"`` it is filled with zeros.
        """
        if not self.angle:
            return _cut(values, self.column, self.row, self.side, beyond=beyond)
        # the smallest upright square around the tilted window
        side = math.ceil(self.side * (abs(math.cos(self.angle)) + abs(math.sin(self.angle)))) + 2
        margin = (side - self.side) // 2
        around = _cut(values, self.column - margin, self.row - margin, side, beyond=beyond)
        return self._upright(around, margin)

    def _upright(self, around: NDArray[Any], margin: int) -> NDArray[Any]:
        """Rotate (..., S, S) around the centre of the window, which begins at the margin."""
        import cv2  # here, because only rotated crops need it

        turn, middle = self._rotation, np.full(2, self.side / 2)
        # cv2 counts pixels from their centres and takes the map from the result to its source
        offset = turn.T @ (0.5 - middle) + middle + margin - 0.5
        matrix = np.column_stack([turn.T, offset])
        bands = around.reshape(-1, *around.shape[-2:])
        is_mask = around.dtype == np.bool_
        how = (cv2.INTER_NEAREST if is_mask else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
        turned = [
            cv2.warpAffine(band.astype(_turnable(band.dtype)), matrix, (self.side,) * 2, flags=how)
            for band in bands
        ]
        upright = np.stack(turned).reshape(*around.shape[:-2], self.side, self.side)
        return upright.astype(around.dtype)

    def turn(self, values: NDArray[Any]) -> NDArray[Any]:
        """Apply the symmetry to (size, size, ...)."""
        turned = np.rot90(values, self.turns)
        return turned[:, ::-1] if self.is_mirrored else turned

    def move(self, boxes: Floats, oriented: Floats | None = None, *, whole: bool = False) -> Floats:
        """Convert (N, 4) boxes to pixels of the crop, without cutting them at its edges.

        A box that is rotated by an angle becomes the bounds of the rotated box, which is right for
        objects that fill their boxes. Of (N, 5) oriented boxes of the same objects the bounds are
        right in any case. A box around a point keeps its size.

        Args:
            boxes: x1 y1 x2 y2 in pixels of the image.
            oriented: Oriented boxes of the same objects.
            whole: Whether the boxes are drawn around points.
        """
        if self.angle and oriented is not None:
            return hulls(self.move_oriented(oriented))
        inside = boxes - self._corner
        if self.angle:
            inside = self._turned(inside) if whole else self._tilted(inside)
        x1, y1, x2, y2 = (inside * (self.size / self.side)).T
        for _ in range(self.turns):
            x1, y1, x2, y2 = y1, self.size - x2, y2, self.size - x1
        if self.is_mirrored:
            x1, x2 = self.size - x2, self.size - x1
        return np.stack([x1, y1, x2, y2], axis=1)

    def move_oriented(self, oriented: Floats) -> Floats:
        """Convert (N, 5) oriented boxes likewise; they turn with the image, exactly."""
        middle, zoom = self.side / 2, self.size / self.side
        symmetry = np.linalg.matrix_power(_QUARTER_TURN, self.turns)
        if self.is_mirrored:
            symmetry = np.diag([-1.0, 1.0]) @ symmetry
        around = oriented - np.array([self.column + middle, self.row + middle, 0, 0, 0])
        turned = map_oriented(around, zoom * symmetry @ self._rotation)
        moved: Floats = turned + np.array([self.size / 2, self.size / 2, 0, 0, 0])
        return moved

    def _tilted(self, boxes: Floats) -> Floats:
        x, y = boxes[:, [0, 2, 2, 0]], boxes[:, [1, 1, 3, 3]]
        corners = np.stack([x, y], axis=2) - self.side / 2  # (N, 4, 2), four corners in turn
        turned = corners @ self._rotation.T + self.side / 2
        return np.concatenate([turned.min(axis=1), turned.max(axis=1)], axis=1)

    def _turned(self, boxes: Floats) -> Floats:
        centres, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
        turned = (centres - self.side / 2) @ self._rotation.T + self.side / 2
        return np.concatenate([turned - halves, turned + halves], axis=1)

    @property
    def _rotation(self) -> Floats:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.array([[cos, -sin], [sin, cos]])

    @property
    def _corner(self) -> Floats:
        return np.array([self.column, self.row] * 2, np.float64)


def _cut(values: NDArray[Any], column: int, row: int, side: int, *, beyond: str) -> NDArray[Any]:
    """Cut a square that may reach over the edges of (..., H, W)."""
    height, width = values.shape[-2:]
    x1, x2 = np.clip([column, column + side], 0, width)
    y1, y2 = np.clip([row, row + side], 0, height)
    part = values[..., y1:y2, x1:x2]
    top, left = y1 - row, x1 - column
    if part.shape[-2:] == (side, side):
        return part
    rows, columns = (top, side - top - (y2 - y1)), (left, side - left - (x2 - x1))
    around = [(0, 0)] * (values.ndim - 2) + [rows, columns]
    padded: NDArray[Any] = np.pad(part, around, mode=beyond)  # type: ignore[call-overload]
    return padded


def _turnable(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype that cv2 can rotate and that holds the values."""
    if dtype == np.bool_:
        return np.dtype(np.uint8)
    return dtype if dtype in (np.uint8, np.uint16, np.int16) else np.dtype(np.float32)


def share_boxes(boxes: Floats, frame: Frame, *, whole: bool) -> tuple[Floats, Bools]:
    """Separate the objects of a crop, or of a part of it, from slivers that lie mostly outside.

    A box around what is visible is cut at the edge, as labels of cut objects are, and counts as an
    object if enough of it remains. A box around a point belongs to the frame that contains the
    point and is not cut: its centre would move off the point.

    Args:
        boxes: (N, 4) x1 y1 x2 y2 in pixels of the crop, not cut at its edges.
        frame: The crop, or the part of it.
        whole: Whether the boxes are drawn around points.

    Returns:
        (N, 4) boxes, and (N,) whether each is an object. The boxes of the others are their visible
        parts, with zero area where nothing is visible.
    """
    seen = cut_boxes(boxes, frame)
    if whole:
        is_object = _are_within((boxes[:, :2] + boxes[:, 2:]) / 2, frame)
        return np.where(is_object[:, None], boxes, seen), is_object
    sides, full = seen[:, 2:] - seen[:, :2], boxes[:, 2:] - boxes[:, :2]
    enough = sides.prod(axis=1) >= _MIN_VISIBLE * full.prod(axis=1)
    return seen, enough & (sides >= _MIN_SIDE).all(axis=1)


def cut_boxes(boxes: Floats, frame: Frame) -> Floats:
    """Return what a frame contains of (N, 4) boxes, with zero area where that is nothing."""
    return boxes.clip([*frame[:2]] * 2, [*frame[2:]] * 2)


def _are_within(centres: Floats, frame: Frame) -> Bools:
    is_inside = (centres >= frame[:2]) & (centres <= frame[2:])
    return np.asarray(is_inside.all(axis=1), np.bool_)


def share_oriented(oriented: Floats, frame: Frame, *, whole: bool) -> tuple[Floats, Bools]:
    """Separate the objects of a crop from slivers, as :func:`share_boxes` does.

    A box that the edge cuts becomes the box of the same angle around what is visible.

    Args:
        oriented: (N, 5) in pixels of the crop, not cut at its edges.
        frame: The crop, or the part of it.
        whole: Whether the boxes are drawn around points.

    Returns:
        (N, 5) boxes, and (N,) whether each is an object.
    """
    x1, y1, x2, y2 = frame
    corner = np.array([x1, y1, 0, 0, 0])
    seen = cut_oriented(oriented - corner, x2 - x1, y2 - y1) + corner
    if whole:
        is_object = _are_within(oriented[:, :2], frame)
        return np.where(is_object[:, None], oriented, seen), is_object
    enough = seen[:, 2:4].prod(axis=1) >= _MIN_VISIBLE * oriented[:, 2:4].prod(axis=1)
    return seen, enough & (seen[:, 3] >= _MIN_SIDE)


class ChipAugmentation:
    """Cuts a crop out of a chip and varies its light, its sharpness, its noise and its compression.

    Args:
        config: How much is varied.
        statistics: Of the training pixels. Other dtypes than uint8 are clipped to its quantiles, as
            :func:`geodet.models.inputs.standardise` does in detection, and varied between them.
        size: Side of the result in pixels.
    """

    def __init__(self, config: AugmentConfig, statistics: BandStatistics, *, size: int) -> None:
        self._config, self._statistics, self._size = config, statistics, size
        self._vary: Callable[..., dict[str, NDArray[Any]]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_vary": None}

    def __call__(
        self, chip: Chip, crop: Crop, *, source: np.random.Generator, seed: int
    ) -> tuple[NDArray[Any], Bools]:
        """Cut and vary a crop.

        Args:
            chip: The whole image.
            crop: The part of it, of this augmentation's size.
            source: Source of the draws.
            seed: Seed of albumentations' second source.

        Returns:
            (C, size, size) pixels, uint8 or float32 in the units of the data, and (size, size)
            whether each is valid.
        """
        # One source for all variations: with set_random_seed each would get a source of its own
        # that draws the same numbers, so that the blur would decide the noise.
        self._vary = self._vary or compose_variations(self._config, self._size)
        self._vary.set_random_state(source, random.Random(seed))  # type: ignore[attr-defined]
        varied = self._vary(
            image=self._to_augmentable(crop.cut(chip.pixels)),
            mask=crop.cut(chip.valid, beyond="constant").astype(np.uint8),
        )
        pixels = self._from_augmentable(crop.turn(varied["image"]), chip.pixels.dtype)
        return pixels, np.ascontiguousarray(crop.turn(varied["mask"])).astype(np.bool_)

    def _to_augmentable(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return (H, W, C) as albumentations expects it: uint8 unchanged, all else in [0, 1]."""
        if pixels.dtype == np.uint8:
            return np.array(pixels.transpose(1, 2, 0), order="C")  # the cache's is read-only
        low, high = self._range()
        scaled = (self._measured(pixels.transpose(1, 2, 0)) - low) / (high - low)
        unit: NDArray[Any] = np.clip(scaled, 0.0, 1.0).astype(np.float32)
        return unit

    def _measured(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Replace values that are not numbers or cannot be measurements by the mean: (H, W, C)."""
        mean, std = (np.asarray(v, np.float32) for v in self._statistics[:2])
        values = pixels.astype(np.float32)
        return np.where(np.abs(values - mean) < ABSURD * std, values, mean)

    def _from_augmentable(self, image: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return (C, H, W), uint8 or float32 in the units of the data."""
        if dtype != np.uint8:
            low, high = self._range()
            image = (image * (high - low) + low).astype(np.float32)
        return np.ascontiguousarray(image.transpose(2, 0, 1))

    def _range(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        low = np.asarray(self._statistics.low, np.float32)
        high = np.asarray(self._statistics.high, np.float32)
        return low, np.maximum(high, low + 1e-6)
