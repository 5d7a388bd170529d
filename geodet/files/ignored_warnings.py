"""Warnings that are ignored for some time, whichever threads need it meanwhile."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

__all__ = ["ignoring_warnings"]


class _Silence:
    """Ignores warnings from when the first thread begins a block until the last one ends its own.

    ``warnings.catch_warnings`` alone is not made for threads: one that ends its block brings back
    the filters of its beginning, also for the others. A lock would make all others wait for one
    that waits for a server.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._filters = contextlib.ExitStack()

    def begin(self, category: type[Warning]) -> None:
        with self._lock:
            if self._count == 0:
                self._filters.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", category)
            self._count += 1

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0:
                self._filters.close()


_silence = _Silence()


@contextlib.contextmanager
def ignoring_warnings(category: type[Warning] = Warning) -> Iterator[None]:
    """Ignore warnings for the duration of a ``with`` block, on any number of threads at a time.

    Args:
        category: Their class.
    """
    _silence.begin(category)
    try:
        yield
    finally:
        _silence.end()
