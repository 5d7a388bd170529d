"""Detect objects in scenes and write them to GIS files.

The way of a detection: :func:`~geodet.detection.detection_plan.plan_detection` opens the scenes and
checks all that a run needs. :class:`~geodet.detection.scene_loop.SceneLoop` takes them one by one.
:class:`~geodet.detection.scene_run.SceneRun` cuts a scene into windows, reads their chips in
batches, has the network find boxes in them, and merges the boxes of neighbouring windows.
:class:`DetectionRun` writes what comes out.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from geodet.config import DetectConfig
from geodet.config.reading_config import ReadingConfig
from geodet.detection.detect_options import DetectOptions, styled_outputs
from geodet.detection.detect_report import (
    DetectReport,
    incomplete_error,
    missing_outputs_error,
    write_records,
)
from geodet.detection.detection_plan import check_files, plan_detection
from geodet.detection.fingerprint import fingerprint_run
from geodet.detection.journal import Journal
from geodet.detection.output_notes import describe_run, describe_scenes
from geodet.detection.predictor import build_predictor
from geodet.detection.progress import DetectProgress
from geodet.detection.run_outputs import RunOutputs
from geodet.detection.scene_files import anchor_of, is_per_scene
from geodet.detection.scene_files_writer import SceneFilesWriter
from geodet.detection.scene_for_model import OpenScenes
from geodet.detection.scene_loop import SceneLoop
from geodet.detection.stopwatch import Stopwatch
from geodet.files.locks import locked_output
from geodet.files.outputs import raising_output_errors
from geodet.geometry.boxes import Detections
from geodet.geometry.scene_detections import SceneDetections
from geodet.merging.appended import drop_weaker
from geodet.models.device import choose_device, import_torch
from geodet.models.model import Model
from geodet.previews.preview import draw_preview, select_colours
from geodet.vector.rows import Appending
from geodet.vector.stored_styles import write_style

__all__ = [
    "DetectOptions",
    "DetectProgress",
    "DetectReport",
    "DetectionRun",
    "detect_to_files",
]

logger = logging.getLogger(__name__)


class DetectionRun:
    """A detection in scenes, to be iterated over once: yields what it writes.

    Everything that can be refused is refused by the constructor, so nothing is lost late.

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
        self._started = time.monotonic()
        self._outputs = tuple(outputs)
        self._options = options or DetectOptions()
        self._about, self._config, self._progress = model.description, config, progress
        self._opened = OpenScenes(model.description, config)
        try:
            self._plan = plan_detection(
                scenes, outputs, model.description, config, self._options, self._opened
            )
            device = choose_device(self._options.device)
            self._watch = _stopwatch(device, waits=self._options.profile)
            self._predictor = build_predictor(model, config, device, watch=self._watch)
            self._fingerprint = (
                fingerprint_run(self._plan, model, config, self._options, self._predictor)
                if outputs
                else {}
            )
        except BaseException:
            self._opened.close()
            raise
        self.classes = model.description.classes
        """Names of the classes, by label."""
        self.crs = self._plan.crs
        """CRS of the layer: that of the first scene."""
        self.provenance = describe_run(model, config, self._predictor)
        """The software, model and settings that make the detections, by title."""
        self.salt = _salt(model, config)
        """A text that is the same for the same model and settings, for stable identifiers."""
        self.report = DetectReport(
            outputs=self._outputs,
            detections={scene.name: 0 for scene in self._plan.scenes},
            labels=dict.fromkeys(self.classes, 0),
            device=str(self._predictor.device),
            precision=self._predictor.precision,
            scenes=list(self._plan.records),
            stages=self._watch.seconds,
        )
        """What was found so far; complete after the last detection."""
        self._records = {one.scene: one for one in self.report.scenes}

    def __iter__(self) -> Generator[SceneDetections, None, None]:
        """Detect, write, and yield the detections as soon as no later window can change them.

        The outputs are complete when the iterator is exhausted. If it is closed before, or fails,
        none is left, and what was found is kept in the journal beside the first output: a run of
        the same scenes, model and settings goes on from there.

        Raises:
            SceneError: A scene could not be read to its end. Of several scenes the others are in
                the outputs; the error's ``failed`` has the errors by scene, ``report`` the report.
            OutputError: An output could not be written. Of several outputs the others are complete;
                the error's ``failed`` has the errors by output, ``report`` the report.
            DeviceError: The device has too little memory for a single chip.
        """
        shown: list[Detections] = []
        with ExitStack() as stack:
            self._create_folder(stack)
            stack.callback(self._record)
            stack.callback(self._opened.close)
            for anchor in dict.fromkeys(map(anchor_of, self._outputs)):
                stack.enter_context(locked_output(anchor))
            # Another run may have written them between the plan and the locks.
            check_files(self._outputs, [one.path for one in self._plan.records], self._options)
            journal = self._open_journal(stack)
            loop = SceneLoop(
                self._plan,
                self._opened,
                self._predictor,
                self._about,
                self._config,
                counts=self.report,
                watch=self._watch,
                progress=self._progress,
                journal=journal,
                joins_scenes=not any(map(is_per_scene, self._outputs)),
            )
            with self._open_outputs(journal, loop) as files:
                for part in loop:
                    self._count(part)
                    if self._options.preview:
                        shown.append(part.detections)
                    with self._watch.measure("write"):
                        files.write(part)
                    yield part
                with self._watch.measure("write"):
                    files.commit(describe_scenes(self._plan, loop), loop.not_examined)
            self.report.outputs = tuple(files.written)
            is_kept = self._end_journal(journal, files)
            if self._options.preview:
                with self._watch.measure("preview"):
                    self._draw(self._options.preview, Detections.concatenate(shown))
        self._write_styles()
        self._finish(loop)
        if files.failed:
            raise missing_outputs_error(files.failed, loop.failed, self.report, journal=is_kept)
        if loop.failed:
            raise incomplete_error(loop.failed, self.report)

    def _create_folder(self, stack: ExitStack) -> None:
        """Create the folder of a file for each scene; at the end remove it if it is empty."""
        for output in filter(is_per_scene, self._outputs):
            with raising_output_errors(output.parent):
                output.parent.mkdir(parents=True, exist_ok=True)
            stack.callback(_remove_empty, output.parent)

    def _open_journal(self, stack: ExitStack) -> Journal | None:
        """Open the journal beside the first output, where there is one."""
        if not self._outputs:
            return None
        journal = Journal(self._outputs[0], self._fingerprint, restart=self._options.restart)
        stack.callback(journal.close)
        return journal

    def _open_outputs(self, journal: Journal | None, loop: SceneLoop) -> RunOutputs:
        threshold = self._predictor.iou_threshold
        appending = Appending(
            run="" if journal is None else journal.run,
            scenes=tuple(scene.name for scene in self._plan.scenes),
            replace_scenes=self._options.replace_scenes,
            drop=lambda pairs: drop_weaker(pairs, iou_threshold=threshold),
        )

        def for_scenes(output: Path) -> SceneFilesWriter:
            assert journal is not None
            layer = self.classes, self.provenance, self._options, appending
            return SceneFilesWriter(output, self._plan, *layer, loop, journal)

        return RunOutputs(
            self._outputs,
            self.classes,
            self.crs,
            self.provenance,
            self._options,
            appending,
            for_scenes,
        )

    def _end_journal(self, journal: Journal | None, files: RunOutputs) -> bool:
        """Remove the journal, or keep it for an output that could not be written."""
        if journal is None:
            return False
        if files.failed:
            return journal.hand_over(next(iter(files.failed)))
        journal.remove()
        return False

    def _record(self) -> None:
        """Write what became of each of several scenes beside the first output."""
        if self._outputs and len(self.report.scenes) > 1:
            write_records(self._outputs[0], self.report.scenes)

    def _count(self, part: SceneDetections) -> None:
        self.report.detections[part.scene] += len(part.detections)
        self._records[part.scene].detections += len(part.detections)
        counts = np.bincount(part.detections.labels, minlength=len(self.classes)).tolist()
        for name, count in zip(self.classes, counts, strict=True):
            self.report.labels[name] += count

    def _draw(self, preview: Path, shown: Detections) -> None:
        (one,) = self._plan.scenes
        scene = self._opened.open(one.path)
        select_colours(scene, self._config.bands)
        draw_preview(preview, scene, shown, self.classes, overwrite=self._options.overwrite)

    def _write_styles(self) -> None:
        """Write the styles that QGIS looks for beside files that cannot hold one."""
        for output in styled_outputs(self.report.outputs, self._options):
            write_style(output, self.classes, geometry=self._options.geometry)

    def _finish(self, loop: SceneLoop) -> None:
        report = self.report
        report.values = loop.values
        if report.capped:
            logger.warning(
                "%d candidate boxes were dropped by %s; raise it, or the score threshold",
                report.capped,
                self._predictor.caps,
            )
        report.seconds = time.monotonic() - self._started


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
    if waits and device != "cpu":
        return Stopwatch(lambda: import_torch().cuda.synchronize(device))
    return Stopwatch()


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _salt(model: Model, config: DetectConfig) -> str:
    """Join the model and the settings, without those that only change speed and memory."""
    speed = {"workers", "batch_size", *ReadingConfig.model_fields}
    return model.digest + config.model_dump_json(exclude=speed)
