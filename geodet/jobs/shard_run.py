"""Compute a shard of a job: the bands that have no part yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from geodet.detection.predictor import Predictor, PredictorFacts, build_predictor
from geodet.detection.progress import DetectProgress
from geodet.errors import ConfigError, SceneError
from geodet.files.version import __version__
from geodet.jobs.band_worker import BandWorker
from geodet.jobs.job_folder import JobFolder
from geodet.jobs.job_plan import CHANGED, CHANGED_HINT
from geodet.jobs.shards import Shard, bands_of_shard
from geodet.models.device import choose_device
from geodet.vector.searched_scenes import join_reasons

__all__ = [
    "ShardReport",
    "Task",
    "check_device",
    "choose_precision",
    "describe_device",
    "failed_scenes_error",
    "list_tasks",
    "run_shard",
]

logger = logging.getLogger(__name__)

_REPAIR_HINT = (
    "repair these scenes, or give this machine access to them under these paths, and run the "
    "command again; or merge the job without them"
)


@dataclass(slots=True, kw_only=True)
class ShardReport:
    """The result of a shard of a job.

    Example:
        >>> _ = geodet.plan(scene, folder=folder / "job", sample_seconds=0)
        >>> geodet.search(folder / "job", shard=(2, 2)).shard
        '2/2'
    """

    shard: str
    """The shard, such as 3/64."""
    bands: int
    """Bands of the shard."""
    computed: int = 0
    """Bands that were computed now; the others were already computed, or their scene failed."""
    megapixels: float = 0.0
    """Pixels that were searched now."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why scenes could not be read to their end, by name."""
    device: str = ""
    """The device on which the network ran."""
    precision: str = ""
    """Numeric precision of the network."""
    seconds: float = 0.0
    """From the start of the shard to its last part."""


Task = tuple[int, list[int]]
"""The number of a scene, and of bands of it."""


def run_shard(
    job: JobFolder,
    shard: Shard | None = None,
    *,
    device: str = "auto",
    readers: int | None = None,
    allow_mixed: bool = False,
    progress: Callable[[DetectProgress], None] = lambda _: None,
) -> ShardReport:
    """Compute the bands of a shard that have no part yet.

    Any number of shards may be computed at a time, in any order, and again: what is there is not
    computed, and what two processes compute at a time is the same.

    Args:
        job: The job.
        shard: The shard; None: all.
        device: A name as :func:`geodet.models.device.choose_device` takes it.
        readers: Threads that read chips; None: as many as the settings say.
        allow_mixed: Whether another kind of device, precision or version than that of the first
            process may compute too; the scores differ in their last digits then.
        progress: Called after each batch.

    Returns:
        What was computed.

    Raises:
        SceneError: Some scenes could not be read; the parts of the others are complete. The error's
            ``report`` is what was computed.
        ConfigError: Another kind of device, precision or version has begun the job.
        OutputError: The folder of the job cannot be written to.
        DeviceError: There is no such device.
    """
    began, chosen = time.monotonic(), shard or Shard()
    tasks, bands = list_tasks(job, chosen)
    report = ShardReport(shard=str(chosen), bands=bands)
    if tasks:
        predictor = _build_predictor(job, device, allow_mixed=allow_mixed)
        report.device, report.precision = str(predictor.device), predictor.precision
        about, show = job.model.description, _overall(job, tasks, progress)
        with BandWorker(job.plan, about, predictor, job.store, readers=readers) as worker:
            for number, some in tasks:
                _search(job, worker, number, some, report, show)
    report.seconds = time.monotonic() - began
    if report.failed:
        raise failed_scenes_error(report)
    return report


def list_tasks(job: JobFolder, shard: Shard) -> tuple[list[Task], int]:
    """List the bands of a shard that have no part, by scene, and count all bands of the shard."""
    pixels = [scene.bands for scene in job.plan.scenes]
    tasks, count = list[Task](), 0
    for number, bands in bands_of_shard(pixels, shard):
        count += len(bands)
        if missing := job.store(number).list_missing(bands):
            tasks.append((number, missing))
    return tasks, count


def failed_scenes_error(report: ShardReport) -> SceneError:
    """Return the error of a shard that is complete but for some scenes."""
    errors = {name: SceneError(text, hint="") for name, text in report.failed.items()}
    are_changed = [CHANGED in text for text in report.failed.values()]
    hints = [CHANGED_HINT] if any(are_changed) else []
    if not all(are_changed):
        hints.insert(0, _REPAIR_HINT)
    return SceneError(
        f"scenes that could not be read: {len(errors)}; the other parts of shard {report.shard} "
        f"are complete: {join_reasons(errors)}",
        hint="; ".join(hints),
        failed=errors,
        report=report,
    )


def _search(
    job: JobFolder,
    worker: BandWorker,
    number: int,
    bands: list[int],
    report: ShardReport,
    progress: Callable[[DetectProgress], None],
) -> None:
    """Search bands of a scene; note it where it cannot be read."""
    scene = job.plan.scenes[number]
    try:
        worker.search(number, bands, progress)
    except SceneError as error:
        logger.error("%s is left out: %s", scene.planned.name, error)
        job.note_failure(number, str(error))
        report.failed[scene.planned.name] = str(error)
    else:
        job.forget_failure(number)
        report.computed += len(bands)
        report.megapixels += sum(scene.bands[band] for band in bands) / 1e6


def _build_predictor(job: JobFolder, device: str, *, allow_mixed: bool) -> Predictor:
    """Put the model on a device, in the precision in which the job was begun."""
    chosen = choose_device(device)
    config = job.plan.config.model_copy(update={"precision": choose_precision(job, chosen)})
    predictor = build_predictor(job.model, config, chosen)
    check_device(job, describe_device(predictor), allow_mixed=allow_mixed)
    return predictor


def choose_precision(job: JobFolder, device: str) -> str:
    """Return the precision in which the job was begun, on another kind of device that of the job.

    Args:
        job: The job.
        device: Where it is searched: ``cpu`` or ``cuda:N``.
    """
    known = job.read_device()
    if known is None or known["device"] != device.partition(":")[0]:
        return job.plan.config.precision
    return str(known["precision"])


def check_device(job: JobFolder, about: dict[str, Any], *, allow_mixed: bool = False) -> None:
    """Record what computes the job, or check that it is the same as before.

    Args:
        job: The job.
        about: From :func:`describe_device`.
        allow_mixed: Whether it may be another.

    Raises:
        ConfigError: It is another kind of device, precision or version.
    """
    known = job.agree(about)
    if known == about:
        return
    words = ", ".join(
        f"{key} {known[key]} and not {about[key]}" for key in _differing(known, about)
    )
    if allow_mixed:
        logger.warning("the job was started with %s: scores may differ in their last digits", words)
        return
    raise ConfigError(
        f"the job was started with {words}",
        hint="use the same, or --allow-mixed if the last digits of scores do not matter",
    )


def describe_device(predictor: PredictorFacts) -> dict[str, Any]:
    """Return what the last digits of scores depend on."""
    return {
        "device": predictor.device.type,
        "precision": predictor.precision,
        "software": {"geodet": __version__, **predictor.software},
    }


def _differing(known: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[str]:
    return (key for key in about if known.get(key) != about[key])


def _overall(
    job: JobFolder, tasks: list[Task], progress: Callable[[DetectProgress], None]
) -> Callable[[DetectProgress], None]:
    """Return a function that adds to the progress of a scene where the shard is."""
    scenes = job.plan.scenes
    total = sum(scenes[number].bands[band] for number, bands in tasks for band in bands)
    numbers = {scenes[number].planned.name: place for place, (number, _) in enumerate(tasks, 1)}
    done = 0

    def show(step: DetectProgress) -> None:
        nonlocal done
        done += step.pixels
        number, share = numbers[step.scene], done / max(total, 1)
        progress(replace(step, number=number, scenes=len(numbers), share=share))

    return show
