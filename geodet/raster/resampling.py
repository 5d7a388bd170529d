"""Resample pixels to another grid: by averages to a coarser one, linearly to a finer one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Ints, all_true, is_all_true

__all__ = ["AxisWeights", "resample"]

_ROWS_AT_ONCE = 32  # stay in the processor's cache
_LEAST_DATA = 0.5  # share of a pixel's weight that must have data


@dataclass(frozen=True)
class AxisWeights:
    """Weights of the pixels of a raster in the pixels of a grid, along one axis.

    They depend on the grid and not on the window, so that windows tile without seams.

    Example:
        >>> axis = AxisWeights.between(length=6, size=3, start=1, stop=3)
        >>> axis.first, axis.taps.tolist(), axis.shares.tolist()
        (2, [[0, 1], [2, 3]], [[0.5, 0.5], [0.5, 0.5]])
    """

    first: int
    """Index of the first pixel of the raster that is needed."""
    taps: Ints
    """(stop - start, T) pixels that each pixel of the grid is made of, from the first."""
    shares: NDArray[np.float32]
    """(stop - start, T) their weights; each row sums to 1."""

    @property
    def end(self) -> int:
        """Index of the last pixel of the raster that is needed, plus 1."""
        return self.first + int(self.taps.max()) + 1

    def apply(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mix the rows of an image: those needed, (N, M), to (stop - start, M)."""
        mixed = np.empty((len(self.taps), pixels.shape[1]), np.float32)
        weighted = np.empty((_ROWS_AT_ONCE, pixels.shape[1]), np.float32)
        for start in range(0, len(mixed), _ROWS_AT_ONCE):
            some = slice(start, start + _ROWS_AT_ONCE)
            total = mixed[some]
            part = weighted[: len(total)]
            for number, (tap, share) in enumerate(
                zip(self.taps[some].T, self.shares[some].T, strict=True)
            ):
                into = part if number else total
                np.take(pixels, tap, axis=0, out=into, mode="clip")  # without a bounds check
                into *= share[:, None]
                if number:
                    total += part
        return mixed

    @staticmethod
    @lru_cache(
        maxsize=256
    )  # the windows of a column have the same weights, and so have those of a row
    def between(length: int, size: int, start: int, stop: int) -> AxisWeights:
        """Compute the weights for some pixels of a grid.

        A pixel of a coarser grid is the average of what it covers, with parts of pixels by their
        share; one of a finer grid is interpolated between the two nearest centres.

        Args:
            length: Pixels of the raster along the axis.
            size: Pixels of the grid over the same length.
            start: Index of the first pixel of the grid.
            stop: Index of the last one, plus 1.
        """
        step = length / size
        places = np.arange(start, stop)
        taps, shares = _averages(places, step) if step >= 1 else _interpolations(places, step)
        heaviest = np.take_along_axis(taps, shares.argmax(axis=1)[:, None], axis=1)
        needed = np.where(shares > 0, taps, heaviest)  # no pixel of weight 0 is read
        taps = np.clip(needed, 0, length - 1)
        shares = shares / shares.sum(axis=1, keepdims=True)
        used = shares.any(axis=0)
        first = int(taps.min())
        return AxisWeights(first, taps[:, used] - first, shares[:, used].astype(np.float32))


def resample(
    pixels: NDArray[Any], data: NDArray[np.bool_], columns: AxisWeights, rows: AxisWeights
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Resample pixels; those without data have no weight.

    Args:
        pixels: (C, H, W), the pixels that the weights need.
        data: (C, H, W) or (1, H, W), True where a band has data.
        columns: Weights along W.
        rows: Weights along H.

    Returns:
        (C, h, w) in the dtype of the pixels, rounded if that is an integer, and (h, w) bool, True
        where at least half of the weight of a pixel has data.
    """
    if is_all_true(data):
        mixed = _apply(pixels.astype(np.float32), columns, rows)
        return _to_dtype(mixed, pixels.dtype), all_true(mixed.shape[1:])
    weight = _apply(data.astype(np.float32), columns, rows)
    mixed = _apply(np.where(data, pixels, 0).astype(np.float32), columns, rows)
    mixed /= np.maximum(weight, 1e-6)
    valid = np.logical_or.reduce(weight >= _LEAST_DATA - 1e-6)
    return _to_dtype(mixed, pixels.dtype), valid


def _averages(places: NDArray[Any], step: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return pixels and weights (N, T) of averages over what N pixels of the grid cover."""
    begin, end = places * step, (places + 1) * step
    taps = np.floor(begin).astype(int)[:, None] + np.arange(math.ceil(step) + 1)
    shared = np.minimum(end[:, None], taps + 1) - np.maximum(begin[:, None], taps)
    return taps, np.where(shared < 1e-9, 0, shared)


def _interpolations(places: NDArray[Any], step: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return pixels and weights (N, 2) of interpolations at the centres of N pixels."""
    centre = (places + 0.5) * step - 0.5
    left = np.floor(centre).astype(int)
    return left[:, None] + np.arange(2), np.stack([1 - (centre - left), centre - left], axis=1)


def _apply(
    pixels: NDArray[np.float32], columns: AxisWeights, rows: AxisWeights
) -> NDArray[np.float32]:
    """Apply weights along rows, then along columns: (C, H, W) to (C, h, w)."""
    bands, height, width = pixels.shape
    tall = rows.apply(pixels.transpose(1, 0, 2).reshape(height, bands * width))
    turned = tall.reshape(-1, bands, width).transpose(2, 1, 0)  # (W, C, h)
    wide = columns.apply(turned.reshape(width, -1))
    return np.ascontiguousarray(wide.reshape(-1, bands, len(tall)).transpose(1, 2, 0))


def _to_dtype(mixed: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Convert to a dtype; round to the nearest integer, halves up."""
    return mixed.astype(dtype) if dtype.kind == "f" else np.floor(mixed + 0.5).astype(dtype)
