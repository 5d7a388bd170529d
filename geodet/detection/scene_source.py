"""Sources of the detections of a run's scenes: here, a search in this process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from geodet.config import DetectConfig
from geodet.detection.chip_reading import count_readers
from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.detection.journal import Journal
from geodet.detection.open_scenes import OpenScenes
from geodet.detection.predictor import Predictor, with_input_values
from geodet.detection.progress import DetectProgress
from geodet.detection.scene_for_model import report_choices, summarise_names
from geodet.detection.scene_run import PiecesRun, SceneRun
from geodet.detection.scene_statistics import iter_sample_chips, measure_chips
from geodet.detection.stopwatch import Stopwatch
from geodet.detection.value_range import describe_range, fit_input_values
from geodet.errors import SceneError
from geodet.models.description import ModelDescription
from geodet.models.input_values import InputValues
from geodet.raster.chip import Chip
from geodet.raster.scene import Scene

__all__ = ["ComputedScenes", "PredictorsByType", "SceneSource", "choose_values"]


class SceneSource(Protocol):
    """A source of the detections of a run's scenes, one scene after another."""

    @property
    def values(self) -> dict[str, str]:
        """The values that count as dark and bright, by data type, where they were chosen."""

    def begin(
        self, number: int, planned: PlannedScene, progress: Callable[[DetectProgress], None]
    ) -> PiecesRun:
        """Begin with a scene.

        Args:
            number: Number of the scene in the plan, from 0.
            planned: The scene.
            progress: Called after each batch.

        Raises:
            SceneError: The scene cannot be read.
        """

    def end(self, planned: PlannedScene) -> None:
        """Release what a scene holds, also after an error."""

    def note_unreadable(self, number: int) -> None:
        """Note that a scene could not be read to its end."""


class ComputedScenes:
    """Searches scenes in this process, except for the parts that a journal has.

    Args:
        plan: The scenes.
        opened: Opens them.
        predictor: Finds the objects of chips.
        about: The model.
        config: The settings.
        watch: Times the stages.
        journal: Stores the parts; None stores nothing.
    """

    def __init__(
        self,
        plan: DetectionPlan,
        opened: OpenScenes,
        predictor: Predictor,
        about: ModelDescription,
        config: DetectConfig,
        *,
        watch: Stopwatch,
        journal: Journal | None = None,
    ) -> None:
        self._plan, self._opened, self._about, self._config = plan, opened, about, config
        self._predictors = PredictorsByType(plan, opened, predictor, about, config)
        self._watch, self._journal = watch, journal

    @property
    def values(self) -> dict[str, str]:
        """The values that count as dark and bright, by data type, where they were chosen."""
        return self._predictors.values

    def begin(
        self, number: int, planned: PlannedScene, progress: Callable[[DetectProgress], None]
    ) -> SceneRun:
        """Open a scene, and prepare to search it."""
        scene = self._opened.open(planned.path)
        report_choices(scene, self._about, self._config)
        with self._watch.measure("read"):
            predictor = self._predictors.choose(scene, planned)
        return SceneRun(
            scene,
            predictor,
            self._config,
            aoi=planned.aoi,
            watch=self._watch,
            progress=progress,
            journal=None if self._journal is None else self._journal.open_scene(number),
        )

    def end(self, planned: PlannedScene) -> None:
        """Close a scene; a single one stays open, without its cache, since it may be drawn."""
        if len(self._plan.scenes) > 1:
            self._opened.close_scene(planned.path)
        else:
            self._opened.clear_cache(planned.path)

    def note_unreadable(self, number: int) -> None:
        """Note in the journal that a scene could not be read; it may be repaired before a rerun."""
        if self._journal is not None:
            self._journal.note_unreadable(number)


class PredictorsByType:
    """The predictors for the scenes of a plan: one for each data type.

    Args:
        plan: The scenes.
        opened: Opens them.
        predictor: With the model's own input statistics.
        about: The model.
        config: ``value_range``.
    """

    def __init__(
        self,
        plan: DetectionPlan,
        opened: OpenScenes,
        predictor: Predictor,
        about: ModelDescription,
        config: DetectConfig,
    ) -> None:
        self._predictor, self._inputs = predictor, (plan, opened, about, config)
        self._found: dict[str, Predictor] = {}
        self.values: dict[str, str] = {}
        """The values that count as dark and bright, by data type, where they were chosen."""

    def choose(self, scene: Scene, planned: PlannedScene) -> Predictor:
        """Return the predictor for the data type of a scene, which is open."""
        dtype = planned.dtype
        if dtype not in self._found:
            values = choose_values(scene, planned, *self._inputs)
            self._found[dtype] = with_input_values(self._predictor, values)
            if values is not None:
                self.values[dtype] = describe_range(values, self._inputs[2])
        return self._found[dtype]


def choose_values(
    scene: Scene,
    first: PlannedScene,
    plan: DetectionPlan,
    opened: OpenScenes,
    about: ModelDescription,
    config: DetectConfig,
) -> InputValues | None:
    """Choose the input statistics of a data type from samples of its scenes, evenly spread.

    Args:
        scene: The first scene of the data type, open.
        first: The same scene in the plan.
        plan: All scenes.
        opened: Opens them; those that are sampled stay open, without a cache.
        about: The model.
        config: ``value_range``.

    Returns:
        As :func:`geodet.detection.value_range.fit_input_values`.
    """
    names, samples = [first.name], _sample(scene, first, config)
    for other in plan.sampled:
        if other is not first and other.dtype == first.dtype:
            found = _sample_early(other, opened, config)
            names += [other.name] if found else []
            samples += found
    statistics = measure_chips(samples)
    return fit_input_values(statistics, summarise_names(names), first.dtype, about, config)


def _sample(scene: Scene, planned: PlannedScene, config: DetectConfig) -> list[Chip]:
    workers = count_readers(config.workers, "cpu", is_remote=scene.is_remote)
    return list(iter_sample_chips(scene, planned.aoi, workers=workers))


def _sample_early(planned: PlannedScene, opened: OpenScenes, config: DetectConfig) -> list[Chip]:
    """Sample a scene whose turn is yet to come; it stays open until then, without a cache."""
    with suppress(SceneError):  # it is reported in its turn
        scene = opened.open(planned.path)
        samples = _sample(scene, planned, config)
        scene.clear_cache()
        return samples
    return []
