"""A worker process: searches the bands that it is told, and reports what became of them."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any

from geodet.detection.band_parts import BandStore
from geodet.detection.chip_reading import count_readers
from geodet.detection.predictor import build_predictor
from geodet.errors import GeodetError, SceneError
from geodet.jobs.band_worker import BandWorker
from geodet.jobs.job_plan import JobPlan
from geodet.jobs.shard_run import Task, describe_device
from geodet.models.device import count_threads, loaded_torch
from geodet.models.model import Model

__all__ = [
    "Broken",
    "Done",
    "Failed",
    "Log",
    "Ready",
    "WorkerSetup",
    "limit_threads",
    "share_of_machine",
    "work",
]


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """The instructions of a worker process; they are pickled."""

    plan: JobPlan
    """The job."""
    model: Model
    """The model to detect with."""
    store: Callable[[int], BandStore]
    """Returns the folder of the parts of a scene, by its number."""
    device: str
    """The device on which the network runs."""
    precision: str
    """``detect.precision``, as the job was begun."""
    threads: int | None = None
    """Threads of the network on a CPU; None: as many as there are."""
    readers: int | None = None
    """Threads that read chips; None: as many as the settings say."""
    prepare: Callable[[str], None] | None = None
    """Called first, with the device."""
    folder: Path = field(default_factory=Path.cwd)
    """The folder that relative paths start from."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The network is on its device."""

    device: str
    """Which one."""
    about: dict[str, Any]
    """From :func:`describe_device`."""


@dataclass(frozen=True, slots=True)
class Done:
    """Bands have been searched, and their parts are written."""

    number: int
    """Number of the scene in the plan, from 0."""
    bands: Sequence[int]
    """Their numbers."""
    found: int
    """Detections in them."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A scene could not be read to its end."""

    number: int
    """Number of the scene in the plan, from 0."""
    error: str
    """Why."""
    hint: str
    """The way out, for the user."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The worker cannot go on."""

    kind: type[GeodetError]
    """Class of the error."""
    error: str
    """Why."""
    hint: str
    """The way out, for the user."""


@dataclass(frozen=True, slots=True)
class Log:
    """A message for the log of the process that has started the worker."""

    record: logging.LogRecord
    """With the text complete."""


def share_of_machine(device: str, processes: int, readers: int | None) -> tuple[int, int | None]:
    """Return the threads of a network on the CPU and the reader threads of one of some processes.

    Args:
        device: Its device.
        processes: Number of all processes on this machine.
        readers: The setting; None: chosen.
    """
    threads = max(count_threads() // processes, 1)
    if readers is None and device.startswith("cuda"):
        readers = max(count_readers(None, "cuda") // processes, 2)
    return threads, readers


def work(setup: WorkerSetup, connection: Connection, level: int) -> None:
    """Search bands until the connection is closed: the body of a worker process.

    Args:
        setup: What to search, with what.
        connection: Gets events, and gives tasks; None ends the process.
        level: Level of the log.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the process that has started it ends it
    send = _Sender(connection)
    logger = logging.getLogger("geodet")
    logger.addHandler(_ToSender(send))
    logger.setLevel(level)
    try:
        os.chdir(setup.folder)
        limit_threads(setup.threads)
        if setup.prepare is not None:
            setup.prepare(setup.device)
        _search_all(setup, connection, send)
    except GeodetError as error:
        send(Broken(type(error), str(error), error.hint))
    except (EOFError, BrokenPipeError):  # the process that has started it is gone
        return


def _search_all(setup: WorkerSetup, connection: Connection, send: Callable[[Any], None]) -> None:
    config = setup.plan.config.model_copy(update={"precision": setup.precision})
    predictor = build_predictor(setup.model, config, setup.device)
    send(Ready(str(predictor.device), describe_device(predictor)))
    about = setup.model.description
    with BandWorker(setup.plan, about, predictor, setup.store, readers=setup.readers) as worker:
        while (task := connection.recv()) is not None:
            send(_search(worker, task))


def _search(worker: BandWorker, task: Task) -> Done | Failed:
    number, bands = task
    try:
        return Done(number, bands, worker.search(number, bands))
    except SceneError as error:
        return Failed(number, str(error), error.hint)


def limit_threads(threads: int | None) -> None:
    """Limit the threads of the network on a CPU, for this process.

    Args:
        threads: How many; None: no limit.
    """
    if threads is None:
        return
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for what is loaded from now on
    if torch := loaded_torch():
        torch.set_num_threads(threads)


class _Sender:
    """Sends events, from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, Lock()

    def __call__(self, event: Any) -> None:
        with self._lock:
            self._connection.send(event)


class _ToSender(QueueHandler):
    """Sends log records with their text."""

    def __init__(self, send: _Sender) -> None:
        super().__init__(send)  # type: ignore[arg-type]
        self._send = send

    def enqueue(self, record: logging.LogRecord) -> None:
        self._send(Log(record))
