"""Write the detections of a run to its outputs, wherever they come from."""

from __future__ import annotations

import contextlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import shapely

from geodet.detection.detect_options import DetectOptions, styled_outputs
from geodet.detection.detect_report import (
    DetectReport,
    incomplete_error,
    missing_outputs_error,
    naming_complete,
    write_records,
)
from geodet.detection.detection_plan import PlannedScene, check_files
from geodet.detection.journal import Journal
from geodet.detection.output_notes import describe_run, describe_scenes, plan_ground, salt_of
from geodet.detection.photographed_scenes import georeferenced_image
from geodet.detection.prepared_run import PreparedRun
from geodet.detection.progress import DetectProgress
from geodet.detection.run_outputs import RunOutputs
from geodet.detection.run_page import RunPage
from geodet.detection.run_previews import RunPreviews
from geodet.detection.scene_files import anchor_of, is_per_scene
from geodet.detection.scene_files_writer import SceneFilesWriter
from geodet.detection.scene_loop import SceneLoop
from geodet.detection.scene_source import SceneSource
from geodet.detection.written_files import WrittenFiles
from geodet.files.locks import locked_output
from geodet.files.outputs import raising_output_errors
from geodet.files.pending import announcing
from geodet.geometry.arrays import Ints
from geodet.geometry.scene_detections import SceneDetections
from geodet.merging.appended import drop_weaker
from geodet.previews.views import read_view
from geodet.raster.chip import Chip
from geodet.vector.examined_ground import ExaminedGround
from geodet.vector.images_layer import ImageCounts, write_image_counts
from geodet.vector.provenance import EXAMINED
from geodet.vector.rows import Appending, VectorLayer
from geodet.vector.stored_styles import write_style

__all__ = ["LayerRun"]

logger = logging.getLogger(__name__)


class LayerRun(ABC):
    """A run over scenes, to be iterated over once: yields the detections that it writes.

    Args:
        prepared: The scenes, the model, and what goes with them.
        outputs: Files with the same detections, each in the format of its extension; may be empty.
        options: Formats, and what else the settings do not hold.
        progress: Called after each batch.
    """

    def __init__(
        self,
        prepared: PreparedRun,
        outputs: Sequence[Path],
        options: DetectOptions,
        progress: Callable[[DetectProgress], None],
    ) -> None:
        self._prepared = prepared
        self._outputs, self._options, self._progress = tuple(outputs), options, progress
        self._plan, self._predictor = prepared.plan, prepared.predictor
        self._opened, self._watch = prepared.opened, prepared.watch
        model, config = prepared.model, prepared.config
        self.layer = VectorLayer(
            classes=model.description.classes,
            crs=self._plan.crs,
            metadata=describe_run(model, config, self._predictor),
            geometry=options.geometry,
            photographs=self._plan.photographs,
            salt=salt_of(model, config),
            oriented=model.description.architecture.boxes == "oriented",
        )
        """Properties of the layer, in the CRS of the first scene."""
        self.report = DetectReport(
            outputs=self._outputs,
            detections={scene.name: 0 for scene in self._plan.scenes},
            labels=dict.fromkeys(self.layer.classes, 0),
            device=str(self._predictor.device),
            precision=self._predictor.precision,
            scenes=list(self._plan.records),
            stages=self._watch.seconds,
        )
        """Counts so far; complete after the last detection."""
        self.examined_ground: ExaminedGround | None = None
        """The ground that was searched, after the last detection; None: unknown."""
        self._records = {one.scene: one for one in self.report.scenes}
        self._counts: dict[str, Ints] = {}
        self._last_steps: list[Callable[[], None]] = []

    @property
    def planned_ground(self) -> ExaminedGround | None:
        """The ground that is to be searched; None: unknown, as that of photographs is."""
        shape = plan_ground(self._plan)
        return None if shape is None else self._to_ground(shape)

    def _to_ground(self, shape: shapely.Geometry) -> ExaminedGround:
        place = self._outputs[0] if self._outputs else Path(self._plan.scenes[0].path)
        return ExaminedGround(place, shape, self.layer.crs)

    def end_with(self, step: Callable[[], None]) -> None:
        """Add a step that runs last, when the outputs are complete and no scene has failed.

        A run that is interrupted in the step can be continued.

        Args:
            step: Writes files that are made from the outputs.
        """
        self._last_steps.append(step)

    @abstractmethod
    def _open_source(self, journal: Journal | None, stack: ExitStack) -> SceneSource:
        """Open the source of the detections.

        Args:
            journal: The folder beside the first output, where there is one.
            stack: Closes the source at the end of the run.
        """

    def __iter__(self) -> Generator[SceneDetections, None, None]:
        """Detect, write, and yield the detections as soon as no later window can change them.

        The outputs are complete when the iterator is exhausted. If it is closed before, or fails,
        none is left in part, and what was found is kept in the journal beside the first output: a
        run of the same scenes, model and settings goes on from there, and replaces what this one
        has put in its place.

        Raises:
            SceneError: A scene could not be read to its end. Of several scenes the others are in
                the outputs; the error's ``failed`` has the errors by scene, ``report`` the report.
            OutputError: An output could not be written. Of several outputs the others are complete;
                the error's ``failed`` has the errors by output, ``report`` the report.
            DeviceError: The device has too little memory for a single chip.
        """
        previews = RunPreviews(self._options, self._plan, self._opened, self._prepared.config)
        joins_scenes = not any(map(is_per_scene, self._outputs))
        about = self._plan, self.layer.classes, self.report
        page = RunPage(*about, is_counted_once=joins_scenes) if self._options.report else None
        with ExitStack() as stack:
            stack.enter_context(self._prepared.warnings)
            self._create_folder(stack)
            stack.callback(self._opened.close)
            for anchor in dict.fromkeys(map(anchor_of, self._outputs)):
                stack.enter_context(locked_output(anchor))
            # Another run may have written them between the plan and the locks.
            check_files(self._outputs, [one.path for one in self._plan.records], self._options)
            stack.callback(self._record)  # not of a run that is refused: the record is another's
            journal = self._open_journal(stack)
            before = WrittenFiles() if journal is None else journal.written
            noting = nullcontext if journal is None else partial(announcing, journal.note_written)
            loop = SceneLoop(
                self._plan,
                self._open_source(journal, stack),
                iou_threshold=self._predictor.iou_threshold,
                counts=self.report,
                watch=self._watch,
                progress=self._progress,
                folder=None if journal is None else journal.folder.parent,
                joins_scenes=joins_scenes,
            )
            with self._open_outputs(journal, loop, before) as files:
                for part in loop:
                    self._count(part)
                    previews.add(part)
                    if page is not None:
                        page.add(part)
                    with self._watch.measure("write"), noting():
                        files.write(part)
                    yield part
                with self._watch.measure("write"), noting():
                    self._commit(files, loop)
            with naming_complete(self.report.outputs), noting():
                self._write_companions(loop, previews, page, before)
                if not files.failed and not loop.failed:
                    for step in self._last_steps:
                        step()
            is_kept = self._end_journal(journal, files)
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
        journal = Journal(
            self._outputs[0], self._prepared.fingerprint, restart=self._options.restart
        )
        stack.callback(journal.close)
        return journal

    def _open_outputs(
        self, journal: Journal | None, loop: SceneLoop, before: WrittenFiles
    ) -> RunOutputs:
        threshold = self._predictor.iou_threshold
        # Approximate places do not show whether two photographs have one object.
        is_exact = self.layer.photographs is None
        appending = Appending(
            run="" if journal is None else journal.run,
            scenes=tuple(scene.name for scene in self._plan.scenes),
            replace_scenes=self._options.replace_scenes,
            drop=partial(drop_weaker, iou_threshold=threshold) if is_exact else None,
        )

        def for_scenes(output: Path) -> SceneFilesWriter:
            how = self._options, appending, loop, before
            return SceneFilesWriter(output, self._plan, self.layer, *how)

        return RunOutputs(self._outputs, self.layer, self._options, appending, for_scenes, before)

    def _commit(self, files: RunOutputs, loop: SceneLoop) -> None:
        """Complete the outputs, and note which are complete and which ground was examined."""
        notes, searched = describe_scenes(self._plan, loop)
        files.commit(notes, searched, loop.not_examined)
        if EXAMINED in notes:
            self.examined_ground = self._to_ground(shapely.from_wkt(notes[EXAMINED]))
        self.report.outputs = tuple(files.written)

    def _write_companions(
        self, loop: SceneLoop, previews: RunPreviews, page: RunPage | None, before: WrittenFiles
    ) -> None:
        """Write the files that accompany the outputs: counts, pictures, styles and the report."""
        self._write_counts(loop)
        if preview := self._options.preview:
            overwrite = self._options.overwrite or before.includes(Path(preview))
            with self._watch.measure("preview"):
                previews.draw(self.layer.classes, loop.failed, overwrite=overwrite)
        self._write_styles()
        self._finish(loop)
        if page is not None:
            self._write_page(page, previews, loop)

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
        counts = np.bincount(part.detections.labels, minlength=len(self.layer.classes))
        self._counts[part.scene] = self._counts.get(part.scene, 0) + counts
        for name, count in zip(self.layer.classes, counts.tolist(), strict=True):
            self.report.labels[name] += count

    def _write_counts(self, loop: SceneLoop) -> None:
        """Write the number of objects of each scene that was searched."""
        if self._options.image_counts is not None:
            names = set(self._counts) - set(loop.failed)
            counts = {name: self._counts[name] for name in names}
            images = {
                scene.name: self._plan.images.get(scene.name)
                or georeferenced_image(scene.name, scene.geobox)
                for scene in self._plan.scenes
            }
            found = ImageCounts.of(self.layer.classes, images, counts)
            write_image_counts(self._options.image_counts, found)

    def _write_styles(self) -> None:
        """Write the styles that QGIS looks for beside files that cannot hold one."""
        for output in styled_outputs(self.report.outputs, self._options):
            write_style(output, self.layer.classes, geometry=self._options.geometry)

    def _write_page(self, page: RunPage, previews: RunPreviews, loop: SceneLoop) -> None:
        def read(scene: PlannedScene, side: int) -> Chip:
            with previews.open(scene) as opened:
                return read_view(opened, None, side).chip

        assert self._options.report is not None
        page.write(
            self._options.report,
            read=read,
            skipped=loop.not_examined,
            data_areas=loop.data_areas,
            warnings=self._prepared.warnings.texts,
            about=self.layer.metadata,
            command=self._options.command,
        )

    def _finish(self, loop: SceneLoop) -> None:
        report = self.report
        report.values = loop.values
        if report.capped:
            logger.warning(
                "%d candidate boxes were dropped by the limit %s, those with the lowest scores in "
                "crowded areas; raise it only if objects are missing there",
                report.capped,
                self._predictor.caps,
            )
        report.seconds = time.monotonic() - self._prepared.started


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
