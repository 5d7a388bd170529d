"""Workers on the machines of a Ray cluster; ``pip install 'geodet[ray]'``.

An actor holds the model on its device and searches bands. What it finds travels back, and this
process writes it: only the scenes have to be reachable from all machines, not the outputs.

Reference: https://docs.ray.io/en/latest/ray-core/actors.html
"""

from __future__ import annotations

import logging
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geodet.detection.band_parts import BandPart, BandStore
from geodet.errors import ConfigError, DeviceError
from geodet.files.network import unreported
from geodet.files.outputs import int8_path
from geodet.jobs.job_plan import JobPlan
from geodet.jobs.ray_actor import ActorSetup, BandActor, import_ray
from geodet.jobs.shard_run import Task
from geodet.jobs.worker_pool import divide_tasks
from geodet.jobs.worker_process import Broken, Done, Failed, Ready
from geodet.models.model import Model

__all__ = ["RayEngine", "RayPool"]

logger = logging.getLogger(__name__)

_AHEAD = 2  # tasks of an actor
_MOST_DEATHS = 3  # of actors with one task


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Starts actors on the machines of a Ray cluster."""

    model_path: Path
    """The model file, of which each machine gets a copy."""
    address: str | None = None
    """Address of a cluster: ``auto`` or ``ray://HOST:PORT``; None: a Ray of this machine alone."""
    device: str = "cpu"
    """The device to plan with; actors use the same kind."""
    actors: int | None = None
    """Number of actors; None: one for each GPU of the cluster, or for each machine without."""
    threads: int | None = None
    """Cores of an actor on a CPU; None: as many as keep the most cores busy."""

    def open(
        self,
        plan: JobPlan,
        model: Model,
        precision: str,
        store: Callable[[int], BandStore],
        tasks: Iterable[Task],
    ) -> RayPool:
        """Start the actors, no more than there are tasks."""
        ray = import_ray()
        is_ours = not ray.is_initialized()
        if is_ours:
            _join(ray, self.address)
        nodes = [node for node in ray.nodes() if node["Alive"]]
        is_gpu = self.device.startswith("cuda")
        gpus = int(ray.cluster_resources().get("GPU", 0))
        if is_gpu and not gpus:
            raise DeviceError(
                "the Ray cluster has no GPUs", hint="use --device cpu", device=self.device
            )
        count = self.actors or (gpus if is_gpu else len(nodes))
        cores = int(ray.cluster_resources().get("CPU", 1))
        threads = self.threads or max(cores // count, 1)
        if not is_gpu and self.threads is None:
            count, threads = _share_cores(nodes, count)
        divided = divide_tasks(tasks, count)
        needs = {"num_gpus": 1, "num_cpus": 1} if is_gpu else {"num_cpus": threads}
        setup = ActorSetup(
            ray.put(plan),
            ray.put(_read_files(self.model_path)),
            model.digest,
            precision,
            "cuda" if is_gpu else "cpu",
            threads,
        )
        pool = RayPool(setup, min(count, len(divided)), needs, store, leaves=is_ours)
        pool.add(divided)
        return pool


class RayPool:
    """Actors that share tasks; an actor that dies is replaced, and its tasks are done again.

    When no task is left, idle actors do again what others are slow with; whoever is first counts.
    What an actor cannot read another one tries, as it may be on another machine.

    Args:
        setup: What each actor needs to know.
        count: Number of the actors.
        needs: What Ray reserves for each.
        store: Returns the folder of the parts of a scene, by its number.
        leaves: Whether this process leaves the cluster at the end, and ends one of its own.
    """

    def __init__(
        self,
        setup: ActorSetup,
        count: int,
        needs: dict[str, int],
        store: Callable[[int], BandStore],
        *,
        leaves: bool,
    ) -> None:
        self._ray, self._leaves = import_ray(), leaves
        self._remote = self._ray.remote(BandActor).options(**needs)
        self._setup, self._store = setup, store
        self._queue: deque[Task] = deque()
        self._deaths: Counter[int] = Counter()
        self._done: set[tuple[int, int]] = set()
        self._refused: dict[tuple[int, int], Any] = {}
        self._left_out: set[int] = set()
        self._actors: dict[Any, int] = {}
        self._calls: dict[Any, tuple[Any, Task | None]] = {}
        for _ in range(count):
            self._start()

    def add(self, tasks: Iterable[Task]) -> None:
        """Add tasks, to be done in this order as actors are free."""
        self._queue.extend(tasks)

    def __iter__(self) -> Iterator[Ready | Done | Failed]:
        """Yield what becomes of the tasks, in the order in which it happens; ends with them.

        Raises:
            GeodetError: An actor cannot go on, for example since scenes are not reachable.
            DeviceError: Actors die again and again.
        """
        while True:
            self._hand_out()
            under_way = [task for _, task in self._calls.values() if task is not None]
            if not self._queue and all(map(self._is_done, under_way)):
                return
            finished, _ = self._ray.wait(list(self._calls), num_returns=1)
            yield from self._receive(finished[0])

    def close(self) -> None:
        """End the actors."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = {}
        self._calls = {}
        if self._leaves:
            self._ray.shutdown()
            self._leaves = False

    def _start(self) -> None:
        actor = self._remote.remote(self._setup)
        self._actors[actor] = 0
        self._calls[actor.start.remote()] = actor, None

    def _hand_out(self) -> None:
        for _ in range(_AHEAD):
            for actor, busy in self._actors.items():
                if busy < _AHEAD and (task := self._next(actor, busy)) is not None:
                    self._actors[actor] += 1
                    self._calls[actor.search.remote(task)] = actor, task

    def _next(self, actor: Any, busy: int) -> Task | None:
        for task in self._queue:
            if self._refused.get(_key(task)) != actor:
                self._queue.remove(task)
                return task
        if busy:
            return None
        tasks = [task for _, task in self._calls.values() if task is not None]
        counts = Counter(map(_key, tasks))
        slow = (task for task in tasks if not self._is_done(task))
        return next((task for task in slow if counts[_key(task)] == 1), None)

    def _is_done(self, task: Task) -> bool:
        return _key(task) in self._done

    def _receive(self, call: Any) -> Iterator[Ready | Done | Failed]:
        actor, task = self._calls.pop(call)
        try:
            result = self._ray.get(call)
        except self._ray.exceptions.RayActorError as error:
            self._replace(actor, task, error)
            return
        if isinstance(result, Broken):
            raise result.kind(result.error, hint=result.hint)
        if isinstance(result, Ready):
            yield result
            return
        assert task is not None
        self._actors[actor] -= 1
        if self._is_done(task) or (isinstance(result, Failed) and self._tries_again(task, actor)):
            return
        self._done.add(_key(task))
        if isinstance(result, Failed):
            self._left_out.add(task[0])
            self._queue = deque(one for one in self._queue if one[0] != task[0])
            yield result
            return
        yield Done(*task, self._write(task[0], result))

    def _tries_again(self, task: Task, actor: Any) -> bool:
        """Retry on another actor what one cannot read; once, and not if the scene is left out."""
        if task[0] in self._left_out or len(self._actors) == 1 or _key(task) in self._refused:
            return False
        self._refused[_key(task)] = actor
        self._queue.appendleft(task)
        return True

    def _write(self, number: int, contents: Mapping[int, bytes]) -> int:
        """Write the parts that have travelled, and count the detections in them."""
        parts = {band: BandPart.from_bytes(content) for band, content in contents.items()}
        for band, part in parts.items():
            self._store(number).write(band, part)
        return sum(len(part.detections) for part in parts.values())

    def _replace(self, actor: Any, task: Task | None, error: Exception) -> None:
        """Start another actor in place of one that has died, and do its tasks again."""
        number = -1 if task is None else task[0]
        if actor in self._actors:
            logger.warning("a worker has died and is replaced: %s", str(error).splitlines()[0])
            del self._actors[actor]
            self._deaths[number] += 1
            if self._deaths[number] == _MOST_DEATHS:
                raise DeviceError(
                    f"{_MOST_DEATHS} workers have died: {error}",
                    hint="they may have run out of memory: use fewer processes, or a smaller batch "
                    "size (--batch-size)",
                )
            self._start()
        if task is not None and not self._is_done(task):
            self._queue.appendleft(task)


def _join(ray: Any, address: str | None) -> None:
    """Join a cluster, or start one; what SIGTERM does stays, which Ray would change."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with unreported("RAY_USAGE_STATS_ENABLED", "0"):
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"Ray cannot be reached at {address or 'this machine'}: {' '.join(str(error).split())}",
            hint="check --ray-address; without it a local Ray is started",
        ) from error
    finally:
        if callable(handler) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _share_cores(nodes: Sequence[Mapping[str, Any]], most: int) -> tuple[int, int]:
    """Return how many actors there is room for, and the cores of each: the most that are busy.

    Machines differ, and the head of a cluster may have no core to give.
    """
    cores = [int(node["Resources"].get("CPU", 0)) for node in nodes]
    shares = range(1, max(*cores, 1) + 1)
    room = {share: min(most, sum(one // share for one in cores)) for share in shares}
    share = max(shares, key=lambda one: (one * room[one], room[one]))
    return max(room[share], 1), share


def _key(task: Task) -> tuple[int, int]:
    return task[0], task[1][0]


def _read_files(path: Path) -> dict[str, bytes]:
    """Read a model file, and its eight-bit file if it has one."""
    files = [one for one in (path, int8_path(path)) if one.is_file()]
    return {file.name: file.read_bytes() for file in files}
