"""Suggest which windows of scenes to label: those that would teach a model most."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from pyproj import CRS

from geodet.config import DetectConfig
from geodet.detection.detect_options import DetectOptions
from geodet.detection.detection_plan import DetectionPlan, plan_detection
from geodet.detection.open_scenes import OpenScenes
from geodet.detection.predictor import build_predictor
from geodet.geometry.windows import Window
from geodet.models.class_thresholds import choose_thresholds
from geodet.models.device import choose_device
from geodet.models.model import Model
from geodet.raster.scene_names import slashed_path
from geodet.reviewing.reviewed_scenes import find_scenes
from geodet.reviewing.suggested_windows import (
    SuggestedWindow,
    check_reviewed,
    read_reviewed_windows,
    write_suggestions,
)
from geodet.suggesting.layer_windows import rate_layer
from geodet.suggesting.rated_windows import RatedWindows, place_windows
from geodet.suggesting.searched_windows import WindowSearch
from geodet.suggesting.spread import choose_spread
from geodet.suggesting.suggest_options import SuggestTask, check_suggestion
from geodet.suggesting.window_ratings import Rating, WindowRater

__all__ = ["WINDOW_SIDE", "SuggestReport", "suggest_windows"]

WINDOW_SIDE = 512
"""Side of a window where the settings name none, in pixels at the resolution of the model."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SuggestReport:
    """Result of a suggestion.

    Example:
        >>> report = geodet.suggest(scene, folder / "suggested.gpkg", budget=2, chip_size=256)
        >>> len(report.windows), report.candidates
        (2, 4)
    """

    output: Path
    """The file that was written."""
    windows: list[SuggestedWindow]
    """The suggested windows, the first one to look at first."""
    candidates: int
    """Windows that they were chosen from."""
    seconds: float
    """Duration."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why scenes were left out, by name."""


def suggest_windows(
    scenes: Sequence[str | Path],
    output: Path,
    model: Model,
    config: DetectConfig,
    task: SuggestTask,
    options: DetectOptions | None = None,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> SuggestReport:
    """Choose windows of scenes to label, and write them to a file of reviews.

    Args:
        scenes: Rasters that GDAL opens; folders, patterns and lists of them.
        output: The ``.gpkg`` to write.
        model: The model that the labels are to teach.
        config: ``chip_size``, the side of a window; thresholds, bands, precision.
        task: How many windows, and by which rule.
        options: Device, area of interest, and whether the output may be replaced.
        progress: Called with the number of windows done and of all.

    Raises:
        ConfigError: The budget is not positive, or the rule needs what is not there.
        SceneError: No scene can be read.
        VectorError: The detections or the reviews cannot be read.
        OutputError: The output exists or cannot be written, or only some scenes have a CRS.
    """
    started, chosen = time.monotonic(), options or DetectOptions()
    check_suggestion(scenes, output, task, chosen, config)
    if task.reviewed is not None:
        check_reviewed(task.reviewed)
    config = config.model_copy(update={"chip_size": config.chip_size or WINDOW_SIDE, "overlap": 0})
    thresholds = np.array(choose_thresholds(model.description, config.score_threshold))
    is_calibrated = "calibrated_on" in model.description.training
    rater = WindowRater(task.rule, thresholds, is_calibrated)
    with OpenScenes(model.description, config) as opened:
        plan = plan_detection(scenes, [], model.description, config, chosen, opened)
        # Photographs that cameras place have no CRS themselves, and are reviewed in their pixels.
        crs = None if plan.scenes[0].geobox.crs is None else plan.crs
        if task.detections is None:
            rated, failed = _search(plan, opened, model, config, rater, chosen, progress)
        else:
            rated, failed = _read(task.detections, plan, model, config, rater), {}
    reviewed = [] if task.reviewed is None else _read_reviewed(task.reviewed, plan)
    describe = partial(rater.describe, classes=model.description.classes)
    windows = _choose(rated, reviewed, plan, crs, task.budget, describe)
    geoboxes = {scene.name: scene.geobox for scene in plan.scenes}
    write_suggestions(output, windows, geoboxes, crs)
    return SuggestReport(output, windows, len(rated), time.monotonic() - started, failed)


def _search(
    plan: DetectionPlan,
    opened: OpenScenes,
    model: Model,
    config: DetectConfig,
    rater: WindowRater,
    options: DetectOptions,
    progress: Callable[[int, int], None],
) -> tuple[RatedWindows, dict[str, str]]:
    """Run the network on all windows."""
    least = float(rater.least_scores.min())
    device = choose_device(options.device)
    predictor = build_predictor(model, config, device, score_threshold=least)
    is_turned = rater.rule == "disagreement"
    about, rated = model.description, RatedWindows()
    search = WindowSearch(
        plan, opened, predictor, about, config, is_turned=is_turned, progress=progress
    )
    for one in search:
        rated.add(one.scene, one.window, rater.rate(one.found, one.turned))
    return rated, {name: str(error) for name, error in search.failed.items()}


def _read(
    path: Path, plan: DetectionPlan, model: Model, config: DetectConfig, rater: WindowRater
) -> RatedWindows:
    """Rate windows by a file of detections."""
    assert config.chip_size is not None
    classes = model.description.classes
    rated, lowest = rate_layer(path, plan.scenes, classes, rater, config.chip_size)
    least = float(rater.least_scores.min())
    if lowest > 1.5 * least and rater.rule == "uncertainty":
        logger.warning(
            "the lowest score in %s is %.2g, so objects below the threshold are not known: detect "
            "with --score-threshold %.2g",
            path,
            lowest,
            least,
        )
    return rated


def _read_reviewed(path: Path, plan: DetectionPlan) -> list[tuple[str, Window]]:
    """Read the reviewed windows of the scenes of a plan, with the names that these have in it."""
    scenes = [slashed_path(scene.path) for scene in plan.scenes]
    geoboxes = [scene.geobox for scene in plan.scenes]
    found = read_reviewed_windows(path, find_scenes(path, scenes, geoboxes), geoboxes)
    return [
        (scene.name, window)
        for scene, windows in zip(plan.scenes, found, strict=True)
        for window in windows
    ]


def _choose(
    rated: RatedWindows,
    reviewed: Sequence[tuple[str, Window]],
    plan: DetectionPlan,
    crs: CRS | None,
    budget: int,
    describe: Callable[[Rating], str],
) -> list[SuggestedWindow]:
    """Choose windows of value that lie apart, also from those that were reviewed."""
    rated = rated.select(rated.outside_of(reviewed)) if reviewed else rated
    values, count = rated.values(), len(rated)
    known = {scene.name: scene for scene in plan.scenes}
    there = [(known[name], window) for name, window in reviewed if name in known]
    centres, sides = place_windows(
        [*rated.scenes, *(scene for scene, _ in there)],
        [*rated.windows, *(window for _, window in there)],
        crs,
    )
    order = choose_spread(values, centres[:count], sides[:count], budget, taken=centres[count:])
    if budget > len(rated):
        logger.warning("%d windows were requested, but there are only %d", budget, len(rated))
    return [
        SuggestedWindow(
            rated.scenes[row].name,
            rated.windows[row],
            round(float(values[row]), 4),
            rated.ratings[row].objects,
            describe(rated.ratings[row]),
        )
        for row in order.tolist()
    ]
