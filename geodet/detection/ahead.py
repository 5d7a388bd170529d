"""Stages that work at the same time: a generator in a thread, and a function behind one."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing, suppress
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, Generic, NamedTuple, TypeVar

__all__ = ["CallsBehind", "iter_ahead"]

_Item = TypeVar("_Item")

_PATIENCE = 0.02  # seconds until a thread that is to end is looked at again


class _End(NamedTuple):
    """The last thing that a stage hands on."""

    error: BaseException | None = None


def iter_ahead(
    items: Generator[_Item, None, None], *, most: int, name: str
) -> Generator[_Item, None, None]:
    """Yield items that a thread of its own computes meanwhile, in their order.

    An error of the thread is raised where its item would have come. When this generator ends or is
    closed, the other one is closed, and the thread has ended.

    Args:
        items: Runs in the thread.
        most: Most items that wait to be taken; the thread computes one more.
        name: Name of the thread.
    """
    waiting: Queue[_Item | _End] = Queue(most)
    is_over = Event()
    work = (items, waiting, is_over)
    thread = Thread(target=_pass_on, args=work, name=name, daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
            del item  # it may hold memory that the next one needs
        if item.error is not None:
            raise item.error
    finally:
        is_over.set()
        while thread.is_alive():  # it may wait for room
            with suppress(Empty):
                waiting.get_nowait()
            thread.join(_PATIENCE)


def _pass_on(items: Generator[Any, None, None], waiting: Queue[Any], is_over: Event) -> None:
    """Put items, and then how they ended."""
    end = _End()
    try:
        with closing(items):
            for item in items:
                waiting.put(item)
                del item
                if is_over.is_set():
                    break
    except BaseException as error:  # raised again in the thread that takes the items
        end = _End(error)
    waiting.put(end)


class CallsBehind(Generic[_Item]):
    """Calls a function with one item after the other, in a thread of its own, in a ``with`` block.

    The calls are complete at the end of the block, unless it ends in an error: then items that wait
    are dropped. The error of a call is raised by the next :meth:`add`, or at the end of the block;
    no later item is passed on.

    Args:
        function: Called with each item.
        most: Most items that wait for it.
        name: Name of the thread.
    """

    def __init__(self, function: Callable[[_Item], None], *, most: int, name: str) -> None:
        self._function = function
        self._waiting: Queue[_Item | _End] = Queue(most)
        self._error: BaseException | None = None
        self._is_over = False
        self._thread = Thread(target=self._work, name=name, daemon=True)

    def __enter__(self) -> CallsBehind[_Item]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._is_over = kind is not None
        self._waiting.put(_End())
        self._thread.join()
        if kind is None:
            self._raise()

    def add(self, item: _Item) -> None:
        """Pass on an item; wait while too many are waiting.

        Raises:
            BaseException: What an earlier call has raised.
        """
        self._raise()
        self._waiting.put(item)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while not isinstance(item := self._waiting.get(), _End):
            if self._error is None and not self._is_over:
                try:
                    self._function(item)
                except BaseException as error:  # raised again in the thread that adds
                    self._error = error
