"""Chips on which nothing can be found, told from their pixels alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.windows import WindowGrid
from geodet.raster.scene import Chip, Scene

__all__ = ["SMALLEST_PX", "is_uniform", "iter_chips", "local_contrast"]


def iter_chips(
    scene: Scene,
    grid: WindowGrid,
    *,
    workers: int,
    ahead: int,
    indices: Iterable[int] | None = None,
) -> Generator[tuple[int, Chip], None, None]:
    """Read the windows of a grid in their order.

    Args:
        scene: What to read; each thread has a handle of its own.
        grid: Windows in the pixels of the scene's grid.
        workers: Threads.
        ahead: Most chips in memory that the caller has not asked for yet, at least 1.
        indices: The windows to read, in rising order; None: all.

    Yields:
        The window's index and its chip.

    Raises:
        SceneError: A window cannot be read; the threads have ended by then.
    """
    rest = iter(range(len(grid)) if indices is None else indices)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="geodet-read")
    pending: deque[tuple[int, Future[Chip]]] = deque()
    try:
        for index in islice(rest, ahead):
            pending.append((index, pool.submit(scene.read, grid[index])))
        while pending:
            index, future = pending.popleft()
            chip = future.result()
            for following in islice(rest, 1):
                pending.append((following, pool.submit(scene.read, grid[following])))
            yield index, chip
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


Floats = NDArray[np.float32]

SMALLEST_PX = 5
"""Side of the smallest object that is seen wherever it lies, in pixels."""
_BLOCK = 3  # any 5 pixels in a row hold 3 that are one block, wherever the blocks begin
_APART = 2  # blocks: between a block inside of an edge and one outside lies at most a mixed one


def is_uniform(chip: Chip, std: Sequence[float], *, contrast: float) -> bool:
    """Tell whether a chip is featureless: open water, snow, fill.

    Law: a chip in which an object of :data:`SMALLEST_PX` pixels or more differs from the ground
    around it by more than ``contrast`` in one band is never uniform, wherever the object lies.
    What varies slowly, such as the glint of the sun, does not count, and the noise of single pixels
    a third.

    Args:
        chip: Of C bands.
        std: C deviations that the network divides by, in the units of the chip.
        contrast: In deviations.
    """
    differences = local_contrast(chip) / np.asarray(std, np.float32)
    return not bool((differences > contrast).any())


def local_contrast(chip: Chip) -> Floats:
    """Measure the largest difference between close places of a chip: (C,) in its units.

    The places are means of blocks of 3 x 3 pixels, two blocks apart in a row or a column: no
    pixel is left out, as one of a sample would be, and no large scale counts, as in a deviation. 0
    where a chip has less than two such places.
    """
    # A nodata value that the file does not declare, such as -3.4e38, may overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        blocks = _block_means(chip)  # (C, H / 3, W / 3)
        down = np.abs(blocks[:, _APART:] - blocks[:, :-_APART])
        across = np.abs(blocks[:, :, _APART:] - blocks[:, :, :-_APART])
    most = np.zeros(len(blocks), np.float32)
    for steps in (down, across):
        if steps.size:
            most = np.fmax(most, np.fmax.reduce(steps, axis=(1, 2)))
    return most


def _block_means(chip: Chip) -> Floats:
    """Average blocks over their valid pixels: (C, H // 3, W // 3), not a number without one."""
    if chip.valid.all():
        whole = _block_sums(chip.pixels, _type_of_sums(chip.pixels.dtype))
        return whole.astype(np.float32) / np.float32(_BLOCK**2)
    filled = np.where(chip.valid, chip.pixels, chip.pixels.dtype.type(0))
    counts = _block_sums(chip.valid[None], np.dtype(np.uint16)).astype(np.float32)
    sums = _block_sums(filled, _type_of_sums(chip.pixels.dtype))
    means: Floats = np.divide(sums, np.where(counts > 0, counts, np.nan), dtype=np.float32)
    return means


def _block_sums(pixels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Add up blocks, first in columns and then in rows: (C, H // 3, W // 3)."""
    _, height, width = pixels.shape
    whole = pixels[:, : height // _BLOCK * _BLOCK, : width // _BLOCK * _BLOCK]
    columns = np.add(whole[:, ::3], whole[:, 1::3], dtype=dtype)
    columns += whole[:, 2::3]
    sums: NDArray[Any] = columns[:, :, ::3] + columns[:, :, 1::3]
    sums += columns[:, :, 2::3]
    return sums


def _type_of_sums(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Choose what holds nine pixels: 16 bits for bytes, which are quick to add."""
    return np.dtype(np.uint16 if dtype == np.uint8 else np.float32)
