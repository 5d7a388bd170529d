"""Training chips that stay on the device: cropped, turned and varied there, a batch at once.

The draws follow geodet's augmentation of training chips, in whole batches. Only the
numbers of the draws and the boxes travel to the device, so that no processor core holds it up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from geodet.config import AugmentConfig
from geodet.tilesets.labels import LabelledImage

__all__ = ["DeviceBatch", "DeviceChips"]

Floats = NDArray[np.float64]

_MIN_VISIBLE, _MIN_SIDE = 0.4, 1.0  # as geodet.training.augmentation has them
_TAPS = 4  # of the blur, to each side


class DeviceBatch(NamedTuple):
    """N chips on the device, and their labels in rows of equal length."""

    pixels: Tensor
    """(N, C, S, S) float32, in the units of the data."""
    valid: Tensor
    """(N, S, S) bool."""
    boxes: Tensor
    """(N, M, 4) float32."""
    labels: Tensor
    """(N, M) int64."""
    is_object: Tensor
    """(N, M) bool; the others are regions to ignore, or nothing."""
    is_ignored: Tensor
    """(N, M) bool."""


class DeviceChips:
    """Crops of labelled images of bytes, of one size or padded to one.

    Args:
        images: At least one.
        pixels: Their pixels, (C, H, W) each.
        augment: How crops are varied.
        size: Side of a crop.
        device: Where the images are kept.
        seed: Seed of all draws.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        pixels: Sequence[NDArray[np.uint8]],
        augment: AugmentConfig,
        *,
        size: int,
        device: str,
        seed: int,
    ) -> None:
        self._augment, self._size, self._device = augment, size, device
        self._draws = np.random.default_rng(seed)
        self._noise = torch.Generator(device).manual_seed(seed)
        self._sides = np.array([[image.width, image.height] for image in images])
        width, height = self._sides.max(axis=0)
        store = np.zeros((len(images), len(pixels[0]), height, width), np.uint8)
        for place, one in zip(store, pixels, strict=True):
            place[:, : one.shape[1], : one.shape[2]] = one
        self._store = torch.from_numpy(store).to(device)
        self._boxes = np.concatenate([image.boxes for image in images])
        self._labels = np.concatenate([image.labels for image in images])
        self._counts = np.array([len(image.boxes) for image in images])
        self._starts = np.concatenate([[0], np.cumsum(self._counts)[:-1]])
        self._most = int(self._counts.max())
        bounds = np.repeat(self._sides, self._counts, axis=0)
        self._whole = bool((self._boxes[:, :2] < 0).any() or (self._boxes[:, 2:] > bounds).any())
        crops = np.maximum(1, np.round(self._sides.prod(axis=1) / size**2)).astype(int)
        self._image_of = np.repeat(np.arange(len(images)), crops)
        column = (torch.arange(size, device=device) + 0.5).expand(size, size)
        self._cells = torch.stack([column, column.T, torch.ones_like(column)], dim=-1)

    def __len__(self) -> int:
        return len(self._image_of)

    def order(self) -> NDArray[np.int64]:
        """Return the images of one epoch's crops, shuffled."""
        return self._draws.permutation(self._image_of)

    def batch(self, chosen: NDArray[np.int64]) -> DeviceBatch:
        """Cut and vary one crop of each chosen image."""
        forward = self._draw(chosen)
        boxes, labels, is_object, is_ignored = self._labels_of(chosen, forward)
        inverse = np.linalg.inv(forward)[:, :2]
        extents = self._sides[chosen]
        moved = self._to_device(np.concatenate([inverse.reshape(-1, 6), extents], axis=1))
        pixels, valid = self._sample(torch.from_numpy(chosen).to(self._device), moved)
        return DeviceBatch(
            self._vary(pixels),
            valid,
            self._to_device(boxes),
            torch.from_numpy(labels).to(self._device),
            torch.from_numpy(is_object).to(self._device),
            torch.from_numpy(is_ignored).to(self._device),
        )

    def _to_device(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self._device)

    def _draw(self, chosen: NDArray[np.int64]) -> Floats:
        """Draw the affine maps from pixels of the images to pixels of the crops: (N, 3, 3)."""
        random, augment, size = self._draws, self._augment, self._size
        count = len(chosen)
        zoom = random.uniform(1 / (1 + augment.scale), 1 + augment.scale, count)
        side = np.maximum(1, np.round(size / zoom)).astype(np.int64)
        room = self._sides[chosen] - side[:, None]
        low, high = np.minimum(0, room), np.maximum(0, room)
        corner = np.floor(low + random.random((count, 2)) * (high - low + 1)).astype(np.int64)
        counts = self._counts[chosen]
        objects = self._starts[chosen] + (random.random(count) * counts).astype(np.int64)
        centres = self._boxes[np.minimum(objects, len(self._boxes) - 1)].reshape(-1, 2, 2).mean(1)
        beside = centres - side[:, None] * random.random((count, 2))
        on_object = (random.random(count) < augment.object_share) & (counts > 0)
        corner = np.where(on_object[:, None], beside.astype(np.int64).clip(low, high), corner)
        turns = random.integers(4, size=count) * (augment.quarter_turns and augment.flips)
        mirrored = random.integers(2, size=count) * augment.flips
        angle = np.deg2rad(random.uniform(-augment.rotate, augment.rotate, count))
        return _compose(corner, side, angle, turns, mirrored, size)

    def _labels_of(
        self, chosen: NDArray[np.int64], forward: Floats
    ) -> tuple[Floats, NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        places = np.arange(self._most)
        is_there = places < self._counts[chosen][:, None]
        index = np.where(is_there, self._starts[chosen][:, None] + places, 0)
        boxes = _moved(self._boxes[index], forward)
        seen = boxes.clip(0, self._size)
        if self._whole:
            centres = (boxes[..., :2] + boxes[..., 2:]) / 2
            is_object = np.all((centres >= 0) & (centres <= self._size), axis=-1)
            boxes = np.where(is_object[..., None], boxes, seen)
        else:
            sides, full = seen[..., 2:] - seen[..., :2], boxes[..., 2:] - boxes[..., :2]
            is_object = sides.prod(axis=-1) >= _MIN_VISIBLE * full.prod(axis=-1)
            is_object &= (sides >= _MIN_SIDE).all(axis=-1)
            boxes = seen
        is_visible = np.all(seen[..., 2:] > seen[..., :2], axis=-1)
        return (
            boxes,
            self._labels[index],
            is_there & is_object,
            is_there & ~is_object & is_visible,
        )

    def _sample(self, chosen: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
        """Sample the images at the cells of the crops, edges repeated."""
        inverse, extents = moved[:, :6].reshape(-1, 1, 2, 3), moved[:, None, None, 6:]
        places = (inverse @ self._cells.reshape(1, -1, 3, 1)).reshape(
            len(chosen), self._size, self._size, 2
        )
        valid = ((places >= 0) & (places <= extents)).all(dim=-1)
        inside = torch.minimum(places.clamp(min=0.5), extents - 0.5)
        height, width = self._store.shape[-2:]
        grid = 2 * inside / torch.tensor([width, height], device=self._device) - 1
        images = self._store[chosen].float()
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False), valid

    def _vary(self, pixels: Tensor) -> Tensor:
        """Vary light, gamma, tint, sharpness and noise of each chip, but not its compression."""
        augment, count = self._augment, len(pixels)
        x = pixels / 255
        if augment.haze:
            share = self._some(0.5, count) * self._uniform(0, augment.haze, count)
            x = x * (1 - share) + share
        if augment.shading:
            x = (x * self._shades(count)).clamp_(0, 1)
        toned = self._some(0.8, count)
        contrast = 1 + toned * self._uniform(-augment.contrast, augment.contrast, count)
        brightness = toned * self._uniform(-augment.brightness, augment.brightness, count)
        x = (x * contrast + brightness).clamp_(0, 1)
        if augment.gamma:
            power = 1 + self._some(0.5, count) * self._uniform(-augment.gamma, augment.gamma, count)
            x = x.clamp(min=1e-4) ** power
        if augment.tint:
            tint = self._uniform(1 - augment.tint, 1 + augment.tint, count, x.shape[1])
            x = (x * tint).clamp_(0, 1)
        if augment.coarsening:
            x = torch.where(self._some(augment.coarsening, count) > 0, self._coarser(x), x)
        if augment.blur:
            x = self._blurred(x, self._some(augment.blur, count))
        if augment.noise:
            spread = self._some(augment.noise, count) * self._uniform(0.005, 0.03, count)
            noise = torch.randn(x.shape, generator=self._noise, device=self._device)
            x = (x + spread * noise).clamp_(0, 1)
        return (255 * x).round_()

    def _shades(self, count: int) -> Tensor:
        """Return factors that rise across each chip in some direction: (N, 1, S, S)."""
        change = self._some(0.5, count) * self._uniform(0, self._augment.shading, count)
        angle = self._uniform(0, 2 * math.pi, count)
        across = torch.linspace(-1, 1, self._size, device=self._device)
        plane = angle.cos() * across + angle.sin() * across[:, None]
        return 1 + change * plane / (angle.cos().abs() + angle.sin().abs())

    def _coarser(self, x: Tensor) -> Tensor:
        """Reduce all chips to one share of their sides, and enlarge them again."""
        share = float(self._draws.uniform(0.4, 0.9))
        small = F.interpolate(x, scale_factor=share, mode="bilinear", antialias=True)
        return F.interpolate(small, size=x.shape[-2:], mode="bilinear")

    def _blurred(self, x: Tensor, some: Tensor) -> Tensor:
        sigma = self._uniform(0.3, 1.2, len(x)) * some + 1e-3 * (1 - some)  # (N, 1, 1, 1)
        taps = torch.arange(-_TAPS, _TAPS + 1, device=self._device)
        weights = torch.exp(-(taps**2) / (2 * sigma.reshape(-1, 1) ** 2))
        weights = (weights / weights.sum(dim=1, keepdim=True)).repeat_interleave(x.shape[1], 0)
        flat = x.reshape(1, -1, *x.shape[2:])
        flat = F.pad(flat, [_TAPS] * 4, mode="replicate")
        flat = F.conv2d(flat, weights[:, None, None], groups=len(weights))
        flat = F.conv2d(flat, weights[:, None, :, None], groups=len(weights))
        return flat.reshape(x.shape)

    def _uniform(self, low: float, high: float, count: int, bands: int = 1) -> Tensor:
        shape = (count, bands, 1, 1)
        return low + (high - low) * torch.rand(shape, generator=self._noise, device=self._device)

    def _some(self, share: float, count: int) -> Tensor:
        return (self._uniform(0, 1, count) < share).float()


def _compose(
    corner: NDArray[np.int64],
    side: NDArray[np.int64],
    angle: Floats,
    turns: NDArray[np.int64],
    mirrored: NDArray[np.int64],
    size: int,
) -> Floats:
    """Return the maps of :meth:`geodet.training.augmentation.Crop.move` as matrices: (N, 3, 3)."""
    count = len(side)
    shift = _shifts(-corner[:, 0], -corner[:, 1])
    to_middle, back = _shifts(-side / 2, -side / 2), _shifts(side / 2, side / 2)
    turned = np.tile(np.eye(3), (count, 1, 1))
    turned[:, 0, 0] = turned[:, 1, 1] = np.cos(angle)
    turned[:, 1, 0], turned[:, 0, 1] = np.sin(angle), -np.sin(angle)
    scaled = np.tile(np.eye(3), (count, 1, 1))
    scaled[:, 0, 0] = scaled[:, 1, 1] = size / side
    quarter = np.array([[0.0, 1, 0], [-1, 0, size], [0, 0, 1]])  # (x, y) -> (y, size - x)
    quarters = np.stack([np.linalg.matrix_power(quarter, n) for n in range(4)])
    mirror = np.stack([np.eye(3), np.array([[-1.0, 0, size], [0, 1, 0], [0, 0, 1]])])
    return mirror[mirrored] @ quarters[turns] @ scaled @ back @ turned @ to_middle @ shift


def _shifts(x: NDArray[Any], y: NDArray[Any]) -> Floats:
    maps = np.tile(np.eye(3), (len(x), 1, 1))
    maps[:, 0, 2], maps[:, 1, 2] = x, y
    return maps


def _moved(boxes: Floats, forward: Floats) -> Floats:
    """Move (N, M, 4) boxes by (N, 3, 3) maps: the bounds of their moved corners."""
    x, y = boxes[..., [0, 2, 2, 0]], boxes[..., [1, 1, 3, 3]]
    corners = np.stack([x, y, np.ones_like(x)], axis=-1)  # (N, M, 4, 3)
    moved = (corners @ forward[:, None, :2].swapaxes(-1, -2))[..., :2]
    return np.concatenate([moved.min(axis=2), moved.max(axis=2)], axis=-1)
