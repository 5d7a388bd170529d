"""Plan a job: open all scenes once, choose what its shards must agree on, and estimate its cost."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geodet.config import DetectConfig
from geodet.detection.detect import PreparedSearch, prepare_run
from geodet.detection.detect_options import DetectOptions
from geodet.detection.detect_report import SceneRecord
from geodet.detection.predictor import facts_of
from geodet.detection.prepared_run import PreparedRun
from geodet.errors import OutputError
from geodet.files.output_folders import is_job
from geodet.files.outputs import check_output_folder
from geodet.jobs.job_documents import identify_job
from geodet.jobs.job_folder import JOB_FILES, write_job
from geodet.jobs.job_plan import JobPlan, plan_bands
from geodet.jobs.recorded_engine import RecordedEngine
from geodet.jobs.shard_run import check_device, describe_device
from geodet.jobs.speed_sample import SpeedSample, sample_speed
from geodet.merging.footprints import find_footprints
from geodet.models.description import find_model
from geodet.models.device import check_device_name, has_cuda
from geodet.models.engine import HostDevice
from geodet.models.model import Model
from geodet.onnx.backend import load_model

__all__ = ["SAMPLE_SECONDS", "PlanReport", "describe_plan", "plan_job"]

logger = logging.getLogger(__name__)

SAMPLE_SECONDS = 10.0
"""About how long a sample takes."""
_PART_BYTES = 100  # of a detection: an identifier, a polygon and its bounds take half of it
_BAND_BYTES = 5000  # of a part without any


@dataclass(slots=True, kw_only=True)
class PlanReport:
    """The work of a job, and its expected duration.

    Example:
        >>> report = geodet.plan(scene, sample_seconds=0)
        >>> report.windows, report.bands, report.crs
        (1, 1, {'EPSG:32633': 1})
    """

    folder: Path | None
    """The folder of the job; None where nothing was written."""
    scenes: int
    """Scenes to search."""
    megapixels: float
    """Pixels to search, each once, at the resolution of detection."""
    windows: int
    """Windows to compute."""
    bands: int
    """Bands of windows in which they are computed; a shard has at least one."""
    overlaps: int
    """Pairs of scenes that overlap."""
    crs: dict[str, int]
    """Number of scenes by CRS."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why scenes cannot be opened, by name; the job leaves them out."""
    outside: int = 0
    """Scenes outside the area of interest, which are also left out."""
    model: str = ""
    """Name of the model."""
    device: str = ""
    """Device that the windows were chosen for."""
    precision: str = ""
    """Numeric precision on that device."""
    megapixels_per_second: float | None = None
    """Speed of that device in the sample; None without one."""
    seconds: float | None = None
    """Time that one such device would take; None without a sample."""
    disk_bytes: int | None = None
    """Estimated size of all parts; None without a sample."""


def plan_job(
    scenes: Sequence[str | Path],
    model: str | Path,
    config: DetectConfig,
    options: DetectOptions,
    *,
    folder: Path | None = None,
    sample_seconds: float = SAMPLE_SECONDS,
) -> PlanReport:
    """Plan the detection in many scenes by many processes.

    Args:
        scenes: As for a detection.
        model: A bundled model's name, or a model file; the job gets a copy.
        config: The settings of the job.
        options: Device and area of interest; whether a job in the folder is replaced.
        folder: Where the job is written; None writes nothing.
        sample_seconds: About how long this device searches to tell how fast it is; 0: not at all.

    Raises:
        SceneError: No scene can be opened, or one has no CRS and must have one.
        ModelFileError: There is no such model, or a scene lacks bands that it needs.
        OutputError: The folder is not empty.
        VectorError: The area of interest cannot be read, or meets no scene.
        DeviceError: There is no such device; that this machine has no CUDA device is none.
    """
    if folder is not None:
        _check_folder(folder, overwrite=options.overwrite)
    path = find_model(model)
    loaded = load_model(path)
    is_here = not options.device.startswith("cuda") or has_cuda()
    prepare = _prepare if is_here else _prepare_elsewhere
    prepared = prepare(scenes, loaded, config, options)
    with prepared.opened:
        plan = plan_bands(_with_whole_paths(prepared), "")
        plan = replace(plan, identifier=identify_job(plan, loaded.digest))
        sample = None
        if sample_seconds and isinstance(prepared, PreparedSearch):
            sample = sample_speed(prepared, plan, seconds=sample_seconds)
    report = describe_plan(plan, sample)
    report.model, report.folder = loaded.description.name, folder
    report.device, report.precision = str(prepared.predictor.device), prepared.predictor.precision
    if folder is not None:
        job = write_job(folder, plan, path)
        if is_here:
            check_device(job, describe_device(prepared.predictor))
    return report


def _prepare(
    scenes: Sequence[str | Path], model: Model, config: DetectConfig, options: DetectOptions
) -> PreparedSearch:
    """Prepare for a device of this machine; whether the scenes share a CRS matters to the merge."""
    return prepare_run(scenes, [], model, config, options, is_one_layer=False)


def _prepare_elsewhere(
    scenes: Sequence[str | Path], model: Model, config: DetectConfig, options: DetectOptions
) -> PreparedRun:
    """Prepare for a CUDA device that only other machines have: windows are chosen for its kind."""
    check_device_name(options.device)
    logger.warning(
        "this machine has no CUDA device: windows are chosen for one with 16 GB, and the time is "
        "not estimated"
    )
    alike = config.model_copy(update={"precision": "float32"})
    prepared = _prepare(scenes, model, alike, replace(options, device="cpu"))
    here = prepared.predictor
    engine = RecordedEngine(HostDevice("cuda"), "", {}, here.stride, here.bytes_per_pixel)
    return PreparedRun(
        plan=prepared.plan,
        model=model,
        config=config,
        predictor=facts_of(engine, model.description, config),
        opened=prepared.opened,
        watch=prepared.watch,
        fingerprint=prepared.fingerprint,
        started=prepared.started,
        warnings=prepared.warnings,
    )


def describe_plan(plan: JobPlan, sample: SpeedSample | None = None) -> PlanReport:
    """Count what a job has to do.

    Args:
        plan: The job.
        sample: How fast a device is; None: unknown.
    """
    geoboxes = [scene.planned.geobox for scene in plan.scenes]
    placed = [box for box in geoboxes if box.crs is not None] or geoboxes
    footprints = find_footprints(placed, placed[0].crs)
    known = {None if box.crs is None else box.crs.srs: box.crs for box in geoboxes}
    names = {text: "none" if crs is None else _name(crs) for text, crs in known.items()}
    systems = Counter(names[None if box.crs is None else box.crs.srs] for box in geoboxes)
    megapixels = sum(sum(scene.bands) for scene in plan.scenes) / 1e6
    bands = sum(len(scene.bands) for scene in plan.scenes)
    report = PlanReport(
        folder=None,
        scenes=len(plan.scenes),
        megapixels=megapixels,
        windows=sum(scene.windows for scene in plan.scenes),
        bands=bands,
        overlaps=sum(map(len, footprints.neighbours)) // 2,
        crs=dict(systems.most_common()),
        failed={one.scene: one.reason for one in plan.records if one.status == "failed"},
        outside=_count_outside(plan.records, len(plan.scenes)),
    )
    if sample is not None and sample.searched_megapixels:
        found = sample.detections / sample.searched_megapixels
        report.disk_bytes = round(_PART_BYTES * found * megapixels) + _BAND_BYTES * bands
        if sample.seconds:
            report.megapixels_per_second = sample.megapixels / sample.seconds
            report.seconds = megapixels / report.megapixels_per_second
    return report


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    try:
        check_output_folder(folder, JOB_FILES, overwrite=overwrite)
    except OutputError as error:
        if not is_job(folder) or overwrite:
            raise
        raise OutputError(
            f"{folder} already contains a job",
            hint=f"geodet detect --job {folder} continues it; --overwrite (overwrite=True) plans "
            "it from scratch and removes its detections",
            path=folder,
        ) from error


def _with_whole_paths(prepared: PreparedRun) -> PreparedRun:
    """Return scenes whose paths hold in any working directory."""
    whole = {record.scene: record.path for record in prepared.plan.records}
    scenes = tuple(replace(one, path=whole[one.name]) for one in prepared.plan.scenes)
    return replace(prepared, plan=replace(prepared.plan, scenes=scenes))


def _count_outside(records: Sequence[SceneRecord], count: int) -> int:
    return len(records) - count - sum(record.status == "failed" for record in records)


def _name(crs: Any) -> str:
    authority = crs.to_authority(min_confidence=100)
    return ":".join(authority) if authority else str(crs.name)
