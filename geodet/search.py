"""The way through the scenes of a detection, and what was met on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from geodet.config import DetectConfig
from geodet.engine.inference import Predictor, with_values
from geodet.engine.windowed import DetectProgress, SceneRun
from geodet.errors import SceneError
from geodet.fitting import open_for_model
from geodet.jobs import Job, SceneJob
from geodet.merging.mosaics import deduplicate, is_ground_shared
from geodet.models.checkpoint import ModelDescription
from geodet.scene import Scene
from geodet.survey import survey
from geodet.values import fit_values
from geodet.vectors import SceneDetections

__all__ = ["Search"]

logger = logging.getLogger(__name__)


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
        self.unread: dict[str, SceneError] = {}
        """Scenes that cannot be read to their end, by name, of which nothing comes out."""
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
            predictor = self._predictor_for(scene)
            run = SceneRun(
                scene, predictor, self._config, region=job.region, progress=self._progress
            )
            for detections in run:
                yield job.part(detections)
        self._count(run)

    def _predictor_for(self, scene: Scene) -> Predictor:
        seen, dtype = survey(scene), scene.dtype.name
        chosen = fit_values(seen, scene.name, dtype, self._about, self._config)
        return with_values(self._predictor, chosen)

    def _count(self, run: SceneRun) -> None:
        self.chips += run.chips
        self.empty_chips += run.empty_chips
        self.capped += run.capped
        self.megapixels += run.pixels / 1e6
