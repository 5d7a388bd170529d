"""Types of arrays, and large arrays in memory of their own."""

from __future__ import annotations

import math
import mmap
import sys
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Bools", "Floats", "Ints", "empty_apart"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEAST_BYTES = 2**17


def empty_apart(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array in memory pages of its own, which return to the system with it.

    Pixels that are read ahead outlive much of what a network allocates and frees meanwhile. On the
    heap they would fragment it, and a process would grow by a quarter. Small arrays are on the
    heap.

    Args:
        shape: Of the array.
        dtype: Of its values, which are not initialised.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < _LEAST_BYTES:
        return np.empty(shape, dtype)
    return np.frombuffer(_take_pages(size), dtype).reshape(shape)


def _take_pages(size: int) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
