"""Search the windows of scenes with a model, one by one, and turned on request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from geodet.config import DetectConfig
from geodet.detection.batches import OutOfMemoryRetry, iter_batches
from geodet.detection.chip_reading import count_readers, iter_chips
from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.detection.open_scenes import OpenScenes
from geodet.detection.predictor import Predictor
from geodet.detection.scene_for_model import report_choices
from geodet.detection.scene_source import PredictorsByType
from geodet.detection.scene_windows import SceneWindows, cut_scene
from geodet.detection.window_plan import plan_windows
from geodet.errors import SceneError
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.models.description import ModelDescription
from geodet.raster.chip import Chip
from geodet.suggesting.rated_windows import to_scene_pixels

__all__ = ["SearchedWindow", "WindowSearch"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SearchedWindow:
    """The detections of a model in a window."""

    scene: PlannedScene
    """The scene."""
    window: Window
    """In the pixels of the scene."""
    found: Detections
    """In the pixels of the window, at the resolution of the model."""
    turned: Detections | None
    """Its detections when the window is rotated by half a turn, in the pixels of the window; None:
    not asked for."""


class WindowSearch:
    """The windows of the scenes of a plan, to be iterated over once, in memory of one batch.

    Unlike in a detection, windows share no pixels and each is seen alone. Windows without any data
    are left out, and so is a scene that cannot be read, unless it is the last one left.

    Args:
        plan: The scenes.
        opened: Opens them.
        predictor: The network.
        about: The model.
        config: Size of the windows, ``chip_size``; batches and readers.
        is_turned: Whether each window is also seen turned.
        progress: Called with the number of windows done and of all.
    """

    def __init__(
        self,
        plan: DetectionPlan,
        opened: OpenScenes,
        predictor: Predictor,
        about: ModelDescription,
        config: DetectConfig,
        *,
        is_turned: bool,
        progress: Callable[[int, int], None],
    ) -> None:
        self._plan, self._opened, self._predictor = plan, opened, predictor
        self._about, self._config, self._is_turned = about, config, is_turned
        self._progress, self._done = progress, 0
        self._predictors = PredictorsByType(plan, opened, predictor, about, config)
        self._total = sum(len(self._cut(scene).wanted) for scene in plan.scenes)
        self.failed: dict[str, SceneError] = dict(plan.failed)
        """Errors of the scenes that could not be read, by name."""

    def __iter__(self) -> Iterator[SearchedWindow]:
        """Yield the windows, scene by scene, from the top left.

        Raises:
            SceneError: No scene can be read.
        """
        self._progress(0, self._total)
        for scene in self._plan.scenes:
            try:
                yield from self._iter_scene(scene)
            except SceneError as error:
                self.failed[scene.name] = error
                if len(self.failed) == len(self._plan.records):
                    raise
                logger.error("%s is left out: %s", scene.name, error)
            finally:
                self._opened.close_scene(scene.path)

    def _cut(self, scene: PlannedScene) -> SceneWindows:
        plan = plan_windows(self._predictor, self._config, *scene.grid)
        return cut_scene(plan, iou_threshold=0.5, aoi=scene.aoi, scale=scene.scale)

    def _iter_scene(self, planned: PlannedScene) -> Iterator[SearchedWindow]:
        scene = self._opened.open(planned.path)
        report_choices(scene, self._about, self._config)
        predictor, cut = self._predictors.choose(scene, planned), self._cut(planned)
        see: OutOfMemoryRetry[Chip, tuple[Detections, Detections | None]] = OutOfMemoryRetry(
            lambda chips: self._see(predictor, chips)
        )
        readers = count_readers(self._config.workers, predictor.device.type)
        chips = iter_chips(
            scene, cut.grid, workers=readers, ahead=readers + cut.batch_size, indices=cut.wanted
        )
        with closing(chips):
            for batch in iter_batches(chips, batch_size=cut.batch_size):
                found = see([chip for _, chip in batch.chips])
                self._done += len(batch.chips) + len(batch.empty)
                self._progress(self._done, self._total)
                for (index, _), (straight, turned) in zip(batch.chips, found, strict=True):
                    window = to_scene_pixels(cut.grid[index], planned)
                    yield SearchedWindow(planned, window, straight, turned)

    def _see(
        self, predictor: Predictor, chips: Sequence[Chip]
    ) -> list[tuple[Detections, Detections | None]]:
        if not chips:
            return []
        straight = [one.detections for one in predictor(chips)]
        if not self._is_turned:
            return [(one, None) for one in straight]
        turned = predictor([_turn(chip) for chip in chips])
        sizes = [chip.valid.shape[::-1] for chip in chips]
        back = [_turn_back(one.detections, *size) for one, size in zip(turned, sizes, strict=True)]
        return list(zip(straight, back, strict=True))


def _turn(chip: Chip) -> Chip:
    """Turn a chip by half a turn."""
    pixels = np.ascontiguousarray(chip.pixels[:, ::-1, ::-1])
    return Chip(chip.window, pixels, np.ascontiguousarray(chip.valid[::-1, ::-1]))


def _turn_back(found: Detections, width: int, height: int) -> Detections:
    """Return the boxes of a turned chip as they lie in the chip itself."""
    ends = np.array([width, height, width, height])
    boxes, turned = (ends - found.boxes)[:, [2, 3, 0, 1]], found.oriented
    if turned is not None:  # half a turn leaves the angles of rectangles
        turned = np.hstack([ends[:2] - turned[:, :2], turned[:, 2:]])
    return Detections(boxes, found.scores, found.labels, turned)
