"""Runs side by side, each lane a process of its own, and a file that remembers their results."""

from __future__ import annotations

import json
import math
import statistics
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

Result = dict[str, Any]
T = TypeVar("T")


def read_results(path: Path) -> dict[str, Result]:
    """Read results by key; the last of equal keys counts, a line cut short does not."""
    found: dict[str, Result] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            result = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[result["key"]] = result
    return found


def append_result(path: Path, result: Result) -> None:
    """Add one line to the file of results."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")


def spread(values: Sequence[float | None], digits: int = 3) -> str:
    """Write the mean and the standard deviation of what there is."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return "-"
    deviation = f" ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else ""
    return f"{statistics.mean(known):.{digits}f}{deviation}"


def run_lanes(
    items: Iterable[T],
    work: Callable[[T], Result],
    done: Callable[[T, Result], None],
    *,
    lanes: int,
) -> None:
    """Work on the items in their order, some at a time.

    A process that dies, for want of memory for example, costs its item alone.

    Args:
        items: What to work on; it is sent to another process.
        work: A function at the top of a module.
        done: Called in this process with each result, one at a time.
        lanes: Processes.
    """
    waiting, lock = iter(items), threading.Lock()

    def lane() -> None:
        pool = _new_process()
        for item in _shared(waiting, lock):
            try:
                result = pool.submit(work, item).result()
            except BrokenProcessPool:
                result, pool = {"outcome": "failed", "why": "its process died"}, _new_process()
            with lock:
                done(item, result)
        pool.shutdown()

    with ThreadPoolExecutor(lanes) as threads:
        for future in [threads.submit(lane) for _ in range(lanes)]:
            future.result()


def _new_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _shared(waiting: Iterator[T], lock: threading.Lock) -> Iterator[T]:
    while True:
        with lock:
            try:
                item = next(waiting)
            except StopIteration:
                return
        yield item
