"""Suppression of duplicates between overlapping scenes, scene after scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from geodet.files.closable import Closing
from geodet.files.spilled_arrays import SpilledArrays
from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.boxes import Detections, paired_iou
from geodet.geometry.scene_detections import SceneDetections, common_crs
from geodet.merging.footprints import find_footprints, is_meeting
from geodet.merging.met_boxes import MET_BOX, MetPairs, settle_pairs
from geodet.merging.overlapping_pairs import OverlapRule, pairs_between

__all__ = ["MosaicJoiner"]

_MOST_BYTES = 256 * 2**20  # of detections that wait in memory, the rest waits in a file
_AT_ONCE = 500_000  # boxes that are placed on the ground at once, in 50 MB
_FEW_PAIRS = 50_000
_ROW_BITS = 40  # of the identifier of a box; those above are the number of its scene


class MosaicJoiner(Closing):
    """Keeps the strongest of the detections of one object in several scenes.

    Equal to the definition: take the strongest box of all scenes left, drop those of its class in
    *other* scenes that overlap it by more than the threshold, repeat. Boxes of one scene do not
    compete, since their duplicates are gone already. Overlap is measured on the ground in the CRS
    of the layer, between the boxes themselves: under a rotation their bounds would be up to twice
    as large, and join neighbours. Equal scores are taken by position, then by the scene's name, so
    the order of scenes of one CRS does not matter.

    Scenes without a georeference all begin at (0, 0) and are not compared.

    Scenes come one by one. What is yielded is final: a scene when all scenes that overlap it have
    come, no box of it waits for a box of a scene that is to come, and all scenes before it have
    been yielded. So the rows and their order do not depend on what waits meanwhile: in a mosaic
    whose scenes come row by row, about a row of scenes. Memory holds at most 256 MB of it, and a
    temporary file the rest; only the pairs that cannot be decided yet all stay in memory.

    Args:
        scenes: All scenes, each with any detections.
        iou_threshold: Intersection over union above which the weaker box goes.
        folder: Where to create the temporary file; None: the system's folder for them.
        most_bytes: Of the detections that wait in memory.

    Raises:
        OutputError: Only some scenes have a CRS.
        ValueError: There are no scenes.
    """

    def __init__(
        self,
        scenes: Sequence[SceneDetections],
        *,
        iou_threshold: float,
        folder: Path | None = None,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        geoboxes = [scene.geobox for scene in scenes]
        self.footprints = find_footprints(geoboxes, common_crs(scenes))
        """Where the scenes lie."""
        self._names = [scene.scene for scene in scenes]
        self._name_ranks = np.argsort(np.argsort(self._names, kind="stable"), kind="stable")
        self._iou_threshold = iou_threshold
        self._held = SpilledArrays(folder, most_bytes=most_bytes)
        self._missing = np.array([len(near) + 1 for near in self.footprints.neighbours])
        self._dropped: dict[int, Bools] = {}
        self._failed: set[int] = set()
        self._oriented = False
        self._pairs: list[MetPairs] = [np.zeros((0, 2), MET_BOX)]
        self._most_pairs = _FEW_PAIRS
        self._next = 0

    def add(self, number: int, found: Sequence[Detections]) -> Iterator[SceneDetections]:
        """Add a scene, and yield the detections of the scenes that become final with it.

        Args:
            number: The scene, from 0; each comes once, in any order.
            found: Its detections, in any number of parts; none for a scene that failed.

        Yields:
            The scenes in their order, each with what is left of its detections in its order;
            nothing for a scene without parts.

        Raises:
            OutputError: The temporary file cannot be written.
        """
        near = self.footprints.neighbours[number]
        self._missing[[number, *near]] -= 1
        if number == self._next and not len(near):  # the usual case needs no memory
            yield from (self._part(number, part) for part in found)
            self._next += 1
        else:
            self._hold(number, found)
        if self._is_complete(self._next) or sum(map(len, self._pairs)) > self._most_pairs:
            self._settle()  # not for every scene: the pairs that stay are looked at again
        yield from self._iter_final()

    def close(self) -> None:
        """Remove the temporary file."""
        self._held.close()

    def _hold(self, number: int, found: Sequence[Detections]) -> None:
        """Keep a scene, and pair its boxes with those of the scenes that have come."""
        whole = Detections.concatenate(found)
        placed = list(self._iter_shared(number, whole.corners))
        rows, corners = map(np.concatenate, zip(*placed, strict=True))
        self._held.add(number, (whole.shapes, whole.scores, whole.labels, rows, corners))
        self._oriented |= whole.oriented is not None
        self._dropped[number] = np.zeros(len(whole), np.bool_)
        if not len(found):
            self._failed.add(number)
            return
        near = self.footprints.neighbours[number].tolist()
        come = [other for other in near if other in self._dropped]
        ours = self._shared_boxes(number, np.full(4, np.nan))
        extent = self.footprints.extents[number]
        theirs = [self._shared_boxes(other, extent) for other in come]
        if len(ours) and any(map(len, theirs)):
            others = _PlacedBoxes.concatenate(theirs)
            self._pairs += _iter_pairs(ours, others, self._iou_threshold)

    def _iter_shared(self, number: int, pixels: Floats) -> Iterator[tuple[Ints, Floats]]:
        """Yield the rows of the boxes that lie in footprints of others, and their corners."""
        near = self.footprints.neighbours[number].tolist()
        for start in range(0, max(len(pixels), 1), _AT_ONCE):
            corners = self.footprints.place(number, pixels[start : start + _AT_ONCE])
            bounds, shared = _bounds(corners), np.zeros(len(corners), np.bool_)
            for other in near:
                shared |= is_meeting(bounds, self.footprints.extents[other])
            rows = np.flatnonzero(shared)
            yield rows + start, corners[rows]

    def _shared_boxes(self, number: int, extent: Floats) -> _PlacedBoxes:
        """Return the boxes that a scene shares with an extent and others, and may yet keep."""
        _, scores, labels, rows, corners = self._held.read(number)
        bounds = _bounds(corners)
        near = np.flatnonzero(is_meeting(bounds, extent) & ~self._dropped[number][rows])
        return _PlacedBoxes(
            Detections(bounds[near], scores[rows[near]], labels[rows[near]]),
            corners[near],
            np.full(len(near), self.footprints.is_upright(number) and not self._oriented),
            np.full(len(near), number),
            rows[near],
        )

    def _settle(self) -> None:
        """Decide on what scenes that are to come cannot change."""
        pairs = np.concatenate(self._pairs)
        ids, left = settle_pairs(pairs, self._name_ranks, self._missing > 0)
        self._pairs, self._most_pairs = [left], max(2 * len(left), _FEW_PAIRS)
        starts = np.flatnonzero(np.diff(ids >> _ROW_BITS, prepend=-1))
        for few in np.split(ids, starts[1:]) if len(ids) else []:
            self._dropped[int(few[0]) >> _ROW_BITS][few & ((1 << _ROW_BITS) - 1)] = True

    def _is_complete(self, number: int) -> bool:
        """Whether a scene is held, and all that overlap it have come."""
        return number in self._dropped and not self._missing[number]

    def _iter_final(self) -> Iterator[SceneDetections]:
        if not self._is_complete(self._next):
            return
        waiting = np.unique(np.concatenate(self._pairs)["scene"])
        while self._is_complete(self._next) and self._next not in waiting:
            shapes, scores, labels, *_ = self._held.read(self._next)
            kept = ~self._dropped.pop(self._next)
            self._held.remove(self._next)
            if self._next not in self._failed:
                whole = Detections.of_shapes(shapes, scores, labels)
                yield self._part(self._next, whole.select(kept))
            self._next += 1

    def _part(self, number: int, found: Detections) -> SceneDetections:
        return SceneDetections(self._names[number], self.footprints.geoboxes[number], found)


@dataclass(frozen=True, slots=True)
class _PlacedBoxes:
    """N boxes on the ground."""

    found: Detections
    """Their boxes are the bounds of the corners."""
    corners: Floats
    """(N, 4, 2) in the CRS of the layer."""
    upright: Bools
    """(N,) whether a box is its own bounds."""
    scenes: Ints
    """(N,) numbers of their scenes."""
    rows: Ints
    """(N,) of the boxes in their scenes."""

    def __len__(self) -> int:
        return len(self.rows)

    @staticmethod
    def concatenate(parts: Sequence[_PlacedBoxes]) -> _PlacedBoxes:
        return _PlacedBoxes(
            Detections.concatenate([part.found for part in parts]),
            np.concatenate([part.corners for part in parts]),
            np.concatenate([part.upright for part in parts]),
            np.concatenate([part.scenes for part in parts]),
            np.concatenate([part.rows for part in parts]),
        )

    def met(self, which: Ints) -> MetPairs:
        """Return records of some of the boxes: (M,) of :data:`MET_BOX`."""
        met = np.zeros(len(which), MET_BOX)
        met["id"] = (self.scenes[which] << _ROW_BITS) + self.rows[which]
        met["scene"] = self.scenes[which]
        met["score"], met["bounds"] = self.found.scores[which], self.found.boxes[which]
        return met


def _iter_pairs(a: _PlacedBoxes, b: _PlacedBoxes, threshold: float) -> Iterator[MetPairs]:
    """Yield the pairs of boxes of one class that overlap enough."""
    are_upright = bool(a.upright.all() and b.upright.all())
    bounds_overlap = OverlapRule(threshold if are_upright else 0.0)  # tilted ones may share more
    for one, other in pairs_between(a.found.boxes, b.found.boxes, bounds_overlap):
        fits = a.found.labels[one] == b.found.labels[other]
        ours, theirs = one[fits], other[fits]
        enough = _iou(a, ours, b, theirs, threshold) > threshold
        yield np.stack([a.met(ours[enough]), b.met(theirs[enough])], axis=1)


def _bounds(corners: Floats) -> Floats:
    return np.hstack([corners.min(axis=1), corners.max(axis=1)])


def _iou(a: _PlacedBoxes, one: Ints, b: _PlacedBoxes, other: Ints, threshold: float) -> Floats:
    """Compute the overlap of pairs of boxes, 0 where it cannot exceed a threshold: (P,)."""
    ours, theirs = a.found.boxes[one], b.found.boxes[other]
    iou = paired_iou(ours, theirs)
    tilted = np.flatnonzero(~(a.upright[one] & b.upright[other]))
    first, second = a.corners[one[tilted]], b.corners[other[tilted]]
    most = _shared(ours[tilted], theirs[tilted]) * (1 + 1e-6)  # of the ground; boxes share less
    near = most * (1 + threshold) > threshold * (_area(first) + _area(second))
    iou[tilted] = 0.0
    iou[tilted[near]] = _tilted_iou(first[near], second[near])
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
