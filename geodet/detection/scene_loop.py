"""Detect in the scenes of a plan, one after another."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from geodet.config import DetectConfig
from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.detection.journal import Journal
from geodet.detection.predictor import Predictor, with_input_values
from geodet.detection.progress import DetectCounts, DetectProgress
from geodet.detection.scene_for_model import OpenScenes, report_choices, summarise_names
from geodet.detection.scene_run import SceneRun
from geodet.detection.stopwatch import Stopwatch
from geodet.detection.value_range import (
    describe_range,
    fit_input_values,
    iter_sample_chips,
    measure_chips,
)
from geodet.errors import SceneError
from geodet.geometry.boxes import Detections
from geodet.geometry.scene_detections import SceneDetections
from geodet.geometry.windows import Window
from geodet.merging.mosaics import MosaicJoiner
from geodet.models.description import ModelDescription
from geodet.models.input_values import InputValues
from geodet.raster.scene import Chip, Scene
from geodet.vector.not_examined import SkippedArea

__all__ = ["SceneLoop"]

logger = logging.getLogger(__name__)


class SceneLoop:
    """Detection in the scenes of a plan, to be iterated over once.

    Args:
        plan: The scenes.
        opened: Opens them.
        predictor: Finds the objects of chips.
        about: The model.
        config: The settings.
        counts: Increased by what each scene adds, when it is done.
        watch: Times the stages.
        progress: Called after each batch.
        journal: Keeps what is found; None keeps nothing.
        joins_scenes: Whether an object that overlapping scenes show is yielded once, or with each.
    """

    def __init__(
        self,
        plan: DetectionPlan,
        opened: OpenScenes,
        predictor: Predictor,
        about: ModelDescription,
        config: DetectConfig,
        *,
        counts: DetectCounts,
        watch: Stopwatch,
        progress: Callable[[DetectProgress], None],
        journal: Journal | None = None,
        joins_scenes: bool = True,
    ) -> None:
        self._plan, self._opened = plan, opened
        self._predictor, self._about, self._config = predictor, about, config
        self._counts, self._watch, self._progress = counts, watch, progress
        self._journal, self._joins_scenes = journal, joins_scenes
        self._records = {record.scene: record for record in plan.records}
        self._pixels = [scene.geobox.width * scene.geobox.height for scene in plan.scenes]
        self._by_dtype: dict[str, Predictor] = {}
        self.failed: dict[str, SceneError] = dict(plan.failed)
        """Errors of the scenes that could not be read to their end, by name; nothing of such a
        scene is yielded."""
        self.values: dict[str, str] = {}
        """The values that count as dark and bright, by data type, where they were chosen."""
        self.not_examined: list[SkippedArea] = []
        """Areas of the scenes that could not be read and were skipped."""

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
        folder = None if self._journal is None else self._journal.folder.parent
        footprints = [scene.footprint for scene in self._plan.scenes]
        threshold = self._predictor.iou_threshold
        with MosaicJoiner(footprints, iou_threshold=threshold, folder=folder) as joiner:
            for number, parts in found:
                yield from self._watch.measure_each("merge", joiner.add(number, parts))

    def _iter_single(self) -> Iterator[SceneDetections]:
        (scene,) = self._plan.scenes
        try:
            yield from map(scene.part, self._iter_scene(0, scene))
        except SceneError as error:
            self._note_failure(0, error)
            raise

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
                self._opened.close_scene(scene.path)
            yield number, parts

    def _note_failure(self, number: int, error: SceneError) -> None:
        scene = self._plan.scenes[number]
        if self._journal is not None:
            self._journal.note_unreadable(number)
        self.failed[scene.name] = error
        record = self._records[scene.name]
        record.status, record.reason = "failed", str(error)

    def _iter_scene(self, number: int, planned: PlannedScene) -> Iterator[Detections]:
        began = time.monotonic()
        scene = self._opened.open(planned.path)
        report_choices(scene, self._about, self._config)
        run = SceneRun(
            scene,
            self._predictor_for(scene, planned),
            self._config,
            aoi=planned.aoi,
            watch=self._watch,
            progress=self._show_overall(number),
            journal=None if self._journal is None else self._journal.open_scene(number),
        )
        yield from run
        scene.clear_cache()
        self._counts.add(run.counts)
        self._note_skipped(planned, run.not_examined)
        record = self._records[planned.name]
        record.status, record.reason, record.seconds = "ok", "", time.monotonic() - began

    def _note_skipped(self, planned: PlannedScene, areas: Mapping[Window, str]) -> None:
        self._records[planned.name].not_examined = len(areas)
        for window, reason in areas.items():
            self.not_examined.append(SkippedArea(planned.name, planned.geobox, window, reason))
        if areas:
            logger.warning("%s: areas that could not be read: %d", planned.name, len(areas))

    def _show_overall(self, number: int) -> Callable[[DetectProgress], None]:
        """Return a function that adds to the progress of a scene where the run is."""
        pixels, before = self._pixels[number], sum(self._pixels[:number])
        done = 0

        def show(step: DetectProgress) -> None:
            nonlocal done
            done += step.chips
            share = (before + pixels * done / step.total) / sum(self._pixels)
            self._progress(replace(step, number=number + 1, scenes=len(self._pixels), share=share))

        return show

    def _predictor_for(self, scene: Scene, planned: PlannedScene) -> Predictor:
        """Return the predictor for the data type of a scene, the same for all its scenes."""
        dtype = planned.dtype
        if dtype not in self._by_dtype:
            with self._watch.measure("read"):
                values = self._choose_values(scene, planned)
            self._by_dtype[dtype] = with_input_values(self._predictor, values)
            if values is not None:
                self.values[dtype] = describe_range(values, self._about)
        return self._by_dtype[dtype]

    def _choose_values(self, scene: Scene, first: PlannedScene) -> InputValues | None:
        """Sample the first scene of a data type and others of it, evenly spread."""
        names, samples = [first.name], list(iter_sample_chips(scene, first.aoi))
        for other in self._plan.sampled:
            if other is not first and other.dtype == first.dtype:
                found = self._sample(other)
                names += [other.name] if found else []
                samples += found
        statistics = measure_chips(samples)
        return fit_input_values(
            statistics, summarise_names(names), first.dtype, self._about, self._config
        )

    def _sample(self, planned: PlannedScene) -> list[Chip]:
        """Sample a scene whose turn is yet to come; it stays open until then, without a cache."""
        with suppress(SceneError):  # it is reported in its turn
            scene = self._opened.open(planned.path)
            samples = list(iter_sample_chips(scene, planned.aoi))
            scene.clear_cache()
            return samples
        return []
