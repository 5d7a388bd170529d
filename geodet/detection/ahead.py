"""A generator that works ahead in a thread."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, suppress
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, NamedTuple, TypeVar

__all__ = ["iter_ahead"]

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
