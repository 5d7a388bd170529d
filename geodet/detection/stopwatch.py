"""Time the stages of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

__all__ = ["Stopwatch"]

_T = TypeVar("_T")


class Stopwatch:
    """Seconds spent in named stages, which do not nest.

    Where several threads work, the stages take longer together than the run.

    Args:
        settle: Called before the clock is read. If it waits for a device that works on its own,
            each stage is charged with the work that it started; otherwise the stage that needs the
            result is.
    """

    def __init__(self, settle: Callable[[], None] | None = None) -> None:
        self.seconds: dict[str, float] = {}
        """By stage, in the order in which the stages first came."""
        self.settles = settle is not None
        """Whether the stages must run one after another, so that each is timed alone."""
        self._settle = settle or (lambda: None)
        self._adding = Lock()

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time of a ``with`` block to a stage, also if it ends in an error."""
        start = self._now()
        try:
            yield
        finally:
            taken = self._now() - start
            with self._adding:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + taken

    def measure_each(self, stage: str, items: Iterable[_T]) -> Iterator[_T]:
        """Yield items, and add the time that each takes to come to a stage."""
        iterator = iter(items)
        while True:
            with self.measure(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def _now(self) -> float:
        self._settle()
        return time.perf_counter()
