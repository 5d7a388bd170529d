"""Boxes of scenes on the ground, and the pairs of them that show one object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.boxes import Detections, paired_iou
from geodet.merging.met_boxes import MetPairs, identify_rows
from geodet.merging.overlapping_pairs import OverlapRule, pairs_between

__all__ = ["MosaicBoxes", "corner_bounds", "iter_met_pairs"]


@dataclass(frozen=True, slots=True)
class MosaicBoxes:
    """N boxes on the ground."""

    found: Detections
    """Their boxes are the bounds of the corners."""
    corners: Floats
    """(N, 4, 2) in the CRS of the layer."""
    upright: Bools
    """(N,) whether a box is axis-aligned in the CRS of the layer."""
    scenes: Ints
    """(N,) numbers of their scenes."""
    rows: Ints
    """(N,) rows of the boxes in their scenes."""

    def __len__(self) -> int:
        return len(self.rows)

    @staticmethod
    def concatenate(parts: Sequence[MosaicBoxes]) -> MosaicBoxes:
        """Join boxes of several scenes, in order."""
        return MosaicBoxes(
            Detections.concatenate([part.found for part in parts]),
            np.concatenate([part.corners for part in parts]),
            np.concatenate([part.upright for part in parts]),
            np.concatenate([part.scenes for part in parts]),
            np.concatenate([part.rows for part in parts]),
        )


def corner_bounds(corners: Floats) -> Floats:
    """Return the bounds of (N, 4, 2) corners: (N, 4) x1 y1 x2 y2."""
    a, b, c, d = corners.transpose(1, 0, 2)  # a reduction over so short an axis is slow
    low = np.minimum(np.minimum(a, b), np.minimum(c, d))
    high = np.maximum(np.maximum(a, b), np.maximum(c, d))
    return np.hstack([low, high])


def iter_met_pairs(
    a: MosaicBoxes, b: MosaicBoxes, name_ranks: Ints, iou_threshold: float
) -> Iterator[MetPairs]:
    """Yield the pairs of boxes of one class that overlap enough, the stronger box first.

    Equal scores are taken by position, then by the scene's name.

    Args:
        a: Boxes of some scenes.
        b: Boxes of others.
        name_ranks: (S,) place of each scene's name in alphabetical order, by the scene's number.
        iou_threshold: Intersection over union above which a pair is yielded.
    """
    are_upright = bool(a.upright.all() and b.upright.all())
    # Tilted boxes may share more than their bounds.
    bounds_overlap = OverlapRule(iou_threshold if are_upright else 0.0)
    for one, other in pairs_between(a.found.boxes, b.found.boxes, bounds_overlap):
        fits = a.found.labels[one] == b.found.labels[other]
        ours, theirs = one[fits], other[fits]
        enough = _iou(a, ours, b, theirs, iou_threshold) > iou_threshold
        ours, theirs = ours[enough], theirs[enough]
        ids = np.stack(
            [
                identify_rows(a.scenes[ours], a.rows[ours]),
                identify_rows(b.scenes[theirs], b.rows[theirs]),
            ],
            axis=1,
        )
        is_first = _are_stronger(a, ours, b, theirs, name_ranks)
        yield np.where(is_first[:, None], ids, ids[:, ::-1])


def _are_stronger(
    a: MosaicBoxes, one: Ints, b: MosaicBoxes, other: Ints, name_ranks: Ints
) -> Bools:
    """Whether the first box of each pair is the stronger one: (P,)."""
    ours, theirs = a.found.scores[one], b.found.scores[other]
    first: Bools = ours > theirs
    tied = np.flatnonzero(ours == theirs)
    one, other = one[tied], other[tied]
    left, right = a.found.boxes[one], b.found.boxes[other]
    order = [(left[:, side], right[:, side]) for side in (1, 0, 2, 3)]
    less = np.zeros(len(tied), np.bool_)
    for mine, its in reversed([*order, (name_ranks[a.scenes[one]], name_ranks[b.scenes[other]])]):
        less = (mine < its) | ((mine == its) & less)
    first[tied] = less
    return first


def _iou(a: MosaicBoxes, one: Ints, b: MosaicBoxes, other: Ints, threshold: float) -> Floats:
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
