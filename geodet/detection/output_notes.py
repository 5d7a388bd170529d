"""Metadata of an output: how it was made, its accuracy, and which ground was searched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import shapely

from geodet.config import DetectConfig
from geodet.config.reading_config import ReadingConfig
from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.detection.predictor import PredictorFacts
from geodet.detection.scene_loop import SceneLoop
from geodet.errors import VectorError
from geodet.files.version import __version__
from geodet.geometry.windows import Window
from geodet.geopackage.layer_metadata import MODEL_DIGEST
from geodet.models.class_thresholds import choose_thresholds
from geodet.models.description import ModelDescription
from geodet.models.model import Model
from geodet.vector.not_examined import SkippedArea
from geodet.vector.provenance import ACCURACY, EXAMINED, LEFT_OUT, THRESHOLDS
from geodet.vector.searched_scenes import SearchedScenes, join_reasons, to_wkt

__all__ = ["describe_run", "describe_scenes", "plan_ground", "salt_of", "searched_grounds"]

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
        MODEL_DIGEST: model.digest,
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


def describe_scenes(plan: DetectionPlan, loop: SceneLoop) -> tuple[dict[str, str], SearchedScenes]:
    """Return what is known only at the end: how values were chosen, which ground was searched.

    Returns:
        The texts by title, and what became of the scenes.
    """
    chosen = [f"{dtype}: {ends}" for dtype, ends in loop.values.items()]
    failures = {scene: str(error) for scene, error in loop.failed.items()}
    notes = {"dark to bright": "; ".join(chosen), LEFT_OUT: join_reasons(failures)}
    scenes = [scene for scene in plan.scenes if scene.name not in loop.failed]
    if plan.photographs is not None:
        notes["places"] = _PLACES
        extents = [_photographed_extent(plan, scene.name) for scene in scenes]
        has_parts = any(scene.aoi is not None for scene in scenes)
        is_known = not has_parts and not any(map(shapely.is_empty, extents))
        parts = extents
    else:
        extents = searched_grounds(plan, [replace(one, aoi=None) for one in scenes], (), {})
        parts = searched_grounds(plan, scenes, loop.not_examined, loop.data_areas)
        is_known = _is_finite(parts)
    names = [scene.name for scene in scenes]
    if not _is_finite(extents):  # where the CRS of the output is not defined
        extents = [shapely.Polygon()] * len(scenes)
    searched = SearchedScenes(
        grounds=dict(zip(names, parts, strict=True)) if is_known else {},
        extents=dict(zip(names, extents, strict=True)),
        failures=failures,
    )
    if is_known:  # empty: no scene has data, which is not the same as no knowledge
        notes[EXAMINED] = to_wkt(shapely.union_all(np.array(parts, object)))
    return {title: text for title, text in notes.items() if text}, searched


def plan_ground(plan: DetectionPlan) -> shapely.Geometry | None:
    """Return the ground that a run is to search, in the CRS of its output, if it is known.

    Parts of it may turn out to have no data, or to be unreadable.
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
    """Return precision and recall of the model's validation, if they hold at these thresholds."""
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


def _is_finite(shapes: Sequence[shapely.Geometry]) -> bool:
    """Whether all places in shapes are known; in those that are empty there is none."""
    bounds = shapely.bounds(np.array(shapes, object))[~shapely.is_empty(shapes)]
    return bool(np.isfinite(bounds).all())


def searched_grounds(
    plan: DetectionPlan,
    scenes: Sequence[PlannedScene],
    skipped: Sequence[SkippedArea],
    data_areas: Mapping[str, shapely.Geometry],
) -> list[shapely.Geometry]:
    """Return the ground that was searched in each scene, within the area of interest.

    Args:
        plan: Has the CRS of the ground.
        scenes: Scenes of the plan that were read to their end.
        skipped: Areas that could not be read.
        data_areas: Areas with data of scenes that are partly without, by name, in pixels of
            their grid.
    """
    holes: dict[str, list[Window]] = {}
    for area in skipped:
        holes.setdefault(area.scene, []).append(area.window)
    return [
        _searched_ground(plan, scene, holes.get(scene.name, []), data_areas.get(scene.name))
        for scene in scenes
    ]


def _searched_ground(
    plan: DetectionPlan,
    scene: PlannedScene,
    holes: Sequence[Window],
    data_area: shapely.Geometry | None,
) -> shapely.Geometry:
    geobox = scene.geobox
    area = shapely.box(0, 0, geobox.width, geobox.height)
    if data_area is not None:
        area = shapely.transform(data_area, lambda xy: xy * np.array(scene.scale))
    if scene.aoi is not None:
        area = shapely.intersection(shapely.union_all(scene.aoi.polygons), area)
    boxes = [shapely.box(w.col_off, w.row_off, w.col_end, w.row_end) for w in holes]
    area = shapely.difference(area, shapely.union_all(boxes))

    try:
        ground = shapely.transform(area, lambda xy: geobox.to_world(xy, plan.crs))
    except VectorError:  # files of their own may be of scenes on another planet
        return shapely.Point(np.inf, np.inf)
    return ground if ground.is_valid else shapely.make_valid(ground)


def _photographed_extent(plan: DetectionPlan, scene: str) -> shapely.Geometry:
    """Return the ground that a photograph shows, in WGS 84; empty where it is not known."""
    view = plan.images[scene].view
    return shapely.Polygon() if view is None else shapely.Polygon(view.footprint)
