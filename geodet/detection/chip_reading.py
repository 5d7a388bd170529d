"""Read the chips of a grid ahead of the network, and recognise those without features."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.detection.ahead import end_pool
from geodet.geometry.arrays import empty_apart, is_all_true
from geodet.geometry.windows import Window, WindowGrid
from geodet.models.device import count_cores
from geodet.raster.chip import Chip
from geodet.raster.scene import Scene

__all__ = ["SMALLEST_PX", "count_readers", "is_uniform", "iter_chips", "local_contrast"]

_READERS = 2  # beside a CPU, which computes meanwhile
_MOST_READERS = 16  # beside a GPU: more of them wait for each other
_REMOTE_READERS = 8  # beside a CPU: they wait for a server for most of their time


def count_readers(workers: int | None, device_type: str, *, is_remote: bool = False) -> int:
    """Return the number of threads that read chips ahead.

    Args:
        workers: The setting; None: chosen by the device and the cores that this process may use.
        device_type: ``cpu`` or ``cuda``.
        is_remote: Whether they read over a network, where most of them wait.
    """
    if workers is not None:
        return workers
    if is_remote:
        return _REMOTE_READERS if device_type == "cpu" else _MOST_READERS
    return _READERS if device_type == "cpu" else max(_READERS, min(count_cores(), _MOST_READERS))


def iter_chips(
    scene: Scene,
    grid: WindowGrid,
    *,
    workers: int,
    ahead: int,
    indices: Iterable[int] | None = None,
) -> Generator[tuple[int, Chip], None, None]:
    """Read the windows of a grid in order, on several threads.

    Args:
        scene: The scene.
        grid: Windows in the pixels of the scene's grid.
        workers: Number of reader threads.
        ahead: Most chips that are read before the caller asks for them, at least 1.
        indices: Indices of the windows to read, in rising order; None: all.

    Yields:
        The index of a window, and its chip, without data where the window lies outside of the grid.

    Raises:
        SceneError: A window cannot be read. The threads have ended by then.
    """
    rest = iter(range(len(grid)) if indices is None else indices)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="geodet-read")
    pending: deque[tuple[int, Future[Chip]]] = deque()
    try:
        for index in islice(rest, ahead):
            pending.append((index, _submit(pool, scene, grid, index)))
        while pending:
            index, future = pending.popleft()
            chip = future.result()
            for following in islice(rest, 1):
                pending.append((following, _submit(pool, scene, grid, following)))
            yield index, chip
    finally:
        end_pool(pool, [future for _, future in pending], scene.abandon_reads)


def _submit(pool: ThreadPoolExecutor, scene: Scene, grid: WindowGrid, index: int) -> Future[Chip]:
    """Schedule a window; its blocks are kept from now on, not from when a thread begins."""
    window = grid[index]
    inner = window.from_corner()
    first = grid[grid.windows_of_line(grid.line(index))[0]].from_corner()
    below = grid.row_below(index)
    forget = scene.expect(inner, next_row=below, first_column=first.col_off)
    future = pool.submit(_read, scene, window, inner)
    future.add_done_callback(lambda _: forget())
    return future


def _read(scene: Scene, window: Window, inner: Window) -> Chip:
    """Read the inner part of a window, and add what lies before the first column and row."""
    chip = scene.read(inner)
    if inner == window:
        return chip
    shape = (window.height, window.width)
    part = np.s_[inner.row_off - window.row_off :, inner.col_off - window.col_off :]
    pixels = empty_apart((len(chip.pixels), *shape), chip.pixels.dtype)
    valid = empty_apart(shape, np.bool_)
    pixels[:], valid[:] = 0, False
    pixels[:, *part], valid[part] = chip.pixels, chip.valid
    return Chip(window, pixels, valid)


_Contrast = NDArray[np.float32]

SMALLEST_PX = 5
"""Side in pixels of the smallest object for which :func:`is_uniform` is never true."""
_BLOCK = 3  # of any 5 pixels in a row, 3 are a whole block, wherever the blocks begin
_APART = 2  # blocks; at most one block lies across an edge, between those inside and outside


def is_uniform(chip: Chip, std: Sequence[float], *, contrast: float) -> bool:
    """Whether a chip has no features: open water, snow, fill.

    Law: a chip in which an object of at least :data:`SMALLEST_PX` pixels a side differs from its
    surroundings by more than ``contrast`` in one band is never uniform, wherever the object lies.
    Slow variations, such as sun glint, do not count; the noise of single pixels counts a third.

    Args:
        chip: A chip of C bands.
        std: C standard deviations that the network divides by, in the units of the chip.
        contrast: In standard deviations.
    """
    differences = local_contrast(chip) / np.asarray(std, np.float32)
    return not bool((differences > contrast).any())


def local_contrast(chip: Chip) -> _Contrast:
    """Measure the largest difference between close places of a chip.

    The places are means of blocks of 3 x 3 pixels, two blocks apart in a row or a column. Every
    pixel counts, unlike in a sample, and large scales do not, unlike in a standard deviation.

    Returns:
        (C,) in the units of the chip; 0 where a chip has fewer than two such places.
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


def _block_means(chip: Chip) -> _Contrast:
    """Average blocks over their valid pixels: (C, H // 3, W // 3), NaN where none is valid."""
    if is_all_true(chip.valid):
        whole = _block_sums(chip.pixels, _type_of_sums(chip.pixels.dtype))
        return whole.astype(np.float32) / np.float32(_BLOCK**2)
    filled = np.where(chip.valid, chip.pixels, chip.pixels.dtype.type(0))
    counts = _block_sums(chip.valid[None], np.dtype(np.uint16)).astype(np.float32)
    sums = _block_sums(filled, _type_of_sums(chip.pixels.dtype))
    means: _Contrast = np.divide(sums, np.where(counts > 0, counts, np.nan), dtype=np.float32)
    return means


def _block_sums(pixels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Sum blocks, first along columns and then along rows: (C, H // 3, W // 3)."""
    _, height, width = pixels.shape
    whole = pixels[:, : height // _BLOCK * _BLOCK, : width // _BLOCK * _BLOCK]
    columns = np.add(whole[:, ::3], whole[:, 1::3], dtype=dtype)
    columns += whole[:, 2::3]
    sums: NDArray[Any] = columns[:, :, ::3] + columns[:, :, 1::3]
    sums += columns[:, :, 2::3]
    return sums


def _type_of_sums(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Choose a type that holds the sum of nine pixels: 16 bits for bytes, which add fast."""
    return np.dtype(np.uint16 if dtype == np.uint8 else np.float32)
