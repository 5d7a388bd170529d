"""Metadata of an output: how good its detections are, and which ground was searched."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import shapely

from geodet.config import DetectConfig
from geodet.config.reading_config import ReadingConfig
from geodet.detection.detect_report import join_failures
from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.detection.predictor import PredictorFacts
from geodet.detection.scene_loop import SceneLoop
from geodet.files.version import __version__
from geodet.geometry.arrays import Floats
from geodet.geometry.windows import Window
from geodet.models.class_thresholds import choose_thresholds
from geodet.models.description import ModelDescription
from geodet.models.model import Model
from geodet.vector.not_examined import SkippedArea
from geodet.vector.provenance import ACCURACY, EXAMINED, LEFT_OUT, THRESHOLDS

__all__ = ["describe_run", "describe_scenes", "plan_ground", "salt_of", "searched_grounds"]

_DIGITS = 12  # significant ones of a coordinate in WKT
_SAME = 1e-6  # between two thresholds
_PLACES = (
    "approximate: from the position, height and pose of the camera, on level ground; null where "
    "they are unknown"
)


def describe_run(model: Model, config: DetectConfig, predictor: PredictorFacts) -> dict[str, str]:
    """Return the software, model and settings that make detections, by title."""
    return {
        "software": f"geodet {__version__}",
        **predictor.software,
        "precision": predictor.precision,
        "model": model.description.name,
        "model_sha256": model.digest,
        "configuration": config.model_dump_json(exclude_none=True),
        THRESHOLDS: json.dumps(_thresholds(model.description, predictor)),
        **_accuracy(model.description, predictor),
    }


def salt_of(model: Model, config: DetectConfig) -> str:
    """Join the model and the settings, without those that only change speed and memory.

    The text is the same for the same model and settings, for stable identifiers.
    """
    speed = {"workers", "batch_size", *ReadingConfig.model_fields}
    return model.digest + config.model_dump_json(exclude=speed)


def describe_scenes(plan: DetectionPlan, loop: SceneLoop) -> dict[str, str]:
    """Return what is known only at the end: how values were chosen, which ground was searched."""
    chosen = [f"{dtype}: {ends}" for dtype, ends in loop.values.items()]
    notes = {"dark to bright": "; ".join(chosen), LEFT_OUT: join_failures(loop.failed)}
    ground = _examined_ground(plan, loop)
    if plan.photographs is not None:
        notes["places"] = _PLACES
        ground = _photographed_ground(plan, loop.failed)
    return {title: text for title, text in notes.items() if text} | ground


def plan_ground(plan: DetectionPlan) -> shapely.Geometry | None:
    """Return the ground that a run is to search, in the CRS of its output, if it is known.

    It is what is searched in the end, and what turns out to have no data or cannot be read.
    """
    if plan.photographs is not None:
        return None
    ground = shapely.union_all(np.array(searched_grounds(plan, plan.scenes, (), {}), object))
    return ground if np.isfinite(ground.bounds).all() else None


def _thresholds(about: ModelDescription, predictor: PredictorFacts) -> dict[str, object]:
    """Return the thresholds in use, those of the model where the settings name none."""
    scores: dict[str, object] = {"score": predictor.score_threshold}
    if len(set(predictor.class_thresholds)) > 1:
        scores = {"score": dict(zip(about.classes, predictor.class_thresholds, strict=True))}
    return scores | {"iou": predictor.iou_threshold}


def _accuracy(about: ModelDescription, predictor: PredictorFacts) -> dict[str, str]:
    """Return precision and recall of the model's validation, if they are of these thresholds."""
    figures, training = about.figures, about.training
    objects = training.get("calibrated_objects", training.get("val_objects"))
    known = figures.get("score_threshold")
    if known is None or objects is None or not _are_of(known, about, predictor):
        return {}
    shares: dict[str, object] = {
        name: figures[name] for name in ("precision", "recall") if name in figures
    }
    stored: dict[str, object] = {**shares, "objects": objects, "score_threshold": known}
    return {ACCURACY: json.dumps(stored)} if len(shares) == 2 else {}


def _are_of(known: float, about: ModelDescription, predictor: PredictorFacts) -> bool:
    """Whether figures, whose lowest threshold is known, are of the thresholds in use."""
    used = predictor.class_thresholds or [predictor.score_threshold] * len(about.classes)
    own = choose_thresholds(about, None if about.score_thresholds else known)
    return abs(known - min(own)) <= _SAME and np.allclose(used, own, rtol=0, atol=_SAME)


def _examined_ground(plan: DetectionPlan, loop: SceneLoop) -> dict[str, str]:
    """Return the ground that was searched, as WKT in the CRS of the output."""
    searched = [scene for scene in plan.scenes if scene.name not in loop.failed]
    parts = searched_grounds(plan, searched, loop.not_examined, loop.shown)
    ground = shapely.union_all(np.array(parts, object))
    if ground.is_empty:  # no scene has data, which is not the same as no knowledge
        return {EXAMINED: "POLYGON EMPTY"}
    # Not finite where the CRS of the output is not defined.
    return {EXAMINED: _to_wkt(ground)} if np.isfinite(ground.bounds).all() else {}


def searched_grounds(
    plan: DetectionPlan,
    scenes: Sequence[PlannedScene],
    skipped: Sequence[SkippedArea],
    shown: Mapping[str, shapely.Geometry],
) -> list[shapely.Geometry]:
    """Return the ground that was searched in each scene, within the area of interest.

    Args:
        plan: Has the CRS of the ground.
        scenes: Scenes of the plan that were read to their end.
        skipped: Areas that could not be read.
        shown: What scenes with parts without data show, by name, in the pixels of their grid.
    """
    holes: dict[str, list[Window]] = {}
    for area in skipped:
        holes.setdefault(area.scene, []).append(area.window)
    return [
        _searched_ground(plan, scene, holes.get(scene.name, []), shown.get(scene.name))
        for scene in scenes
    ]


def _searched_ground(
    plan: DetectionPlan,
    scene: PlannedScene,
    holes: Sequence[Window],
    shown: shapely.Geometry | None,
) -> shapely.Geometry:
    geobox = scene.geobox
    area = shapely.box(0, 0, geobox.width, geobox.height)
    if shown is not None:
        area = shapely.transform(shown, lambda xy: xy * np.array(scene.scale))
    if scene.aoi is not None:
        area = shapely.intersection(shapely.union_all(scene.aoi.polygons), area)
    boxes = [shapely.box(w.col_off, w.row_off, w.col_end, w.row_end) for w in holes]
    area = shapely.difference(area, shapely.union_all(boxes))

    def to_ground(xy: Floats) -> Floats:
        return geobox.to_world(xy, plan.crs)

    ground = shapely.transform(area, to_ground)
    return ground if ground.is_valid else shapely.make_valid(ground)


def _photographed_ground(plan: DetectionPlan, failed: Collection[str]) -> dict[str, str]:
    """Return the ground that photographs show, if it is known of all, as WKT in WGS 84."""
    images = [one for name, one in plan.images.items() if name not in failed]
    views = [image.view for image in images if image.view is not None]
    has_parts = any(scene.aoi is not None for scene in plan.scenes)
    if len(views) < len(images) or has_parts:
        return {}
    corners = np.array([view.footprint for view in views])
    return {EXAMINED: _to_wkt(shapely.union_all(shapely.polygons(corners)))}


def _to_wkt(area: shapely.Geometry) -> str:
    largest = int(np.abs(area.bounds).max())
    decimals = max(_DIGITS - len(str(largest)), 0)
    return str(shapely.to_wkt(area, rounding_precision=decimals))
