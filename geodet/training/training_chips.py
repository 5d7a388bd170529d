"""Training chips: decoded once into memory that processes share, cropped anew each time."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from geodet.config import AugmentConfig
from geodet.geometry.arrays import Bools, Floats
from geodet.geometry.oriented_boxes import hulls
from geodet.geometry.windows import Window
from geodet.raster.chip import Chip
from geodet.tilesets.displayed_images import read_chip
from geodet.tilesets.labels import LabelledImage
from geodet.training.augmentation import (
    ChipAugmentation,
    Crop,
    Frame,
    cut_boxes,
    share_boxes,
    share_oriented,
)
from geodet.training.band_statistics import BandStatistics
from geodet.training.chip_mosaic import ChipMosaic
from geodet.training.losses import Target

__all__ = ["ChipCache", "TrainingChips", "count_crops", "reaches_over"]


class ChipCache:
    """Stores the first chips that fit into a budget, in memory that forked processes share.

    Each image has its own place, filled by the process that decodes it first; two that decode it at
    once write the same. Memory is used only as it is filled. It is anonymous memory rather than
    ``/dev/shm``, which is small in containers. A spawned process starts with an empty cache.

    Args:
        sizes: Columns and rows of each image.
        bands: Bands of a chip.
        dtype: Type of its pixels; a chip of another type is not stored.
        budget: Maximum size in bytes.
    """

    def __init__(
        self, sizes: Sequence[tuple[int, int]], *, bands: int, dtype: np.dtype[Any], budget: int
    ) -> None:
        self._sizes, self._bands, self._dtype = tuple(sizes), bands, dtype
        needed = [w * h * (bands * dtype.itemsize + 1) + 1 for w, h in sizes]
        ends = np.cumsum([0, *(-(-n // _ALIGNMENT) * _ALIGNMENT for n in needed)])
        self._starts = ends[:-1].tolist()
        self._kept = int(np.searchsorted(ends[1:], budget, side="right"))
        self._bytes = int(ends[self._kept])
        self._memory = self._take()

    def __len__(self) -> int:
        """Return the number of images that have a place."""
        return self._kept

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_memory": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._memory = self._take()

    def read(self, index: int) -> Chip | None:
        """Return a stored chip, whose arrays are read-only, or None."""
        if index >= self._kept or not self._flag(index)[0]:
            return None
        pixels, valid = self._arrays(index)
        pixels.flags.writeable = valid.flags.writeable = False
        return Chip(Window(0, 0, *self._sizes[index]), pixels, valid)

    def write(self, index: int, chip: Chip) -> None:
        """Store a chip if it has a place."""
        if index >= self._kept or chip.pixels.dtype != self._dtype:
            return
        pixels, valid = self._arrays(index)
        if pixels.shape == chip.pixels.shape:
            pixels[:], valid[:] = chip.pixels, chip.valid
            self._flag(index)[0] = 1  # last, since other processes read what is flagged

    def _take(self) -> NDArray[np.uint8]:
        shared = mmap.mmap(-1, max(self._bytes, 1))  # anonymous, zeros, shared by a fork
        return np.frombuffer(shared, np.uint8)

    def _arrays(self, index: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        width, height = self._sizes[index]
        start, count = self._starts[index], width * height
        end = start + count * self._bands * self._dtype.itemsize
        pixels = self._memory[start:end].view(self._dtype)
        valid = self._memory[end : end + count].view(np.bool_)
        return pixels.reshape(self._bands, height, width), valid.reshape(height, width)

    def _flag(self, index: int) -> NDArray[np.uint8]:
        width, height = self._sizes[index]
        end = self._starts[index] + width * height * (self._bands * self._dtype.itemsize + 1)
        return self._memory[end : end + 1]


_ALIGNMENT = 64  # bytes, for a view as any dtype


_SEED_SPACE = 2**32


class TrainingChips(Dataset[tuple[NDArray[Any], Bools, Target]]):
    """Crops of labelled images, varied at random.

    Per epoch an image gives as many crops as chips fit into its area, at least one. An index is
    ``epoch * len(chips) + crop``. The variation depends on the index and the seed alone, not on the
    number of workers or on where a run was interrupted.

    With ``augment.mosaic``, some chips are composed of parts of four crops. Labels are cut at the
    edges of a crop, and of a part. Boxes around points are not; a tileset has such boxes if
    one reaches over the edge of its image, since all others are clipped to it. Slivers of objects
    train neither as objects nor as background.

    Args:
        images: Images to draw from.
        bands: Bands to read, counted from 1; empty: all.
        statistics: Statistics of these bands.
        augment: How chips are varied.
        chip_size: Side of a crop in pixels.
        seed: Seed of the variation.
        oriented: Whether oriented boxes are learnt.
        cache_bytes: Memory for decoded images, shared by all workers.
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
        oriented: bool = False,
        cache_bytes: int = 2**31,
    ) -> None:
        self.images = tuple(images)
        self.bands = tuple(bands)
        self.seed = seed
        self._oriented = oriented
        self._augment, self._chip_size = augment, chip_size
        self._augmentation = ChipAugmentation(augment, statistics, size=chip_size)
        self._image_of = [i for i, m in enumerate(images) for _ in range(count_crops(m, chip_size))]
        self._whole = any(reaches_over(image) for image in images)
        self._cache_bytes = cache_bytes
        self._cache: ChipCache | None = None

    def __len__(self) -> int:
        return len(self._image_of)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], Bools, Target]:
        seed = (self.seed * 1_000_003 + index) % _SEED_SPACE
        draws = np.random.default_rng(seed)
        number = self._image_of[index % len(self)]
        pixels, valid, crop = self._draw(number, draws, seed)
        # Without mosaics nothing is drawn here, so that the chips are those of earlier versions.
        if not self._augment.mosaic or draws.random() >= self._augment.mosaic:
            return pixels, valid, self._target(self.images[number], crop, crop.frame)
        mosaic = ChipMosaic(self._chip_size, draws)
        mosaic.add(pixels, valid, self._target(self.images[number], crop, mosaic.frame))
        while not mosaic.is_complete:
            number = self._image_of[draws.integers(len(self))]
            pixels, valid, crop = self._draw(number, draws, seed)
            mosaic.add(pixels, valid, self._target(self.images[number], crop, mosaic.frame))
        return mosaic.join()

    def _draw(
        self, number: int, draws: np.random.Generator, seed: int
    ) -> tuple[NDArray[Any], Bools, Crop]:
        """Draw a crop of an image, and vary it."""
        image, chip = self.images[number], self._chip(number)
        crop = Crop.draw(
            image.width,
            image.height,
            image.boxes,
            size=self._chip_size,
            augment=self._augment,
            random=draws,
        )
        return *self._augmentation(chip, crop, source=draws, seed=seed), crop

    def open_cache(self) -> None:
        """Reserve the memory for decoded images; before processes fork, so that they share it."""
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

    def _target(self, image: LabelledImage, crop: Crop, frame: Frame) -> Target:
        """Return the labels within a frame of a crop."""
        boxes, is_object, turned = self._objects(image, crop, frame)
        regions = np.concatenate([crop.move(image.ignored), boxes[~is_object]])
        regions = cut_boxes(regions, frame)
        regions = regions[np.all(regions[:, 2:] > regions[:, :2], axis=1)]
        return Target(
            torch.from_numpy(boxes[is_object].astype(np.float32)),
            torch.from_numpy(image.labels[is_object].astype(np.int64)),
            torch.from_numpy(regions.astype(np.float32)),
            None if turned is None else torch.from_numpy(turned[is_object].astype(np.float32)),
        )

    def _objects(
        self, image: LabelledImage, crop: Crop, frame: Frame
    ) -> tuple[Floats, Bools, Floats | None]:
        """Return the boxes in a frame, whether each is an object, and the oriented boxes."""
        whole = self._whole
        if not self._oriented:
            moved = crop.move(image.boxes, image.oriented, whole=whole)
            return *share_boxes(moved, frame, whole=whole), None
        moved = crop.move_oriented(image.oriented_boxes)
        turned, is_object = share_oriented(moved, frame, whole=whole)
        return hulls(turned), is_object, turned


def count_crops(image: LabelledImage, chip_size: int) -> int:
    """Return the number of crops of an image per epoch: its area in chips, at least one.

    Args:
        image: The image.
        chip_size: Side of a crop in pixels.
    """
    return max(1, round(image.width * image.height / chip_size**2))


def reaches_over(image: LabelledImage) -> bool:
    """Whether a box of an image lies partly outside of it, as those around points may."""
    bounds = np.array([image.width, image.height])
    return bool((image.boxes[:, :2] < 0).any() or (image.boxes[:, 2:] > bounds).any())
