"""Decoded chips in memory that all loading processes share."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.windows import Window
from geodet.raster.scene import Chip

__all__ = ["ChipCache"]


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
