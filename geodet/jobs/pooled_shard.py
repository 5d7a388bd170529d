"""Compute a share of a job with several worker processes on one machine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from geodet.detection.progress import DetectProgress
from geodet.jobs.job_folder import JobFolder
from geodet.jobs.shard_run import (
    ShardReport,
    check_device,
    choose_precision,
    failed_scenes_error,
    list_tasks,
    run_shard,
)
from geodet.jobs.shards import Shard
from geodet.jobs.worker_pool import WorkerPool, divide_tasks
from geodet.jobs.worker_process import Failed, Ready, WorkerSetup, share_of_machine
from geodet.models.device import choose_device

__all__ = ["search_shard"]

logger = logging.getLogger(__name__)


def search_shard(
    job: JobFolder,
    shard: Shard | None = None,
    *,
    devices: Sequence[str] = ("auto",),
    readers: int | None = None,
    allow_mixed: bool = False,
    progress: Callable[[DetectProgress], None] = lambda _: None,
    prepare: Callable[[str], None] | None = None,
) -> ShardReport:
    """Compute the bands of a share that have no part yet, with a process for each device.

    Args:
        job: The job.
        shard: The share; None: all.
        devices: The device of each process; with one, this process computes.
        readers: Threads of each that read chips; None: chosen.
        allow_mixed: As for :func:`geodet.jobs.shard_run.run_shard`.
        progress: Called after each batch, or with several processes when bands are done.
        prepare: Called first in each process, with its device.

    Returns:
        As ``run_shard``.

    Raises:
        GeodetError: As ``run_shard`` raises it.
    """
    chosen = shard or Shard()
    tasks, bands = list_tasks(job, chosen)
    if len(devices) == 1 or not tasks:
        return run_shard(
            job,
            chosen,
            device=devices[0],
            readers=readers,
            allow_mixed=allow_mixed,
            progress=progress,
        )
    began = time.monotonic()
    report = ShardReport(shard=str(chosen), bands=bands)
    named = [choose_device(device) for device in devices]
    divided = divide_tasks(tasks, len(named))
    setups = []
    for device in named[: len(divided)]:
        threads, count = share_of_machine(device, len(named), readers or job.plan.config.workers)
        precision = choose_precision(job, device)
        setups.append(
            WorkerSetup(job.plan, job.model, job.store, device, precision, threads, count, prepare)
        )
    wanted = sum(len(some) for _, some in divided)
    with WorkerPool(setups) as pool:
        pool.add(divided)
        for event in pool:
            if isinstance(event, Ready):
                check_device(job, event.about, allow_mixed=allow_mixed)
                report.device = ", ".join(sorted({*report.device.split(", "), event.device} - {""}))
                report.precision = str(event.about["precision"])
            elif isinstance(event, Failed):
                _note_failure(job, report, event)
            else:
                _count(job, report, event.number, event.bands)
                share = report.computed / wanted
                progress(replace(_step(job, event.number, event.bands), share=share))
    report.seconds = time.monotonic() - began
    if report.failed:
        raise failed_scenes_error(report)
    return report


def _note_failure(job: JobFolder, report: ShardReport, event: Failed) -> None:
    name = job.plan.scenes[event.number].planned.name
    if name not in report.failed:
        logger.error("%s is left out: %s", name, event.error)
        job.note_failure(event.number, event.error)
        report.failed[name] = event.error


def _count(job: JobFolder, report: ShardReport, number: int, bands: Sequence[int]) -> None:
    scene = job.plan.scenes[number]
    if scene.planned.name not in report.failed:
        job.forget_failure(number)
    report.computed += len(bands)
    report.megapixels += sum(scene.bands[band] for band in bands) / 1e6


def _step(job: JobFolder, number: int, bands: Sequence[int]) -> DetectProgress:
    scene = job.plan.scenes[number]
    pixels = sum(scene.bands[band] for band in bands)
    store = job.store(number)
    found = sum(len(part.detections) for band in bands if (part := store.read(band)))
    step = DetectProgress(scene.planned.name, len(bands), len(scene.bands), pixels, found)
    return replace(step, number=number + 1, scenes=len(job.plan.scenes))
