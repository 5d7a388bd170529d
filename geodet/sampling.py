"""Chips for training: decoded once, varied every time, batched."""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from geodet.config import AugmentConfig
from geodet.errors import TilesetError
from geodet.models.losses import Target
from geodet.scene import Chip, Scene
from geodet.tilesets.tileset import LabelledImage
from geodet.windows import Window

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for its version

import albumentations as A

__all__ = [
    "BandStatistics",
    "Batch",
    "EpochSampler",
    "TrainingChips",
    "collate",
    "measure_bands",
    "read_chip",
]

_CACHE_BYTES = 2**31
_MIN_VISIBLE = 0.4  # of a box, for a crop to keep it
_SEED_SPACE = 2**32
_PIXEL_CENTRE = 0.5  # albumentations counts the coordinates of points, not of boxes, from it


class Batch(NamedTuple):
    """N chips with their labels."""

    pixels: Tensor
    """(N, C, H, W) in the data's dtype, uint8 or float32."""
    valid: Tensor
    """(N, H, W) bool."""
    targets: list[Target]
    """N labels."""


class BandStatistics(NamedTuple):
    """Statistics of the training pixels, band by band, in the data's units."""

    mean: list[float]
    std: list[float]
    low: list[float]
    """The 0.1 % quantile."""
    high: list[float]
    """The 99.9 % quantile."""


def read_chip(image: LabelledImage, bands: Sequence[int]) -> Chip:
    """Read all pixels of a labelled image.

    Raises:
        SceneError: The image cannot be read or lacks a band.
    """
    with Scene(image.path, bands=bands) as scene:
        return scene.read(Window(0, 0, *scene.grid))


def measure_bands(images: Sequence[LabelledImage], bands: Sequence[int]) -> BandStatistics:
    """Measure the valid pixels of 500 to 1000 images, or fewer, spread over the sequence.

    Raises:
        TilesetError: The images differ in their number of bands.
    """
    step = max(1, len(images) // 500)
    parts: list[NDArray[np.float64]] = []
    for image in images[::step]:
        chip = read_chip(image, bands)
        if parts and len(chip.pixels) != len(parts[0]):
            raise TilesetError(
                f"{image.path} has {len(chip.pixels)} bands, and others have {len(parts[0])}",
                hint="name the bands to use with data.bands",
            )
        values = chip.pixels[:, chip.valid].astype(np.float64)  # (C, valid pixels)
        parts.append(values[:, :: max(1, values.shape[1] // 10_000)])
    values = np.concatenate(parts, axis=1)
    low, high = np.quantile(values, [0.001, 0.999], axis=1)
    std = np.maximum(values.std(axis=1), 1e-6)  # a constant band must not divide by zero
    return BandStatistics(values.mean(axis=1).tolist(), std.tolist(), low.tolist(), high.tolist())


class TrainingChips(Dataset[tuple[NDArray[Any], NDArray[np.bool_], Target]]):
    """Crops of labelled images, varied at random.

    An index is ``epoch * len(images) + image``, and the variation depends on the index and the
    seed alone: not on the number of workers, nor on where a run was interrupted.

    Args:
        images: What to draw from.
        bands: Bands to read, counted from 1; empty: all.
        statistics: Of these bands; other dtypes than uint8 are varied between its quantiles.
        augment: How chips are varied.
        chip_size: Side of a crop in pixels.
        seed: Seed of the variation.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        *,
        bands: Sequence[int],
        statistics: BandStatistics,
        augment: AugmentConfig,
        chip_size: int,
        seed: int,
    ) -> None:
        self.images = tuple(images)
        self.bands = tuple(bands)
        self.seed = seed
        self._statistics = statistics
        self._transform = _transform(augment, chip_size)
        self._cache: dict[int, Chip] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[np.bool_], Target]:
        image = self.images[index % len(self.images)]
        chip = self._chip(index % len(self.images))
        # One source for all steps: set_random_seed would give each step a source of its own with
        # the same numbers, and the zoom would decide the place of the crop.
        seed = (self.seed * 1_000_003 + index) % _SEED_SPACE
        self._transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
        varied = self._transform(
            image=self._to_augmentable(chip.pixels),
            mask=chip.valid.astype(np.uint8),
            bboxes=image.boxes.astype(np.float32),
            labels=image.labels,
            # As corners: of a box a crop may see too little, but a region counts to its last pixel.
            keypoints=image.ignored.reshape(-1, 2).astype(np.float32) - _PIXEL_CENTRE,
        )
        pixels = self._from_augmentable(varied["image"], chip.pixels.dtype)
        return pixels, varied["mask"].astype(np.bool_), _target(varied)

    def _chip(self, index: int) -> Chip:
        if index in self._cache:
            return self._cache[index]
        chip = read_chip(self.images[index], self.bands)
        if self._cached_bytes + chip.pixels.nbytes <= _CACHE_BYTES:
            self._cache[index] = chip
            self._cached_bytes += chip.pixels.nbytes
        return chip

    def _to_augmentable(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Give (H, W, C), uint8 as it is and all else in [0, 1], as albumentations wants it."""
        if pixels.dtype == np.uint8:
            return np.ascontiguousarray(pixels.transpose(1, 2, 0))
        low, high = self._range()
        scaled = (pixels.transpose(1, 2, 0) - low) / (high - low)
        unit: NDArray[Any] = np.clip(np.nan_to_num(scaled), 0.0, 1.0).astype(np.float32)
        return unit

    def _from_augmentable(self, image: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Give (C, H, W), uint8 or float32 in the data's own units."""
        if dtype != np.uint8:
            low, high = self._range()
            image = (image * (high - low) + low).astype(np.float32)
        return np.ascontiguousarray(image.transpose(2, 0, 1))

    def _range(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        low = np.asarray(self._statistics.low, np.float32)
        high = np.asarray(self._statistics.high, np.float32)
        return low, np.maximum(high, low + 1e-6)


class EpochSampler(Sampler[int]):
    """All images once an epoch in a random order, shared out over the processes.

    Args:
        count: Number of images.
        seed: Seed of the order.
        rank: This process.
        world_size: All processes.
    """

    def __init__(self, count: int, *, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.count, self.seed, self.rank, self.world_size = count, seed, rank, world_size
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(self.count / self.world_size)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.count, generator=generator).tolist()
        shared = itertools.islice(itertools.cycle(order), len(self) * self.world_size)
        offset = self.epoch * self.count
        # Some images come twice where that gives all processes equal shares.
        return (offset + index for index in list(shared)[self.rank :: self.world_size])


def collate(items: Sequence[tuple[NDArray[Any], NDArray[np.bool_], Target]]) -> Batch:
    """Stack crops of one size into a batch."""
    pixels, valid, targets = zip(*items, strict=True)
    return Batch(
        torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.stack(valid)), list(targets)
    )


def _target(varied: dict[str, Any]) -> Target:
    boxes = torch.as_tensor(np.asarray(varied["bboxes"], np.float32).reshape(-1, 4))
    labels = torch.as_tensor(np.asarray(varied["labels"], np.int64).reshape(-1))
    points = np.asarray(varied["keypoints"], np.float32).reshape(-1, 2, 2) + _PIXEL_CENTRE
    corners = torch.as_tensor(np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1))
    return Target(boxes, labels, corners)


def _transform(augment: AugmentConfig, chip_size: int) -> A.Compose:
    """Build the variation: what a nadir image could as well have looked like."""
    return A.Compose(
        [*_geometry(augment, chip_size), *_photometry(augment)],
        bbox_params=A.BboxParams(
            format="pascal_voc",
            label_fields=["labels"],
            min_visibility=_MIN_VISIBLE,
            min_width=1.0,
            min_height=1.0,
            clip=True,
        ),
        keypoint_params=A.KeypointParams(format="xy", remove_invisible=False),
    )


def _geometry(augment: AugmentConfig, chip_size: int) -> list[Any]:
    zoom = augment.scale
    steps: list[Any] = [
        A.RandomScale((1 / (1 + zoom) - 1, zoom), area_for_downscale="image", p=float(zoom > 0)),
        A.PadIfNeeded(chip_size, chip_size, position="random", fill=0, fill_mask=0),
        A.RandomCrop(chip_size, chip_size),
    ]
    return steps + ([A.SquareSymmetry(p=1.0)] if augment.flips else [])


def _photometry(augment: AugmentConfig) -> list[Any]:
    gamma = 100 * augment.gamma
    tint = (1 - augment.tint, 1 + augment.tint)
    return [
        A.RandomBrightnessContrast(augment.brightness, augment.contrast, p=0.8),
        A.RandomGamma((100 - gamma, 100 + gamma), p=0.5 * float(gamma > 0)),
        A.MultiplicativeNoise(tint, per_channel=True, p=float(augment.tint > 0)),
        A.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.2), p=augment.blur),
        A.GaussNoise(std_range=(0.005, 0.03), p=augment.noise),
    ]
