"""Windows read ahead by threads, in order, a bounded number at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from geodet.scene import Chip, Scene
from geodet.windows import WindowGrid

__all__ = ["iter_batches", "iter_chips"]


def iter_chips(
    scene: Scene, grid: WindowGrid, *, workers: int, ahead: int
) -> Iterator[tuple[int, Chip]]:
    """Read the windows of a grid in their order.

    Args:
        scene: What to read; each thread has a handle of its own.
        grid: Windows in the pixels of the scene's grid.
        workers: Threads.
        ahead: Most chips in memory that the caller has not asked for yet, at least 1.

    Yields:
        The window's index and its chip.

    Raises:
        SceneError: A window cannot be read; the threads have ended by then.
    """
    indices = iter(range(len(grid)))
    pool = ThreadPoolExecutor(workers, thread_name_prefix="geodet-read")
    pending: deque[tuple[int, Future[Chip]]] = deque()
    try:
        for index in islice(indices, ahead):
            pending.append((index, pool.submit(scene.read, grid[index])))
        while pending:
            index, future = pending.popleft()
            chip = future.result()
            for following in islice(indices, 1):
                pending.append((following, pool.submit(scene.read, grid[following])))
            yield index, chip
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def iter_batches(
    scene: Scene, grid: WindowGrid, *, workers: int, batch_size: int
) -> Iterator[list[tuple[int, Chip | None]]]:
    """Group the chips of a grid into batches of up to ``batch_size`` chips with data.

    Yields:
        Index and chip, or index and None for a window without a valid pixel, so that nothing is
        lost from the count.
    """
    batch: list[tuple[int, Chip | None]] = []
    with_data = 0
    ahead = max(2 * batch_size, workers)
    for index, chip in iter_chips(scene, grid, workers=workers, ahead=ahead):
        has_data = bool(chip.valid.any())
        batch.append((index, chip if has_data else None))
        with_data += has_data
        if with_data == batch_size:
            yield batch
            batch, with_data = [], 0
    if batch:
        yield batch
