"""Several worker processes that share the bands of a job, handed out as they are done."""

from __future__ import annotations

import logging
import multiprocessing
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, TypeAlias

from geodet.errors import DeviceError, SceneError
from geodet.files.closable import Closing
from geodet.jobs.shard_run import Task
from geodet.jobs.worker_process import Broken, Done, Failed, Log, Ready, WorkerSetup, work
from geodet.models.device import loaded_torch

if TYPE_CHECKING and sys.platform != "win32":  # which has no forks
    from multiprocessing.context import ForkServerContext

    _Context: TypeAlias = ForkServerContext | SpawnContext
else:
    _Context: TypeAlias = SpawnContext

__all__ = ["WorkerPool", "divide_tasks", "scene_error"]

logger = logging.getLogger(__name__)

_AHEAD = 2  # tasks of a worker: it need not wait for the next one
_MOST_DEATHS = 3  # of workers with one task
_TASKS_OF_A_WORKER, _MOST_BANDS = 8, 8
_PATIENCE_S = 5.0  # for a worker that is told to end


class WorkerPool(Closing):
    """Worker processes, for a ``with`` block that ends them.

    A worker that dies is replaced, and what it was searching is searched again.

    Args:
        setups: One for each worker.
    """

    def __init__(self, setups: Sequence[WorkerSetup]) -> None:
        self._queue: deque[Task] = deque()
        self._deaths: Counter[tuple[int, int]] = Counter()
        self._workers: list[_Worker] = []
        try:
            for setup in setups:
                self._workers.append(_Worker(setup))
        except BaseException:
            self.close()
            raise

    @property
    def processes(self) -> list[int | None]:
        """Numbers of the processes."""
        return [worker.process.pid for worker in self._workers]

    def add(self, tasks: Iterable[Task]) -> None:
        """Add tasks, to be done in this order as workers are free."""
        self._queue.extend(tasks)

    def drop_scene(self, number: int) -> None:
        """Remove what is left of a scene."""
        self._queue = deque(task for task in self._queue if task[0] != number)

    def __iter__(self) -> Iterator[Ready | Done | Failed]:
        """Yield what becomes of the tasks, in the order in which it happens; ends with them.

        Raises:
            GeodetError: A worker cannot go on, for example since the device has too little memory.
            DeviceError: Workers die again and again with one task.
        """
        while True:
            self._hand_out()
            if not any(worker.pending for worker in self._workers):
                return
            busy: dict[Any, _Worker] = {worker.connection: worker for worker in self._workers}
            for connection in wait(list(busy)):
                yield from self._receive(busy[connection])

    def close(self) -> None:
        """End the workers: those without a task at once, the others by force."""
        for worker in self._workers:
            worker.tell_to_end()
        for worker in self._workers:
            worker.end()
        self._workers = []

    def _hand_out(self) -> None:
        for _ in range(_AHEAD):
            for worker in self._workers:
                if self._queue and len(worker.pending) < _AHEAD:
                    worker.hand(self._queue.popleft())

    def _receive(self, worker: _Worker) -> Iterator[Ready | Done | Failed]:
        try:
            event = worker.connection.recv()
        except (EOFError, OSError):
            self._replace(worker)
            return
        if isinstance(event, Log):
            logging.getLogger(event.record.name).handle(event.record)
        elif isinstance(event, Broken):
            raise _to_error(event)
        else:
            if not isinstance(event, Ready):
                worker.pending.popleft()
            if isinstance(event, Failed):
                self.drop_scene(event.number)
            yield event

    def _replace(self, worker: _Worker) -> None:
        """Start another worker in place of one that has died, and do its tasks again."""
        worker.process.join()
        code = worker.process.exitcode
        if worker.pending:
            number, bands = worker.pending[0]
            self._deaths[number, bands[0]] += 1
            if self._deaths[number, bands[0]] == _MOST_DEATHS:
                raise DeviceError(
                    f"{_MOST_DEATHS} worker processes ended with the exit code {code} while they "
                    f"searched band {bands[0]} of scene {number}",
                    hint="it may have run out of memory: use fewer processes (--processes), or a "
                    "smaller batch size (--batch-size)",
                )
        logger.warning("a worker process has ended with the exit code %s: it is replaced", code)
        self._queue.extendleft(reversed(worker.pending))
        self._workers[self._workers.index(worker)] = _Worker(worker.setup)


class _Worker:
    """One process, and what it was told to do."""

    def __init__(self, setup: WorkerSetup) -> None:
        context = _context()
        self.setup = setup
        self.connection, other = context.Pipe()
        self.pending: deque[Task] = deque()
        level = logging.getLogger("geodet").getEffectiveLevel()
        self.process: BaseProcess = context.Process(
            target=work, args=(setup, other, level), name="geodet-worker", daemon=True
        )
        self.process.start()
        other.close()

    def hand(self, task: Task) -> None:
        self.pending.append(task)
        with suppress(OSError):  # it has died: the end of the connection shows it
            self.connection.send(task)

    def tell_to_end(self) -> None:
        if self.pending:
            self.process.terminate()
        else:
            with suppress(OSError):
                self.connection.send(None)
        self.connection.close()

    def end(self) -> None:
        self.process.join(_PATIENCE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _context() -> _Context:
    """Choose how processes start: not as forks of this one, whose CUDA and threads would not work.

    On Linux they are forks of a server that has loaded the libraries and nothing else, so that a
    worker starts at once.
    """
    if sys.platform == "linux":
        context: _Context = multiprocessing.get_context("forkserver")
        loaded = ["torch"] if loaded_torch() is not None else []
        context.set_forkserver_preload(["geodet.jobs.worker_process", *loaded])
    else:
        context = multiprocessing.get_context("spawn")
    return context


def divide_tasks(tasks: Iterable[Task], workers: int) -> list[Task]:
    """Divide the bands of scenes into tasks of which each worker gets some.

    A task has neighbouring bands of a scene, as many as leave each worker eight tasks, and at most
    eight.

    Args:
        tasks: Bands by scene.
        workers: Number of the workers.
    """
    wanted = list(tasks)
    total = sum(len(bands) for _, bands in wanted)
    most = min(max(total // (workers * _TASKS_OF_A_WORKER), 1), _MOST_BANDS)
    return [
        (number, bands[start : start + most])
        for number, bands in wanted
        for start in range(0, len(bands), most)
    ]


def _to_error(event: Broken) -> Any:
    return event.kind(event.error, hint=event.hint)


def scene_error(event: Failed, path: str) -> SceneError:
    """Return the error of a scene that a worker could not read."""
    return SceneError(event.error, hint=event.hint, path=path)
