"""Chips for training: decoded once, varied every time, batched."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from geodet.config import AugmentConfig
from geodet.errors import TilesetError
from geodet.models.inputs import ABSURD
from geodet.raster.scene import Chip
from geodet.tilesets.tileset import LabelledImage, read_chip
from geodet.training.chip_cache import ChipCache
from geodet.training.crops import Crop, share_boxes
from geodet.training.losses import Target

__all__ = [
    "BandStatistics",
    "EpochSampler",
    "TrainingBatch",
    "TrainingChips",
    "collate",
    "measure_bands",
]

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for its version


_SEED_SPACE = 2**32


class TrainingBatch(NamedTuple):
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


def measure_bands(images: Sequence[LabelledImage], bands: Sequence[int]) -> BandStatistics:
    """Measure the valid pixels of 500 to 1000 images, or fewer, spread over the sequence.

    Raises:
        TilesetError: The images differ in their number of bands, or no pixel has data.
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
    if not values.size:
        raise TilesetError(
            f"no pixel of the training images has data, from {images[0].path} on",
            hint="look at the nodata value that the files declare, and at their masks and alpha",
        )
    low, high = np.quantile(values, [0.001, 0.999], axis=1)
    std = np.maximum(values.std(axis=1), 1e-6)  # a constant band must not divide by zero
    return BandStatistics(values.mean(axis=1).tolist(), std.tolist(), low.tolist(), high.tolist())


class TrainingChips(Dataset[tuple[NDArray[Any], NDArray[np.bool_], Target]]):
    """Crops of labelled images, varied at random.

    An image gives as many crops an epoch as it has chips' areas, at least one. An index is
    ``epoch * len(chips) + crop``, and the variation depends on the index and the seed alone: not on
    the number of workers, nor on where a run was interrupted.

    Labels are cut at the edge of a crop, but boxes around points stay whole, which are known by
    reaching over the edge of their image: all others are clipped to it. Slivers of objects neither
    train as object nor as background.

    Args:
        images: What to draw from.
        bands: Bands to read, counted from 1; empty: all.
        statistics: Of these bands; other dtypes than uint8 are cut off at its quantiles, as
            :func:`geodet.models.inputs.standardise` does at work, and varied between them.
        augment: How chips are varied.
        chip_size: Side of a crop in pixels.
        seed: Seed of the variation.
        cache_bytes: Memory for decoded images, which all workers share.
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
        cache_bytes: int = 2**31,
    ) -> None:
        self.images = tuple(images)
        self.bands = tuple(bands)
        self.seed = seed
        self._statistics = statistics
        self._augment, self._chip_size = augment, chip_size
        self._transform = _transform(augment, chip_size)
        self._image_of = [i for i, m in enumerate(images) for _ in range(_crops(m, chip_size))]
        self._whole = any(_reaches_over(image) for image in images)
        self._cache_bytes = cache_bytes
        self._cache: ChipCache | None = None

    def __len__(self) -> int:
        return len(self._image_of)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[np.bool_], Target]:
        number = self._image_of[index % len(self)]
        image, chip = self.images[number], self._chip(number)
        # One source for all steps: set_random_seed would give each step a source of its own with
        # the same numbers, and the blur would decide the noise.
        seed = (self.seed * 1_000_003 + index) % _SEED_SPACE
        draws = np.random.default_rng(seed)
        crop = Crop.draw(
            image.width,
            image.height,
            image.boxes,
            size=self._chip_size,
            augment=self._augment,
            random=draws,
        )
        self._transform.set_random_state(draws, random.Random(seed))
        varied = self._transform(
            image=self._to_augmentable(crop.cut(chip.pixels)),
            mask=crop.cut(chip.valid, beyond="constant").astype(np.uint8),
        )
        pixels = self._from_augmentable(crop.turn(varied["image"]), chip.pixels.dtype)
        valid = np.ascontiguousarray(crop.turn(varied["mask"])).astype(np.bool_)
        return pixels, valid, self._target(image, crop)

    def open_cache(self) -> None:
        """Take the memory for decoded images, before processes fork, so that they share it."""
        if self._cache is None:
            first = read_chip(self.images[0], self.bands).pixels
            sizes = [(image.width, image.height) for image in self.images]
            self._cache = ChipCache(
                sizes, bands=len(first), dtype=first.dtype, budget=self._cache_bytes
            )

    def _chip(self, index: int) -> Chip:
        self.open_cache()
        assert self._cache is not None
        chip = self._cache.read(index)
        if chip is None:
            chip = read_chip(self.images[index], self.bands)
            self._cache.write(index, chip)
        return chip

    def _target(self, image: LabelledImage, crop: Crop) -> Target:
        boxes, is_object = share_boxes(crop.move(image.boxes), self._chip_size, whole=self._whole)
        regions = crop.move(image.ignored).clip(0, self._chip_size)
        regions = np.concatenate([regions, boxes[~is_object]])
        regions = regions[np.all(regions[:, 2:] > regions[:, :2], axis=1)]
        return Target(
            torch.from_numpy(boxes[is_object].astype(np.float32)),
            torch.from_numpy(image.labels[is_object].astype(np.int64)),
            torch.from_numpy(regions.astype(np.float32)),
        )

    def _to_augmentable(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Give (H, W, C), uint8 as it is and all else in [0, 1], as albumentations wants it."""
        if pixels.dtype == np.uint8:
            return np.array(pixels.transpose(1, 2, 0), order="C")  # the cache's is read-only
        low, high = self._range()
        scaled = (self._measured(pixels.transpose(1, 2, 0)) - low) / (high - low)
        unit: NDArray[Any] = np.clip(scaled, 0.0, 1.0).astype(np.float32)
        return unit

    def _measured(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Give (H, W, C) with the mean in place of what is no number or can be no measurement."""
        mean, std = (np.asarray(v, np.float32) for v in self._statistics[:2])
        values = pixels.astype(np.float32)
        return np.where(np.abs(values - mean) < ABSURD * std, values, mean)

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


def _crops(image: LabelledImage, chip_size: int) -> int:
    """Count the crops of an image in an epoch: its area in chips."""
    return max(1, round(image.width * image.height / chip_size**2))


def _reaches_over(image: LabelledImage) -> bool:
    """Tell whether a box lies partly outside of its image."""
    bounds = np.array([image.width, image.height])
    return bool((image.boxes[:, :2] < 0).any() or (image.boxes[:, 2:] > bounds).any())


class EpochSampler(Sampler[int]):
    """All crops once an epoch in a random order, shared out over the processes.

    The last batch is filled up with crops of the epoch, varied anew: every step has as many chips,
    and step by step several processes together get the chips that one would.

    Args:
        count: Number of crops.
        seed: Seed of the order.
        batch_size: Chips in a step, over all processes.
        rank: This process.
        world_size: All processes.
    """

    def __init__(
        self, count: int, *, seed: int, batch_size: int = 1, rank: int = 0, world_size: int = 1
    ) -> None:
        self.count, self.seed, self.rank, self.world_size = count, seed, rank, world_size
        unit = math.lcm(batch_size, world_size)
        self.drawn = -(-count // unit) * unit
        self.epoch = 0

    def __len__(self) -> int:
        return self.drawn // self.world_size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.count, generator=generator).tolist()
        rounds = -(-self.drawn // self.count)  # whose crops have indices of their own
        for place in range(self.rank, self.drawn, self.world_size):
            again, crop = divmod(place, self.count)
            yield (self.epoch * rounds + again) * self.count + order[crop]


def collate(items: Sequence[tuple[NDArray[Any], NDArray[np.bool_], Target]]) -> TrainingBatch:
    """Stack crops of one size into a batch."""
    pixels, valid, targets = zip(*items, strict=True)
    return TrainingBatch(
        torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.stack(valid)), list(targets)
    )


def _transform(augment: AugmentConfig, chip_size: int) -> A.Compose:
    """Build the variation of a cut window: what a nadir image could as well have looked like."""
    zoom = A.Resize(chip_size, chip_size, area_for_downscale="image")
    return A.Compose([zoom, *_photometry(augment)])


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
