"""Compute a shard of a job with several workers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from geodet.detection.progress import DetectProgress
from geodet.jobs.fleet_progress import FleetProgress
from geodet.jobs.job_folder import JobFolder
from geodet.jobs.pool_engines import PoolEngine
from geodet.jobs.shard_run import (
    ShardReport,
    check_device,
    choose_precision,
    failed_scenes_error,
    list_tasks,
    run_shard,
)
from geodet.jobs.shards import Shard
from geodet.jobs.worker_process import Failed, Ready
from geodet.models.device import choose_device

__all__ = ["search_shard"]

logger = logging.getLogger(__name__)


def search_shard(
    job: JobFolder,
    shard: Shard | None = None,
    *,
    device: str = "auto",
    engine: PoolEngine | None = None,
    readers: int | None = None,
    allow_mixed: bool = False,
    progress: Callable[[DetectProgress], None] = lambda _: None,
) -> ShardReport:
    """Compute the bands of a shard that have no part yet, in this process or in workers.

    Args:
        job: The job.
        shard: The shard; None: all.
        device: Where this process computes.
        engine: Starts workers that compute in place of this process; None: none.
        readers: Threads of this process that read chips; None: chosen.
        allow_mixed: As for :func:`geodet.jobs.shard_run.run_shard`.
        progress: Called after each batch, or with an engine when bands are done.

    Returns:
        As ``run_shard``.

    Raises:
        GeodetError: As ``run_shard`` raises it.
    """
    chosen = shard or Shard()
    if engine is None:
        return run_shard(
            job,
            chosen,
            device=device,
            readers=readers,
            allow_mixed=allow_mixed,
            progress=progress,
        )
    began = time.monotonic()
    tasks, bands = list_tasks(job, chosen)
    report = ShardReport(shard=str(chosen), bands=bands)
    if not tasks:
        return report
    fleet = FleetProgress(job.plan, tasks, progress)
    precision = choose_precision(job, choose_device(engine.device))
    with closing(engine.open(job.plan, job.model, precision, job.store, tasks)) as pool:
        for event in pool:
            if isinstance(event, Ready):
                check_device(job, event.about, allow_mixed=allow_mixed)
                report.device = ", ".join(sorted({*report.device.split(", "), event.device} - {""}))
                report.precision = str(event.about["precision"])
            elif isinstance(event, Failed):
                _note_failure(job, report, event)
                fleet.note_failure(event.number)
            else:
                _count(job, report, event.number, event.bands)
                fleet.note_done(event.number, event.bands, event.found)
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
