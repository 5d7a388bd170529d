"""Where a training crop lies in its image, and what it shows: pixels and boxes alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from geodet.config import AugmentConfig
from geodet.geometry.arrays import Floats

__all__ = ["Crop", "share_boxes"]

_MIN_VISIBLE = 0.4  # of a box, for a crop to count it as an object
_MIN_SIDE = 1.0  # pixels of its visible part likewise


@dataclass(frozen=True, slots=True)
class Crop:
    """A square window of an image, its angle, its zoom, and one of the square's symmetries."""

    column: int
    """First column in the image; negative where the crop begins before it."""
    row: int
    """First row likewise."""
    side: int
    """Side of the window in the image's pixels."""
    size: int
    """Side of the crop in its own pixels."""
    turns: int = 0
    """Quarter turns, counterclockwise."""
    is_mirrored: bool = False
    """Whether left and right change places, after the turns."""
    angle: float = 0.0
    """Radians that the image is turned by around the window's centre, x axis towards y axis."""

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
        """Draw a crop; it lies within the image, or an image that is smaller lies within it.

        Args:
            width: Columns of the image.
            height: Rows of the image.
            boxes: (N, 4) its objects.
            size: Side of the crop in its own pixels.
            augment: How crops are varied.
            random: Where all draws come from.
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

        What lies beyond the image repeats its edge, so that no dark frame bleeds into it, or is
        filled with zeros for ``beyond="constant"``.
        """
        if not self.angle:
            return _cut(values, self.column, self.row, self.side, beyond=beyond)
        # the smallest upright square around the tilted window
        side = math.ceil(self.side * (abs(math.cos(self.angle)) + abs(math.sin(self.angle)))) + 2
        margin = (side - self.side) // 2
        around = _cut(values, self.column - margin, self.row - margin, side, beyond=beyond)
        return self._upright(around, margin)

    def _upright(self, around: NDArray[Any], margin: int) -> NDArray[Any]:
        """Turn (..., S, S) around the window's centre; the window begins at the margin."""
        turn, middle = self._rotation, np.full(2, self.side / 2)
        # cv2 counts pixels from their centres and wants the map from the result to its source
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

    def move(self, boxes: Floats) -> Floats:
        """Bring boxes to the crop's pixels, whole: (N, 4).

        A box turned by an angle becomes the bounds of its turned self: right for objects that fill
        their boxes.
        """
        inside = self._tilted(boxes - self._corner) if self.angle else boxes - self._corner
        x1, y1, x2, y2 = (inside * (self.size / self.side)).T
        for _ in range(self.turns):
            x1, y1, x2, y2 = y1, self.size - x2, y2, self.size - x1
        if self.is_mirrored:
            x1, x2 = self.size - x2, self.size - x1
        return np.stack([x1, y1, x2, y2], axis=1)

    def _tilted(self, boxes: Floats) -> Floats:
        x, y = boxes[:, [0, 2, 2, 0]], boxes[:, [1, 1, 3, 3]]
        corners = np.stack([x, y], axis=2) - self.side / 2  # (N, 4, 2), four corners in turn
        turned = corners @ self._rotation.T + self.side / 2
        return np.concatenate([turned.min(axis=1), turned.max(axis=1)], axis=1)

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
    """Give a dtype that cv2 turns and that holds the values."""
    if dtype == np.bool_:
        return np.dtype(np.uint8)
    return dtype if dtype in (np.uint8, np.uint16, np.int16) else np.dtype(np.float32)


def share_boxes(boxes: Floats, size: int, *, whole: bool) -> tuple[Floats, NDArray[np.bool_]]:
    """Tell the objects of a crop from the slivers that it sees of others.

    A box drawn around what is visible is cut at the edge, as labels of cut objects are, and is an
    object if enough of it is left. A box around a point belongs to the crop that has the point and
    stays whole: cut, its centre would move off the point.

    Args:
        boxes: (N, 4) in the crop's pixels, whole.
        size: Side of the crop.
        whole: The boxes are drawn around points.

    Returns:
        (N, 4) boxes, and for each whether it is an object. Of all others the boxes are what the
        crop sees of them, without area where it sees nothing.
    """
    seen = boxes.clip(0, size)
    if whole:
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        is_object = np.all((centres >= 0) & (centres <= size), axis=1)
        return np.where(is_object[:, None], boxes, seen), is_object
    sides, full = seen[:, 2:] - seen[:, :2], boxes[:, 2:] - boxes[:, :2]
    enough = sides.prod(axis=1) >= _MIN_VISIBLE * full.prod(axis=1)
    return seen, enough & (sides >= _MIN_SIDE).all(axis=1)
