"""Windows read ahead by threads, in order, a bounded number at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from geodet.scene import Chip, Scene
from geodet.windows import WindowGrid

__all__ = ["iter_chips"]


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
