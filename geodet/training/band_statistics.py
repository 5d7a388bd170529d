"""Mean, deviation and range of the training pixels in each band."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from geodet.errors import TilesetError
from geodet.geometry.arrays import Floats
from geodet.tilesets.displayed_images import read_chip
from geodet.tilesets.labels import LabelledImage
from geodet.tilesets.pixel_types import describe_mixed_types

__all__ = ["BandStatistics", "measure_bands"]

logger = logging.getLogger(__name__)


class BandStatistics(NamedTuple):
    """Statistics of the training pixels, one value per band, in the units of the data."""

    mean: list[float]
    std: list[float]
    """Standard deviation, positive."""
    low: list[float]
    """The 0.1 % quantile."""
    high: list[float]
    """The 99.9 % quantile."""


def measure_bands(images: Sequence[LabelledImage], bands: Sequence[int]) -> BandStatistics:
    """Measure the valid pixels of at most 1000 images, spread over the sequence.

    Images of several types, such as bytes beside 16 bits, are warned of.

    Args:
        images: At least one.
        bands: Bands to read, counted from 1; empty: all.

    Raises:
        TilesetError: The images differ in their number of bands, or no pixel has data.
    """
    step = max(1, len(images) // 500)
    parts: list[Floats] = []
    types: dict[str, LabelledImage] = {}
    for image in images[::step]:
        chip = read_chip(image, bands)
        if parts and len(chip.pixels) != len(parts[0]):
            raise TilesetError(
                f"{image.path} has {len(chip.pixels)} bands, and others have {len(parts[0])}",
                hint="name the bands to use with data.bands",
                path=image.path,
            )
        types.setdefault(chip.pixels.dtype.name, image)
        values = chip.pixels[:, chip.valid].astype(np.float64)  # (C, valid pixels)
        parts.append(values[:, :: max(1, values.shape[1] // 10_000)])
    if mixed := describe_mixed_types(types):
        logger.warning("%s", mixed)
    values = np.concatenate(parts, axis=1)
    if not values.size:
        raise TilesetError(
            f"no pixel of the training images has data, from {images[0].path} on",
            hint="check the nodata value that the files declare, their masks and their alpha bands",
            path=images[0].path,
        )
    low, high = np.quantile(values, [0.001, 0.999], axis=1)
    std = np.maximum(values.std(axis=1), 1e-6)  # a constant band must not divide by zero
    return BandStatistics(values.mean(axis=1).tolist(), std.tolist(), low.tolist(), high.tolist())
