"""Distinguish an alpha band from one that is only flagged as alpha, such as near-infrared.

TIFF writers flag the fourth band as alpha by default, and chips of NAIP, whose fourth band is
near-infrared, are often written so. Opacity is the same in most places; imagery varies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window as RasterioWindow

__all__ = ["varies_like_imagery"]

_PLACES = (1 / 6, 1 / 2, 5 / 6)  # of the width and of the height
_SIDE = 64  # pixels of a sample
_MOST_OVERVIEW = 1024
_MOST_SEQUENTIAL = 2**22  # pixels of a file that is decoded as a whole
_LEAST_PIXELS, _LEAST_VALUES = 64, 16
_MOST_ALIKE = 0.5  # of the opaque pixels of an alpha band, at least so many have one value
_SEQUENTIAL = {"PNG", "WEBP"}


def varies_like_imagery(dataset: Any, band: int) -> bool:
    """Whether a band has many values, of which none is the usual one, in samples of a raster.

    Args:
        dataset: An open raster.
        band: A band that is flagged as alpha, counted from 1.

    Raises:
        rasterio.errors.RasterioError: The samples cannot be read.
    """
    if dataset.driver in _SEQUENTIAL and dataset.width * dataset.height > _MOST_SEQUENTIAL:
        return False
    values = _sample(dataset, band)
    # What fills the ground without data is not imagery.
    values = values[(values != 0) & (values != dataset.nodatavals[band - 1])]
    if len(values) < _LEAST_PIXELS:
        return False
    counts = np.unique(values, return_counts=True)[1]
    return len(counts) >= _LEAST_VALUES and bool(counts.max() < _MOST_ALIKE * len(values))


def _sample(dataset: Any, band: int) -> NDArray[Any]:
    """Read the smallest overview of a band, or nine places of it: (N,) values."""
    smallest = max(dataset.overviews(band), default=0)
    width, height = dataset.width, dataset.height
    if smallest and max(width, height) / smallest <= _MOST_OVERVIEW:
        shape = (max(height // smallest, 1), max(width // smallest, 1))
        values: NDArray[Any] = dataset.read(band, out_shape=shape, resampling=Resampling.nearest)
        return values.ravel()
    side_x, side_y = min(_SIDE, width), min(_SIDE, height)
    samples = [
        dataset.read(band, window=RasterioWindow(int(x), int(y), side_x, side_y)).ravel()
        for y in _starts(height, side_y)
        for x in _starts(width, side_x)
    ]
    return np.concatenate(samples)


def _starts(length: int, side: int) -> list[float]:
    return sorted({float(min(max(length * at - side // 2, 0), length - side)) for at in _PLACES})
