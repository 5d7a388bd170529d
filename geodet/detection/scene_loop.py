"""Detect in the scenes of a plan, one after another."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import shapely

from geodet.detection.blank_ground import data_area
from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.detection.progress import DetectCounts, DetectProgress
from geodet.detection.scene_source import SceneSource
from geodet.detection.stopwatch import Stopwatch
from geodet.errors import SceneError
from geodet.geometry.boxes import Detections
from geodet.geometry.scene_detections import SceneDetections
from geodet.geometry.windows import Window
from geodet.merging.mosaics import MosaicJoiner
from geodet.vector.not_examined import SkippedArea

__all__ = ["SceneLoop"]

logger = logging.getLogger(__name__)


class SceneLoop:
    """Detection in the scenes of a plan, to be iterated over once.

    Args:
        plan: The scenes.
        source: Where their detections come from.
        iou_threshold: Overlap above which an object that two scenes show is written once.
        counts: Increased by what each scene adds, when it is done.
        watch: Times the stages.
        progress: Called after each batch.
        folder: Folder of a temporary file for detections of overlapping scenes that wait; None: the
            system's folder for temporary files.
        joins_scenes: Whether an object that overlapping scenes show is yielded once, or with each.
    """

    def __init__(
        self,
        plan: DetectionPlan,
        source: SceneSource,
        *,
        iou_threshold: float,
        counts: DetectCounts,
        watch: Stopwatch,
        progress: Callable[[DetectProgress], None],
        folder: Path | None = None,
        joins_scenes: bool = True,
    ) -> None:
        self._plan, self._source, self._iou_threshold = plan, source, iou_threshold
        self._counts, self._watch, self._progress = counts, watch, progress
        self._folder, self._joins_scenes = folder, joins_scenes
        self._records = {record.scene: record for record in plan.records}
        pixels = (scene.geobox.width * scene.geobox.height for scene in plan.scenes)
        self._pixels = [0, *accumulate(pixels)]
        self.failed: dict[str, SceneError] = dict(plan.failed)
        """Errors of the scenes that could not be read to their end, by name; nothing of such a
        scene is yielded."""
        self.not_examined: list[SkippedArea] = []
        """Areas of the scenes that could not be read and were skipped."""
        self.data_areas: dict[str, shapely.Geometry] = {}
        """The area with data of each scene that is partly without, by name, in pixels of its
        grid."""

    @property
    def values(self) -> dict[str, str]:
        """The values that count as dark and bright, by data type, where they were chosen."""
        return self._source.values

    def __iter__(self) -> Iterator[SceneDetections]:
        """Yield the detections of each scene, without duplicates where scenes overlap.

        A single scene is yielded part by part, of several each when it is final, in their order:
        one that overlaps no other at its end, the others as :class:`MosaicJoiner` says.
        """
        scenes = self._plan.scenes
        if len(scenes) == 1:
            yield from self._iter_single()
        elif not self._joins_scenes:
            for number, parts in self._iter_scenes():
                yield from map(scenes[number].part, parts)
        else:
            yield from self._join(self._iter_scenes())

    def _join(self, found: Iterator[tuple[int, list[Detections]]]) -> Iterator[SceneDetections]:
        footprints = [scene.footprint for scene in self._plan.scenes]
        threshold = self._iou_threshold
        with MosaicJoiner(footprints, iou_threshold=threshold, folder=self._folder) as joiner:
            for number, parts in found:
                yield from self._watch.measure_each("merge", joiner.add(number, parts))

    def _iter_single(self) -> Iterator[SceneDetections]:
        (scene,) = self._plan.scenes
        try:
            yield from map(scene.part, self._iter_scene(0, scene))
        except SceneError as error:
            self._note_failure(0, error)
            raise
        finally:
            self._source.end(scene)

    def _iter_scenes(self) -> Iterator[tuple[int, list[Detections]]]:
        """Yield the detections of each of several scenes, none of one that fails."""
        scenes = self._plan.scenes
        for number, scene in enumerate(scenes):
            try:
                parts = list(self._iter_scene(number, scene))
            except SceneError as error:
                self._note_failure(number, error)
                if len(self.failed) == len(scenes) + len(self._plan.failed):
                    raise
                logger.error("%s is left out: %s", scene.name, error)
                parts = []
            finally:
                self._source.end(scene)
            yield number, parts

    def _note_failure(self, number: int, error: SceneError) -> None:
        scene = self._plan.scenes[number]
        self._source.note_unreadable(number)
        self.failed[scene.name] = error
        record = self._records[scene.name]
        record.status, record.reason = "failed", str(error)

    def _iter_scene(self, number: int, planned: PlannedScene) -> Iterator[Detections]:
        began = time.monotonic()
        run = self._source.begin(number, planned, self._show_overall(number))
        yield from run
        self._counts.add(run.counts)
        self._note_skipped(planned, run.not_examined)
        if (area := data_area(run.no_data, *planned.grid)) is not None:
            self.data_areas[planned.name] = area
        record = self._records[planned.name]
        record.status, record.reason, record.seconds = "ok", "", time.monotonic() - began

    def _note_skipped(self, planned: PlannedScene, areas: Mapping[Window, str]) -> None:
        self._records[planned.name].not_examined = len(areas)
        for window, reason in areas.items():
            self.not_examined.append(SkippedArea(planned.name, planned.geobox, window, reason))
        if areas:
            logger.warning("%s: areas that were not examined: %d", planned.name, len(areas))

    def _show_overall(self, number: int) -> Callable[[DetectProgress], None]:
        """Return a function that adds the run's progress to that of a scene, and reports it."""
        before, after = self._pixels[number : number + 2]
        done, scenes = 0, len(self._plan.scenes)

        def show(step: DetectProgress) -> None:
            nonlocal done
            done += step.chips
            share = (before + (after - before) * done / step.total) / self._pixels[-1]
            self._progress(replace(step, number=number + 1, scenes=scenes, share=share))

        return show
