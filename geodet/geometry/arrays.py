"""Types of arrays, large arrays in memory of their own, and the bounds of many shapes."""

from __future__ import annotations

import math
import mmap
import sys
import weakref
from collections import deque
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "Bools",
    "Floats",
    "Ints",
    "all_true",
    "drop_spare_pages",
    "empty_apart",
    "is_all_true",
    "shape_bounds",
]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEAST_BYTES = 2**17
_MOST_SPARE = 256 * 2**20  # bytes


def empty_apart(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array in memory pages of its own.

    Pixels that are read ahead outlive much of what a network allocates and frees meanwhile. On the
    heap they would fragment it, and a process would grow by a quarter. Small arrays are on the
    heap.

    The pages of an array that was freed serve the next array of its size: getting new ones from the
    system takes several times as long as filling them with pixels.

    Args:
        shape: Shape of the array.
        dtype: Data type of its values, which are not initialised.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < _LEAST_BYTES:
        return np.empty(shape, dtype)
    pages = _spare.take(size)
    array = np.frombuffer(pages, dtype)
    # Views keep this array alive, so no part of the pages is in use when it is gone.
    weakref.finalize(array, _spare.keep, pages).atexit = False
    return array.reshape(shape)


def drop_spare_pages() -> None:
    """Return the pages that no array uses to the system."""
    _spare.clear()


class _SparePages:
    """Memory pages that no array uses, by their size.

    It has no lock, which a thread could hold when the end of an array interrupts it. The methods of
    deques are atomic.
    """

    def __init__(self) -> None:
        self._by_size: dict[int, deque[mmap.mmap]] = {}

    def take(self, size: int) -> mmap.mmap:
        """Return spare pages, or new ones in place of spare ones of other sizes."""
        try:
            return self._by_size[size].pop()
        except (KeyError, IndexError):
            self._make_room(size)
            return _take_pages(size)

    def keep(self, pages: mmap.mmap) -> None:
        """Keep pages, unless many are kept."""
        if self._bytes() + len(pages) <= _MOST_SPARE:
            self._by_size.setdefault(len(pages), deque()).append(pages)

    def clear(self) -> None:
        """Drop all pages."""
        self._by_size.clear()

    def _bytes(self) -> int:
        return sum(size * len(kept) for size, kept in list(self._by_size.items()))

    def _make_room(self, size: int) -> None:
        """Drop pages of other sizes, so that spare ones do not add to those in use."""
        for other, kept in list(self._by_size.items()):
            while kept and size > 0:
                kept.popleft()
                size -= other
            if not kept:
                self._by_size.pop(other, None)


_spare = _SparePages()


def all_true(shape: tuple[int, ...]) -> Bools:
    """Return an array of True that takes one byte and cannot be written."""
    # Ten times as fast as numpy.broadcast_to; the buffer is bytes, so the array is read-only.
    return np.ndarray(shape, np.bool_, b"\1", strides=(0,) * len(shape))


def is_all_true(array: Bools) -> bool:
    """Whether all values are True; at once for those that :func:`all_true` returns."""
    return bool(array.all() if any(array.strides) else array.flat[0])


def _take_pages(size: int) -> mmap.mmap:
    if sys.platform == "win32":
        pages = mmap.mmap(-1, size)
    else:
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return pages


def shape_bounds(coordinates: Floats) -> Floats:
    """Return the bounds of shapes: least x and y, greatest x and y.

    Args:
        coordinates: (N, P, 2) x and y of the P points of each shape.

    Returns:
        (N, 4), NaN where a shape has no place.
    """
    points = coordinates.swapaxes(0, 1)  # min(axis=1) of four takes twice as long
    low, high = (reduce(choose, points) for choose in (np.minimum, np.maximum))
    return np.hstack([low, high])
