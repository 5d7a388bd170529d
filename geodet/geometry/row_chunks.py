"""Work on the rows of long arrays in chunks that fit the cache of a core, on several of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from geodet.geometry.arrays import Floats

__all__ = ["map_rows"]

_ROWS = 2**15
_MOST_THREADS = 4


def map_rows(work: Callable[[Floats], Floats], rows: Floats) -> Floats:
    """Apply a function to chunks of rows, and join the results.

    NumPy lets other threads run meanwhile, and temporary arrays of a chunk stay in the cache.

    Args:
        work: Returns as many rows as it is given, each from its own row alone.
        rows: (N, ...).

    Returns:
        (N, ...) what the function returns of all rows.
    """
    starts = range(0, max(len(rows), 1), _ROWS)
    if len(starts) == 1:
        return work(rows)
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(lambda at: work(rows[at : at + _ROWS]), starts)))
