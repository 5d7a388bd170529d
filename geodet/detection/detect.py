"""Detect objects in scenes and write them to a GIS file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

import geodet
from geodet.config import DetectConfig
from geodet.detection.detect_options import DetectOptions, styled_outputs
from geodet.detection.job_plan import Job, plan_job
from geodet.detection.predictor import Predictor, build_predictor
from geodet.detection.scene_loop import Search
from geodet.detection.scene_run import DetectProgress
from geodet.detection.stopwatch import Stopwatch
from geodet.errors import SceneError
from geodet.geometry.boxes import Detections
from geodet.geometry.scene_detections import SceneDetections
from geodet.models.checkpoint import Model
from geodet.previews.preview import draw_preview, open_in_colour
from geodet.vector.styles import write_style
from geodet.vector.write_detections import open_writer
from geodet.vector.writer import DetectionWriter

__all__ = ["DetectOptions", "DetectProgress", "DetectReport", "detect_to_files"]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class DetectReport:
    """What a run found and how."""

    outputs: tuple[Path, ...]
    """The files written."""
    detections: dict[str, int]
    """Objects by scene."""
    labels: dict[str, int]
    """Objects by class."""
    device: str
    """Where the network ran."""
    chips: int = 0
    """Windows looked at."""
    empty_chips: int = 0
    """Windows without a valid pixel, or without features, which were skipped."""
    capped: int = 0
    """Candidates lost to the caps of the configuration; 0 unless one binds."""
    megapixels: float = 0.0
    """Of what was looked at, at the resolution of detection."""
    values: dict[str, str] = field(default_factory=dict)
    """What was taken for dark and bright, by the type of the scenes, where it was chosen."""
    seconds: float = 0.0
    """From opening the first scene to the last byte written."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds by stage."""


def detect_to_files(
    scenes: Sequence[str | Path],
    outputs: Sequence[Path],
    model: Model,
    config: DetectConfig,
    options: DetectOptions | None = None,
    *,
    progress: Callable[[DetectProgress], None] = lambda _: None,
) -> DetectReport:
    """Detect objects in scenes and write them, all scenes to one layer.

    Objects are written as soon as nothing can change them; those of one scene among several, when
    it is done. What several scenes show of one object, where they overlap, is written once: then
    everything is held until all scenes are done.

    Where one of several scenes cannot be read to its end, the output is completed without any
    object of it, says so in its metadata, where it has some, and the error comes at the end.

    Args:
        scenes: Rasters, anything that GDAL opens; folders, patterns and lists of them, see
            :func:`geodet.raster.scene_lists.list_scenes`.
        outputs: Files with the same objects, each in the format of its extension.
        model: What to look for.
        config: How.
        options: Where, and what is written.
        progress: Called after each batch.

    Raises:
        SceneError: A scene cannot be read; names all such scenes.
        ModelFileError: A scene has not the bands that the model needs.
        OutputError: An output is there already or cannot be written.
        VectorError: The area of interest cannot be read, or meets no scene.
    """
    started = time.monotonic()
    options = options or DetectOptions()
    classes = model.description.classes
    job = plan_job(scenes, outputs, model.description, config, options)
    predictor = build_predictor(model, config, options.device)
    predictor.watch = _stopwatch(predictor.device, waits=options.profile)
    report = _empty_report(job, outputs, predictor, classes)
    shown: list[Detections] = []
    with ExitStack() as stack:
        writers = _open_writers(stack, outputs, job, model, config, options)
        search = Search(job, predictor, model.description, config, progress)
        for part in search:
            _count(report, part, classes)
            if options.preview:
                shown.append(part.detections)
            with predictor.watch.measure("write"):
                for writer in writers:
                    writer.write(part)
        for writer in writers:
            writer.annotate(_notes(search))
        with predictor.watch.measure("write"):
            stack.pop_all().close()  # completes the files
    if options.preview:
        with predictor.watch.measure("preview"):
            _draw(job, options.preview, Detections.concatenate(shown), model, config, options)
    _write_styles(outputs, classes, options)
    report.chips, report.empty_chips = search.chips, search.empty_chips
    report.capped, report.megapixels = search.capped, search.megapixels
    report.values = search.values
    _report_caps(report, predictor)
    if search.unread:
        raise _incomplete(search.unread, report)
    report.seconds = time.monotonic() - started
    return report


def _stopwatch(device: torch.device, *, waits: bool) -> Stopwatch:
    if waits and device.type == "cuda":
        return Stopwatch(lambda: torch.cuda.synchronize(device))
    return Stopwatch()


def _empty_report(
    job: Job, outputs: Sequence[Path], predictor: Predictor, classes: Sequence[str]
) -> DetectReport:
    return DetectReport(
        outputs=tuple(outputs),
        detections={scene.name: 0 for scene in job.scenes},
        labels=dict.fromkeys(classes, 0),
        device=str(predictor.device),
        stages=predictor.watch.seconds,
    )


def _open_writers(
    stack: ExitStack,
    outputs: Sequence[Path],
    job: Job,
    model: Model,
    config: DetectConfig,
    options: DetectOptions,
) -> list[DetectionWriter]:
    return [
        stack.enter_context(
            open_writer(
                output,
                model.description.classes,
                crs=job.crs,
                metadata=_provenance(model, config),
                overwrite=options.overwrite,
                append=options.append,
                geometry=options.geometry,
                format=options.format,
            )
        )
        for output in outputs
    ]


def _count(report: DetectReport, part: SceneDetections, classes: Sequence[str]) -> None:
    report.detections[part.scene] += len(part.detections)
    counts = np.bincount(part.detections.labels, minlength=len(classes)).tolist()
    for name, count in zip(classes, counts, strict=True):
        report.labels[name] += count


def _notes(search: Search) -> dict[str, str]:
    """Say of the output what only the way through the scenes has shown."""
    chosen = [f"{dtype}: {ends}" for dtype, ends in search.values.items()]
    notes = {"dark to bright": "; ".join(chosen), "scenes left out": _listed(search.unread)}
    return {title: text for title, text in notes.items() if text}


def _incomplete(unread: Mapping[str, SceneError], report: DetectReport) -> SceneError:
    count, outputs = len(unread), " and ".join(map(str, report.outputs))
    return SceneError(
        f"{count} of {len(report.detections)} scenes could not be read; "
        f"{sum(report.labels.values())} objects of the others are in {outputs}: {_listed(unread)}",
        hint="mend these scenes and detect in them again; a GeoPackage takes more with --append",
    )


def _listed(unread: Mapping[str, SceneError]) -> str:
    return "; ".join(f"{name}: {error}" for name, error in unread.items())


def _report_caps(report: DetectReport, predictor: Predictor) -> None:
    if report.capped:
        logger.warning(
            "%d candidate boxes were dropped by %s; raise it, or the score threshold",
            report.capped,
            predictor.caps,
        )


def _draw(
    job: Job,
    preview: Path,
    shown: Detections,
    model: Model,
    config: DetectConfig,
    options: DetectOptions,
) -> None:
    (one,) = job.scenes
    with open_in_colour(one.path, config.bands) as scene:
        classes = model.description.classes
        draw_preview(preview, scene, shown, classes, overwrite=options.overwrite)


def _write_styles(outputs: Sequence[Path], classes: Sequence[str], options: DetectOptions) -> None:
    """Write what QGIS looks for beside the files that cannot hold a style."""
    for output in styled_outputs(outputs, options):
        write_style(output, classes, geometry=options.geometry)


def _provenance(model: Model, config: DetectConfig) -> dict[str, str]:
    """Say in the output what made it."""
    return {
        "software": f"geodet {geodet.__version__}",
        "torch": torch.__version__,
        "model": model.description.name,
        "model_sha256": model.digest,
        "configuration": config.model_dump_json(exclude_none=True),
    }
