"""Suppression of duplicates between overlapping scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.boxes import Detections, paired_iou
from geodet.geometry.full_turns import full_turn, seam_between
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections, common_crs
from geodet.merging.overlapping_pairs import OverlapRule, pairs_within
from geodet.merging.suppression import BoxState, states_from_pairs

__all__ = ["deduplicate", "is_ground_shared"]

_PIXELS = Affine(1, 0, 0, 0, -1, 0)  # of a raster without a georeference


def deduplicate(parts: Sequence[SceneDetections], *, iou_threshold: float) -> list[SceneDetections]:
    """Keep the strongest of the detections of one object in several scenes.

    Equal to the definition: take the strongest box left, drop those of its class in *other* scenes
    that overlap it by more than the threshold, repeat. Boxes of one scene do not compete, since
    their duplicates are gone already. Overlap is measured on the ground in the CRS of the layer,
    between the boxes themselves: under a rotation their bounds would be up to twice as large, and
    join neighbours. Equal scores are taken by position, then by the scene's name, so the order of
    scenes of one CRS does not matter.

    Scenes without a georeference all begin at (0, 0) and are not compared.

    Args:
        parts: What was found, by scenes; parts of one scene have its name.
        iou_threshold: Intersection over union above which the weaker box goes.

    Returns:
        The parts in their order, with what is left of their detections in its order.

    Raises:
        OutputError: Only some scenes have a CRS.
        ValueError: There are no scenes.
    """
    crs = common_crs(parts)
    placed = _place_all(parts, crs)
    kept = [np.ones(len(part.detections), np.bool_) for part in parts]
    shared = _shared_rows(placed)
    dropped = _SharedBoxes.of(parts, placed, shared).dropped(iou_threshold)
    ends = np.cumsum([int(rows.sum()) for rows in shared])
    for keep, rows, lost in zip(kept, shared, np.split(dropped, ends[:-1]), strict=True):
        keep[np.flatnonzero(rows)[lost]] = False
    return [
        replace(part, detections=part.detections.select(keep))
        for part, keep in zip(parts, kept, strict=True)
    ]


def is_ground_shared(footprints: Sequence[SceneDetections]) -> bool:
    """Whether two scenes may show the same ground, by the bounds of their footprints.

    Args:
        footprints: Each scene, with itself as its one detection.
    """
    crs = common_crs(footprints)
    return any(rows.any() for rows in _shared_rows(_place_all(footprints, crs)))


@dataclass(frozen=True, slots=True)
class _Placed:
    """The boxes of a part on the ground."""

    scene: str
    corners: Floats
    """(N, 4, 2) in the CRS of the layer."""
    bounds: Floats
    """(N, 4) of the corners."""
    extent: Floats
    """(4,) of all; NaN without boxes."""
    upright: bool
    """Whether the boxes are their own bounds."""
    unplaced: bool
    """Whether the scene has no georeference."""


def _place_all(parts: Sequence[SceneDetections], crs: CRS | None) -> list[_Placed]:
    """Place the boxes of parts in a CRS, on one side of the antimeridian or beyond it."""
    corners = [part.geobox.corners(part.detections.boxes, crs) for part in parts]
    turn = full_turn(crs)
    if turn:
        middles = np.array([_middle(world) for world in corners])
        known = np.isfinite(middles)
        seam = seam_between(middles[known], turn) if known.any() else 0.0
        for world, middle in zip(corners, middles, strict=True):
            if np.isfinite(middle):
                world[..., 0] -= np.floor((middle - seam) / turn) * turn
    return [_place(part, world, crs) for part, world in zip(parts, corners, strict=True)]


def _middle(world: Floats) -> float:
    """Return the middle of the x of corners, NaN without any."""
    x = world[..., 0][np.isfinite(world[..., 0])]
    return float(x.min() + x.max()) / 2 if len(x) else np.nan


def _place(part: SceneDetections, world: Floats, crs: CRS | None) -> _Placed:
    bounds = np.hstack([world.min(axis=1), world.max(axis=1)])
    finite = bounds[np.isfinite(bounds).all(axis=1)]
    nothing = np.full(4, np.nan)
    extent = np.hstack([finite[:, :2].min(0), finite[:, 2:].max(0)]) if len(finite) else nothing
    upright = not part.geobox.needs_transformation(crs) and part.geobox.transform.is_rectilinear
    return _Placed(part.scene, world, bounds, extent, upright, _is_unplaced(part.geobox))


def _is_unplaced(geobox: GeoBox) -> bool:
    return geobox.crs is None and geobox.transform == _PIXELS


def _shared_rows(placed: Sequence[_Placed]) -> list[Bools]:
    """Return of each part which boxes lie where another scene has boxes as well: (N,) each."""
    extents = np.stack([part.extent for part in placed])
    shared = []
    for own in placed:
        rows = np.zeros(len(own.bounds), np.bool_)
        for other in np.flatnonzero(_intersects(extents, own.extent)).tolist():
            them = placed[other]
            if them.scene != own.scene and not (own.unplaced or them.unplaced):
                rows |= _intersects(own.bounds, them.extent)
        shared.append(rows)
    return shared


def _intersects(a: Floats, b: Floats) -> Bools:
    """Whether (N, 4) bounds share a point with (4,): (N,); infinite ones share none."""
    intersecting = np.all((a[:, :2] <= b[2:]) & (a[:, 2:] >= b[:2]), axis=1) & np.isfinite(a).all(
        axis=1
    )
    return np.asarray(intersecting, np.bool_)


@dataclass(frozen=True, slots=True)
class _SharedBoxes:
    """The boxes of all parts that may show the same object as a box of another scene."""

    found: Detections
    """N of them, whose boxes are the bounds of the corners."""
    corners: Floats
    """(N, 4, 2) in the CRS of the layer."""
    upright: Bools
    """(N,) whether a box is its own bounds."""
    scenes: Ints
    """(N,) number of the scene's name in alphabetical order."""

    @staticmethod
    def of(
        parts: Sequence[SceneDetections], placed: Sequence[_Placed], shared: Sequence[Bools]
    ) -> _SharedBoxes:
        names = {name: number for number, name in enumerate(sorted({p.scene for p in parts}))}
        numbers = np.array([names[part.scene] for part in parts], np.int64)
        counts = [int(rows.sum()) for rows in shared]
        found = [part.detections.select(rows) for part, rows in zip(parts, shared, strict=True)]
        bounds = [place.bounds[rows] for place, rows in zip(placed, shared, strict=True)]
        corners = [place.corners[rows] for place, rows in zip(placed, shared, strict=True)]
        return _SharedBoxes(
            replace(Detections.concatenate(found), boxes=np.concatenate(bounds)),
            np.concatenate(corners),
            np.repeat([place.upright for place in placed], counts),
            np.repeat(numbers, counts),
        )

    def dropped(self, iou_threshold: float) -> Bools:
        """Return which boxes are dropped: (N,)."""
        order = self.found.ranking(self.scenes)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        pairs = [rank[pair] for pair in self._iter_pairs(iou_threshold)]
        met = np.concatenate([np.zeros((2, 0), np.int64), *pairs], axis=1)
        states = states_from_pairs(met.min(axis=0), met.max(axis=0), np.zeros(len(order), np.bool_))
        return np.asarray(states[rank] == BoxState.DROPPED)

    def _iter_pairs(self, iou_threshold: float) -> Iterator[Ints]:
        """Yield (2, P) rows of boxes of one class and two scenes that overlap enough."""
        # tilted boxes may overlap by more than their bounds do
        bounds_overlap = OverlapRule(iou_threshold if self.upright.all() else 0.0)
        labels, scenes = self.found.labels, self.scenes
        for one, other in pairs_within(self.found.boxes, bounds_overlap):
            fits = (scenes[one] != scenes[other]) & (labels[one] == labels[other])
            a, b = one[fits], other[fits]
            yield np.stack([a, b])[:, self._iou(a, b, iou_threshold) > iou_threshold]

    def _iou(self, a: Ints, b: Ints, threshold: float) -> Floats:
        """Compute the overlap of pairs of boxes, 0 where it cannot exceed a threshold: (P,)."""
        boxes, corners = self.found.boxes, self.corners
        iou = paired_iou(boxes[a], boxes[b])
        tilted = np.flatnonzero(~(self.upright[a] & self.upright[b]))
        a, b = a[tilted], b[tilted]
        most = _shared(boxes[a], boxes[b]) * (1 + 1e-6)  # of the ground; of the boxes it is less
        near = most * (1 + threshold) > threshold * (_area(corners[a]) + _area(corners[b]))
        iou[tilted] = 0.0
        iou[tilted[near]] = _tilted_iou(corners[a[near]], corners[b[near]])
        return iou


def _shared(a: Floats, b: Floats) -> Floats:
    """Compute the areas that pairs of boxes share: (P,)."""
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared: Floats = sides.clip(0).prod(axis=1)
    return shared


def _area(corners: Floats) -> Floats:
    """Compute the areas of quadrilaterals from their diagonals: (P,)."""
    (x, y), (u, v) = (corners[:, 2] - corners[:, 0]).T, (corners[:, 3] - corners[:, 1]).T
    area: Floats = np.abs(x * v - y * u) / 2
    return area


def _tilted_iou(a: Floats, b: Floats) -> Floats:
    """Compute the intersection over union of (P, 4, 2) quadrilaterals: (P,)."""
    origin = a[:, :1]  # a northing of millions leaves few digits for the area
    first, second = shapely.polygons(a - origin), shapely.polygons(b - origin)
    shared = shapely.area(shapely.intersection(first, second))
    union = shapely.area(first) + shapely.area(second) - shared
    iou: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou
