"""Compute the items of generators ahead, in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, NamedTuple, TypeVar

__all__ = ["end_pool", "iter_ahead", "map_ahead"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_PATIENCE = 0.02  # seconds between checks of whether a thread has ended


def _go_on() -> None:
    """Do nothing: calls that run are left to end by themselves."""


class _End(NamedTuple):
    """Marks the end of the items, with the error that ended them, if any."""

    error: BaseException | None = None


def iter_ahead(
    items: Generator[_Item, None, None], *, most: int, name: str
) -> Generator[_Item, None, None]:
    """Yield the items of a generator in order, while a thread computes the following ones.

    An error of the thread is raised where its item would have come. When this generator ends or is
    closed, ``items`` is closed, and the thread has ended.

    Args:
        items: The generator, which runs in the thread.
        most: Items that may wait to be taken, at most; the thread computes one more.
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


def map_ahead(
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    threads: int,
    name: str,
    abandon: Callable[[], None] = _go_on,
) -> Generator[_Result, None, None]:
    """Yield the function of each item, in their order, while threads compute the following ones.

    The items are taken by the thread of the caller. An error of the items is raised after the
    results of those before it, and one of the function where its result would have come. When the
    generator ends or is closed, the threads have ended.

    Args:
        function: Runs in several threads at once.
        items: As many as there are threads, and one more, are taken before the first result.
        threads: Number of threads.
        name: Prefix of the names of the threads.
        abandon: Called where the generator is closed early, to end what the function waits for.
    """
    rest, error = iter(items), None
    waiting: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        while error is None:
            try:
                waiting.append(pool.submit(function, next(rest)))
            except StopIteration:
                break
            except Exception as raised:  # raised again, below
                error = raised
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if error is not None:
            raise error
    finally:
        end_pool(pool, waiting, abandon)


def end_pool(
    pool: ThreadPoolExecutor, waiting: Iterable[Future[Any]], abandon: Callable[[], None]
) -> None:
    """End a pool whose results are not needed any more.

    Args:
        pool: The pool; its threads have ended afterwards.
        waiting: Results of the pool that nobody has taken.
        abandon: Called until they are done, more than once: a call may begin to wait after the
            first time.
    """
    pool.shutdown(wait=False, cancel_futures=True)
    while running := [future for future in waiting if not future.done()]:
        abandon()
        wait(running, timeout=_PATIENCE)
    pool.shutdown()


def _pass_on(items: Generator[Any, None, None], waiting: Queue[Any], is_over: Event) -> None:
    """Put the items of a generator in a queue, and then an :class:`_End`."""
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
