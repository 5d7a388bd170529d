"""Pixels of one grid from those of another: averages where it is coarser, lines where finer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = ["Axis", "resample"]

_LEAST_DATA = 0.5  # of a pixel's weight, for it to have data


@dataclass(frozen=True)
class Axis:
    """Which pixels of a raster make some pixels of a grid over the same length, and how much each.

    The weights depend on the grid alone, never on the window, so windows tile without seams.

    Example:
        >>> Axis.between(length=6, size=3, start=1, stop=3).weights.toarray().tolist()
        [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """

    first: int
    """First pixel of the raster that is needed."""
    weights: Any
    """(stop - start, pixels needed) sparse; each row sums to 1."""

    @property
    def end(self) -> int:
        """One past the last pixel of the raster that is needed."""
        return self.first + int(self.weights.shape[1])

    @staticmethod
    def between(length: int, size: int, start: int, stop: int) -> Axis:
        """Weigh the pixels of a raster for those of a grid.

        A coarser grid takes the average of all that a pixel covers, parts of pixels by their share;
        a finer one interpolates between the two nearest centres.

        Args:
            length: Pixels of the raster.
            size: Pixels of the grid.
            start: First pixel wanted of the grid.
            stop: One past the last.
        """
        step = length / size
        places = np.arange(start, stop)
        taps, shares = _averages(places, step) if step >= 1 else _lines(places, step)
        heaviest = np.take_along_axis(taps, shares.argmax(axis=1)[:, None], axis=1)
        taps = np.clip(np.where(shares > 0, taps, heaviest), 0, length - 1)  # none is read in vain
        shares = shares / shares.sum(axis=1, keepdims=True)
        first = int(taps.min())
        rows = np.repeat(np.arange(len(places)), taps.shape[1])
        entries = (shares.ravel().astype(np.float32), (rows, taps.ravel() - first))
        shape = (len(places), int(taps.max()) - first + 1)
        return Axis(first, csr_array(entries, shape=shape))


def resample(
    pixels: NDArray[Any], data: NDArray[np.bool_], columns: Axis, rows: Axis
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Resample pixels; those without data count for nothing.

    Args:
        pixels: (C, H, W), of the ranges that the axes need.
        data: (C, H, W) or (1, H, W), True where a band has data.
        columns: Of W.
        rows: Of H.

    Returns:
        (C, h, w) in the dtype of the pixels, whole numbers rounded, and (h, w) bool, True where at
        least half of what makes a pixel has data.
    """
    if data.all():
        mixed = _apply(pixels.astype(np.float32), columns, rows)
        return _as(mixed, pixels.dtype), np.ones(mixed.shape[1:], dtype=np.bool_)
    weight = _apply(data.astype(np.float32), columns, rows)
    mixed = _apply(np.where(data, pixels, 0).astype(np.float32), columns, rows)
    mixed /= np.maximum(weight, 1e-6)
    valid = np.logical_or.reduce(weight >= _LEAST_DATA - 1e-6)
    return _as(mixed, pixels.dtype), valid


def _averages(places: NDArray[Any], step: float) -> tuple[NDArray[Any], NDArray[Any]]:
    begin, end = places * step, (places + 1) * step
    taps = np.floor(begin).astype(int)[:, None] + np.arange(math.ceil(step) + 1)
    shared = np.minimum(end[:, None], taps + 1) - np.maximum(begin[:, None], taps)
    return taps, np.where(shared < 1e-9, 0, shared)


def _lines(places: NDArray[Any], step: float) -> tuple[NDArray[Any], NDArray[Any]]:
    centre = (places + 0.5) * step - 0.5
    left = np.floor(centre).astype(int)
    return left[:, None] + np.arange(2), np.stack([1 - (centre - left), centre - left], axis=1)


def _apply(pixels: NDArray[np.float32], columns: Axis, rows: Axis) -> NDArray[np.float32]:
    """Weigh rows, then columns: (C, H, W) to (C, h, w)."""
    bands, height, width = pixels.shape
    tall = rows.weights @ pixels.transpose(1, 0, 2).reshape(height, bands * width)
    turned = tall.reshape(-1, bands, width).transpose(2, 1, 0)  # (W, C, h)
    wide = columns.weights @ turned.reshape(width, -1)
    return np.ascontiguousarray(wide.reshape(-1, bands, len(tall)).transpose(1, 2, 0))


def _as(mixed: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    return mixed.astype(dtype) if dtype.kind == "f" else np.floor(mixed + 0.5).astype(dtype)
