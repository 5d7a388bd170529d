"""Detect objects in scenes and write them to GIS files.

How a detection runs: :func:`~geodet.detection.detection_plan.plan_detection` opens the scenes and
checks all that a run needs. :class:`~geodet.detection.scene_loop.SceneLoop` takes them one by one.
:class:`~geodet.detection.scene_run.SceneRun` cuts a scene into windows, reads their chips in
batches, has the network find boxes in them, and merges the boxes of neighbouring windows.
:class:`~geodet.detection.layer_run.LayerRun` writes what comes out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from geodet.config import DetectConfig
from geodet.detection.detect_options import DetectOptions
from geodet.detection.detect_report import DetectReport
from geodet.detection.detection_plan import plan_detection
from geodet.detection.fingerprint import fingerprint_run
from geodet.detection.journal import Journal
from geodet.detection.layer_run import LayerRun
from geodet.detection.open_scenes import OpenScenes
from geodet.detection.predictor import Predictor, build_predictor
from geodet.detection.prepared_run import PreparedRun
from geodet.detection.progress import DetectProgress
from geodet.detection.scene_source import ComputedScenes, SceneSource
from geodet.detection.stopwatch import Stopwatch
from geodet.files.warning_log import WarningLog
from geodet.models.device import choose_device, import_torch
from geodet.models.model import Model

__all__ = [
    "DetectOptions",
    "DetectProgress",
    "DetectReport",
    "DetectionRun",
    "PreparedSearch",
    "detect_to_files",
    "prepare_run",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSearch(PreparedRun):
    """A prepared run that searches the scenes in this process."""

    predictor: Predictor
    """Finds the objects of chips."""


class DetectionRun(LayerRun):
    """A detection in scenes, to be iterated over once: yields what it writes.

    The constructor checks everything that can be checked before the search.

    Args:
        scenes: Rasters that GDAL opens; folders, patterns and lists of them, see
            :func:`geodet.raster.scene_lists.list_scenes`.
        outputs: Files with the same detections, each in the format of its extension; may be empty.
        model: What to look for.
        config: The settings.
        options: Area of interest, formats, and what else the settings do not hold.
        progress: Called after each batch.

    Raises:
        SceneError: A scene cannot be opened.
        ModelFileError: A scene lacks bands that the model needs.
        OutputError: An output exists or cannot be written.
        VectorError: The area of interest cannot be read, or meets no scene.
        ConfigError: The options contradict each other.
        DeviceError: There is no such device.
    """

    def __init__(
        self,
        scenes: Sequence[str | Path],
        outputs: Sequence[Path],
        model: Model,
        config: DetectConfig,
        options: DetectOptions | None = None,
        *,
        progress: Callable[[DetectProgress], None] = lambda _: None,
    ) -> None:
        chosen = options or DetectOptions()
        prepared = prepare_run(scenes, outputs, model, config, chosen)
        self._network = prepared.predictor
        super().__init__(prepared, outputs, chosen, progress)

    def _open_source(self, journal: Journal | None, stack: ExitStack) -> SceneSource:  # noqa: ARG002
        """Search the scenes in this process."""
        return ComputedScenes(
            self._plan,
            self._opened,
            self._network,
            self._prepared.model.description,
            self._prepared.config,
            watch=self._watch,
            journal=journal,
        )


def prepare_run(
    scenes: Sequence[str | Path],
    outputs: Sequence[Path],
    model: Model,
    config: DetectConfig,
    options: DetectOptions,
    *,
    is_one_layer: bool = True,
) -> PreparedSearch:
    """Open the scenes, put the model on its device, and check all that a detection needs.

    Args:
        scenes: As for :class:`DetectionRun`.
        outputs: As for :class:`DetectionRun`.
        model: What to look for.
        config: The settings.
        options: Device, area of interest, formats.
        is_one_layer: Whether all scenes go to one layer, unless the outputs say otherwise.

    Raises:
        GeodetError: As :class:`DetectionRun` raises them.
    """
    started = time.monotonic()
    opened, warnings = OpenScenes(model.description, config), WarningLog()
    try:
        with warnings:
            about = model.description
            plan = plan_detection(
                scenes, outputs, about, config, options, opened, is_one_layer=is_one_layer
            )
            device = choose_device(options.device)
            watch = _stopwatch(device, waits=options.profile)
            predictor = build_predictor(model, config, device, watch=watch)
        texts = fingerprint_run(plan, model, config, options, predictor) if outputs else {}
    except BaseException:
        opened.close()
        raise
    return PreparedSearch(
        plan=plan,
        model=model,
        config=config,
        predictor=predictor,
        opened=opened,
        watch=watch,
        fingerprint=texts,
        started=started,
        warnings=warnings,
    )


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

    Detections are written as soon as no later window can change them; those of one scene among
    several, when it is done. An object that overlapping scenes show is written once; such a scene
    is written when those around it are done.

    If one of several scenes cannot be read to its end, the outputs are completed without any of its
    detections, their metadata names the scene where the format has metadata, and the error is
    raised at the end.

    Args:
        scenes: As for :class:`DetectionRun`.
        outputs: As for :class:`DetectionRun`.
        model: What to look for.
        config: The settings.
        options: Area of interest, formats, and what else the settings do not hold.
        progress: Called after each batch.

    Raises:
        GeodetError: As :class:`DetectionRun` and its iteration raise them.
    """
    run = DetectionRun(scenes, outputs, model, config, options, progress=progress)
    for _ in run:
        pass
    return run.report


def _stopwatch(device: str, *, waits: bool) -> Stopwatch:
    """Build a stopwatch; if it waits for the device, stages run one after another."""
    if not waits:
        return Stopwatch()
    return Stopwatch(_nothing if device == "cpu" else partial(_synchronise, device))


def _nothing() -> None:
    """Do nothing: a CPU has done what it was asked for."""


def _synchronise(device: str) -> None:
    import_torch().cuda.synchronize(device)
