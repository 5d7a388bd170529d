"""The ground that a run searched, in hectares: of each scene, and of all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely

from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.detection.output_notes import searched_grounds
from geodet.geometry.arrays import Bools
from geodet.geometry.ground_area import ground_areas
from geodet.geometry.reprojection import Shapes, only_polygons
from geodet.vector.not_examined import SkippedArea

__all__ = ["SearchedAreas", "measure_searched_areas"]

_HECTARE = 10_000.0  # square metres
_SHARED = 1e-3  # of a scene: less is no overlap, and does not show in a density of three digits


@dataclass(frozen=True, slots=True)
class SearchedAreas:
    """The ground that a run searched, in hectares.

    Example:
        >>> areas = SearchedAreas({"a.tif": 2.0, "b.tif": 2.0}, 3.0, frozenset(["b.tif"]))
        >>> areas.density("a.tif", 10), areas.density("b.tif", 10)
        (5.0, None)
    """

    by_scene: Mapping[str, float] = field(default_factory=dict)
    """Hectares of each scene where they are known, above 0."""
    together: float = 0.0
    """Hectares of all these scenes; ground in several of them counts as often as its objects."""
    overlapping: frozenset[str] = frozenset()
    """Scenes that share ground with others, where an object in it is one of a single scene."""
    is_counted_once: bool = True
    """Whether an object that several scenes show counts once, or with each of them."""

    def density(self, scene: str, objects: int) -> float | None:
        """Return the objects of a scene per hectare; None where they are not all that it shows."""
        if scene not in self.by_scene or scene in self.overlapping:
            return None
        return objects / self.by_scene[scene]


def measure_searched_areas(
    plan: DetectionPlan,
    scenes: Sequence[PlannedScene],
    skipped: Sequence[SkippedArea],
    data_areas: Mapping[str, shapely.Geometry],
    *,
    is_counted_once: bool,
) -> SearchedAreas:
    """Measure the ground that was searched, within the area of interest.

    Args:
        plan: Has the CRS of the ground.
        scenes: Scenes of the plan that were read to their end.
        skipped: Areas that could not be read.
        data_areas: Areas with data of scenes that are partly without, by name, in pixels of
            their grid.
        is_counted_once: Whether an object that several scenes show counts once, or with each.

    Returns:
        Nothing for photographs, whose places are approximate, and for scenes without a CRS.
    """
    if plan.photographs is not None or plan.crs is None:
        return SearchedAreas(is_counted_once=is_counted_once)
    shapes = np.array(searched_grounds(plan, scenes, skipped, data_areas), object)
    areas = ground_areas(shapes, plan.crs) / _HECTARE
    is_known = np.isfinite(areas) & (areas > 0)
    names = np.array([scene.name for scene in scenes], object)[is_known]
    shapes, areas = shapes[is_known], areas[is_known]
    together, overlapping = float(areas.sum()), np.zeros(len(names), np.bool_)
    if is_counted_once and len(names) > 1:
        (whole,) = ground_areas(np.array([shapely.union_all(shapes)], object), plan.crs).tolist()
        together, overlapping = whole / _HECTARE, _find_overlapping(shapes)
    return SearchedAreas(
        dict(zip(names.tolist(), areas.tolist(), strict=True)),
        together,
        frozenset(names[overlapping].tolist()),
        is_counted_once,
    )


def _find_overlapping(shapes: Shapes) -> Bools:
    """Whether each of some shapes shares ground with others: (N,).

    Of many shapes of one place each is compared with few others: two that are known to overlap
    some are not compared.
    """
    whole = np.array([_polygonal(shape) for shape in shapes], object)
    areas, shared = shapely.area(whole), np.zeros(len(whole))
    tree = shapely.STRtree(whole)
    for number, shape in enumerate(whole):
        near = tree.query(shape)
        near = near[near > number]
        if shared[number] > _SHARED:
            near = near[shared[near] <= _SHARED]
        common = shapely.area(shapely.intersection(shape, whole[near]))
        shared[number] += common.sum() / areas[number]
        shared[near] += common / areas[near]
    return np.asarray(shared > _SHARED, np.bool_)


def _polygonal(shape: shapely.Geometry) -> shapely.Geometry:
    """Return a shape without the points and lines that its repair may have left beside it."""
    if shape.geom_type != "GeometryCollection":
        return shape
    return shapely.union_all(only_polygons(np.array([shape], object)))
