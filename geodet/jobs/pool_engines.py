"""Engines that run the workers of a detection: processes of this machine, or others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from geodet.detection.band_parts import BandStore
from geodet.jobs.job_plan import JobPlan
from geodet.jobs.shard_run import Task
from geodet.jobs.worker_pool import WorkerPool, divide_tasks
from geodet.jobs.worker_process import Done, Failed, Ready, WorkerSetup, share_of_machine
from geodet.models.model import Model

__all__ = ["Pool", "PoolEngine", "ProcessEngine", "several_processes"]


class Pool(Protocol):
    """Workers that share tasks; iterating over them yields what becomes of these."""

    def __iter__(self) -> Iterator[Ready | Done | Failed]:
        """Yield what becomes of the tasks, in the order in which it happens; ends with them."""

    def close(self) -> None:
        """End the workers."""


class PoolEngine(Protocol):
    """Starts workers."""

    @property
    def device(self) -> str:
        """The device to plan with; those of the workers are of its kind."""

    def open(
        self,
        plan: JobPlan,
        model: Model,
        precision: str,
        store: Callable[[int], BandStore],
        tasks: Iterable[Task],
    ) -> Pool:
        """Start workers, and give them bands of scenes.

        Args:
            plan: The job.
            model: What to look for.
            precision: ``detect.precision``, as the job was begun.
            store: Returns the folder of the parts of a scene, by its number.
            tasks: Bands by scene.
        """


@dataclass(frozen=True, slots=True)
class ProcessEngine:
    """Starts processes on this machine, one for each device that is named."""

    devices: Sequence[str]
    """The device of each process."""
    prepare: Callable[[str], None] | None = None
    """Called first in each process, with its device."""
    readers: int | None = None
    """Threads of each that read chips; None: chosen."""

    @property
    def device(self) -> str:
        """The device to plan with: the first."""
        return self.devices[0]

    def open(
        self,
        plan: JobPlan,
        model: Model,
        precision: str,
        store: Callable[[int], BandStore],
        tasks: Iterable[Task],
    ) -> WorkerPool:
        """Start the processes, no more than there are tasks."""
        divided = divide_tasks(tasks, len(self.devices))
        setups = []
        for device in self.devices[: len(divided)]:
            readers = self.readers or plan.config.workers
            threads, count = share_of_machine(device, len(self.devices), readers)
            alone = replace(model)  # without the network, if it was loaded
            setups.append(
                WorkerSetup(plan, alone, store, device, precision, threads, count, self.prepare)
            )
        pool = WorkerPool(setups)
        pool.add(divided)
        return pool


def several_processes(
    devices: Sequence[str],
    *,
    prepare: Callable[[str], None] | None = None,
    readers: int | None = None,
) -> ProcessEngine | None:
    """Return what starts a process for each of several devices; None for a single one.

    Args:
        devices: From :func:`geodet.jobs.device_lists.list_devices`.
        prepare: Called first in each process, with its device.
        readers: Threads of each that read chips; None: chosen.
    """
    return ProcessEngine(tuple(devices), prepare, readers) if len(devices) > 1 else None
