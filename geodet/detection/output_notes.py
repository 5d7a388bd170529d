"""Metadata of an output: how good its detections are, and which ground was searched."""

from __future__ import annotations

import json
from collections.abc import Collection

import numpy as np
import shapely

from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.geometry.arrays import Floats
from geodet.models.description import ModelDescription
from geodet.vector.provenance import ACCURACY, EXAMINED

__all__ = ["describe_accuracy", "describe_examined_ground"]

_DIGITS = 12  # significant ones of a coordinate in WKT
_SAME = 1e-6  # between two thresholds


def describe_accuracy(about: ModelDescription, threshold: float) -> dict[str, str]:
    """Return precision and recall of the model's validation, if they are of this threshold."""
    figures, objects = about.figures, about.training.get("val_objects")
    known = figures.get("score_threshold")
    if known is None or objects is None or abs(known - threshold) > _SAME:
        return {}
    shares = {name: figures[name] for name in ("precision", "recall") if name in figures}
    stored: dict[str, object] = {**shares, "objects": objects, "score_threshold": known}
    return {ACCURACY: json.dumps(stored)} if len(shares) == 2 else {}


def describe_examined_ground(plan: DetectionPlan, failed: Collection[str]) -> dict[str, str]:
    """Return the ground that was searched, as WKT in the CRS of the output.

    Args:
        plan: The scenes.
        failed: Names of those that could not be read to their end.
    """
    parts = [_ground(plan, scene) for scene in plan.scenes if scene.name not in failed]
    area = shapely.union_all(np.array(parts, object))
    return {} if area.is_empty else {EXAMINED: _to_wkt(area)}


def _ground(plan: DetectionPlan, scene: PlannedScene) -> shapely.Geometry:
    """Return the ground that one scene shows, within the area of interest."""
    geobox = scene.geobox
    area = shapely.box(0, 0, geobox.width, geobox.height)
    if scene.aoi is not None:
        area = shapely.intersection(shapely.union_all(scene.aoi.polygons), area)

    def to_ground(xy: Floats) -> Floats:
        return geobox.to_world(xy, plan.crs)

    ground = shapely.transform(area, to_ground)
    return ground if ground.is_valid else shapely.make_valid(ground)


def _to_wkt(area: shapely.Geometry) -> str:
    largest = int(np.abs(area.bounds).max())
    decimals = max(_DIGITS - len(str(largest)), 0)
    return str(shapely.to_wkt(area, rounding_precision=decimals))
