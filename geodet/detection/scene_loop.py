"""The way through the scenes of a detection, and what was met on it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from geodet.config import DetectConfig
from geodet.detection.job_plan import Job, SceneJob
from geodet.detection.predictor import Predictor, with_values
from geodet.detection.scene_for_model import one_or_many, open_for_model
from geodet.detection.scene_run import DetectProgress, SceneRun
from geodet.detection.scene_statistics import iter_samples, survey_chips
from geodet.detection.value_range import fit_values, in_words
from geodet.errors import SceneError
from geodet.geometry.scene_detections import SceneDetections
from geodet.merging.mosaics import deduplicate, is_ground_shared
from geodet.models.description import ModelDescription
from geodet.models.inputs import InputValues
from geodet.raster.scene import Chip, Scene

__all__ = ["Search"]

logger = logging.getLogger(__name__)

_LOOKED_AT = 16  # scenes, at most, tell what the values of all mean


class Search:
    """Detection in the scenes of a job: iterate over it once, then ask it for the counts.

    Args:
        job: The scenes.
        predictor: Finds the objects of chips.
        about: The model.
        config: How.
        progress: Called after each batch.
    """

    def __init__(
        self,
        job: Job,
        predictor: Predictor,
        about: ModelDescription,
        config: DetectConfig,
        progress: Callable[[DetectProgress], None],
    ) -> None:
        self._job, self._predictor, self._about = job, predictor, about
        self._config, self._progress = config, progress
        self._predictors: dict[str, Predictor] = {}
        self.unread: dict[str, SceneError] = {}
        """Scenes that cannot be read to their end, by name, of which nothing comes out."""
        self.values: dict[str, str] = {}
        """What was taken for dark and bright, by the type of the scenes, where it was chosen."""
        self.chips = self.empty_chips = 0
        """Windows looked at, and those of them without data or features."""
        self.capped = 0
        """Candidates lost to the caps of the configuration."""
        self.megapixels = 0.0
        """Of what was looked at, at the resolution of detection."""

    def __iter__(self) -> Iterator[SceneDetections]:
        """Yield what each scene holds, at once where no other scene shows the same ground."""
        parts = self._iter_scenes()
        if not is_ground_shared([scene.footprint for scene in self._job.scenes]):
            yield from parts
            return
        held = list(parts)
        with self._predictor.watch.measure("merge"):
            yield from deduplicate(held, iou_threshold=self._predictor.iou_threshold)

    def _iter_scenes(self) -> Iterator[SceneDetections]:
        """Yield what the scenes hold; of one among several all or nothing."""
        scenes = self._job.scenes
        if len(scenes) == 1:
            yield from self._iter_scene(scenes[0])
            return
        for scene in scenes:
            try:
                parts = list(self._iter_scene(scene))
            except SceneError as error:
                self.unread[scene.name] = error
                if len(self.unread) == len(scenes):
                    raise
                logger.error("%s is left out: %s", scene.name, error)
            else:
                yield from parts

    def _iter_scene(self, job: SceneJob) -> Iterator[SceneDetections]:
        with open_for_model(job.path, self._about, self._config) as scene:
            predictor = self._predictor_for(scene, job)
            run = SceneRun(
                scene, predictor, self._config, region=job.region, progress=self._progress
            )
            for detections in run:
                yield job.part(detections)
        self._count(run)

    def _predictor_for(self, scene: Scene, job: SceneJob) -> Predictor:
        """Give the predictor for values of the scene's type, for all its scenes the same."""
        dtype = scene.dtype.name
        if dtype not in self._predictors:
            with self._predictor.watch.measure("read"):
                values = self._fit_values(scene, job)
            self._predictors[dtype] = with_values(self._predictor, values)
            if values is not None:
                self.values[dtype] = in_words(values, self._about)
        return self._predictors[dtype]

    def _fit_values(self, scene: Scene, job: SceneJob) -> InputValues | None:
        """Look at the first scene of a type and at some others, evenly spread."""
        names, samples = [job.name], list(iter_samples(scene, job.region))
        jobs = self._job.scenes
        for other in jobs[:: math.ceil(len(jobs) / _LOOKED_AT)]:
            if other is not job:
                found = self._samples(other, scene.dtype)
                names += [other.name] if found else []
                samples += found
        seen = survey_chips(samples)
        return fit_values(seen, one_or_many(names), scene.dtype.name, self._about, self._config)

    def _samples(self, job: SceneJob, dtype: np.dtype[Any]) -> list[Chip]:
        with (
            suppress(SceneError),
            open_for_model(job.path, self._about, self._config, is_silent=True) as scene,
        ):
            if scene.dtype == dtype:
                return list(iter_samples(scene, job.region))
        return []

    def _count(self, run: SceneRun) -> None:
        self.chips += run.chips
        self.empty_chips += run.empty_chips
        self.capped += run.capped
        self.megapixels += run.pixels / 1e6
