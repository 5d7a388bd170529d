"""Join the fragments of objects that are larger than what neighbouring windows share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.boxes import Detections
from geodet.geometry.oriented_boxes import bounding_oriented, extents_across
from geodet.geometry.windows import Window
from geodet.merging.overlapping_pairs import OverlapRule, pairs_between

__all__ = ["JoinRule", "cut_sides", "group_fragments", "join_fragments"]

_Link = tuple[float, int, int, int]  # -alignment, axis, the box before the seam, the box behind it


def cut_sides(
    detections: Detections, window: Window, *, width: int, height: int, tolerance: float = 1.0
) -> Bools:
    """Return which sides of boxes the edges of their window cut.

    A side is cut if it lies within the tolerance of the window's edge, or beyond, and the raster
    goes on beyond that edge. An object that happens to end there counts as cut as well.

    Args:
        detections: N detections of the window, in the pixels of the raster.
        window: The window, in the same pixels.
        width: Columns of the raster.
        height: Rows of the raster.
        tolerance: Distance to the window's edge in pixels, at most.

    Returns:
        (N, 4): left, top, right, bottom, as the columns of the boxes.
    """
    x1, y1, x2, y2 = detections.boxes.T
    return np.stack(
        [
            (x1 <= window.col_off + tolerance) & (window.col_off > 0),
            (y1 <= window.row_off + tolerance) & (window.row_off > 0),
            (x2 >= window.col_end - tolerance) & (window.col_end < width),
            (y2 >= window.row_end - tolerance) & (window.row_end < height),
        ],
        axis=1,
    )


@dataclass(frozen=True, slots=True)
class JoinRule:
    """When two boxes are fragments of one object."""

    alignment: float = 0.5
    """Intersection over union of their extents along the seam, at least; above 0. Of oriented
    boxes: across the longer one of the two."""
    tolerance: float = 1.0
    """Pixels that may lie between them."""


def join_fragments(
    detections: Detections, cut: Bools, *, rule: JoinRule | None = None
) -> tuple[Detections, Bools]:
    """Unite the fragments of each object that no window shows whole.

    Two boxes of a class are fragments if the first is cut on its right and the other on its left,
    the first begins and ends further left, they overlap or touch, and their vertical extents agree;
    or the same from top to bottom. Each cut side has one partner, the best aligned pairs first; so
    chains over several windows and rings around a corner give one box, around all of them and with
    the highest score. It counts as complete. Complete boxes are never changed and never joined, so
    dense neighbours stay apart. Idempotent, and independent of the order of the input. An object
    less than about twice as long as the overlap has no two fragments left to join: they overlap so
    much that suppression takes one for a duplicate of the other.

    Args:
        detections: N survivors of suppression.
        cut: (N, 4) cut sides.
        rule: When boxes are fragments; None: the defaults.

    Returns:
        The M objects, ranked, and their (M, 4) cut sides.
    """
    order = detections.ranking(*cut.T)
    found, cut = detections.select(order), cut[order]
    links = _choose_partners(sorted(_iter_links(found, cut, rule or JoinRule())))
    groups = _groups(len(found), [(a, b) for _, _, a, b in links])
    size = np.bincount(groups, minlength=len(found))[groups]
    members = np.flatnonzero(size > 1)
    joined = _bounding_detections(found.select(members), groups[members])
    whole = Detections.concatenate([found.select(size == 1), joined])
    cut = np.concatenate([cut[size == 1], np.zeros((len(joined), 4), np.bool_)])
    order = whole.ranking(*cut.T)
    return whole.select(order), cut[order]


def group_fragments(detections: Detections, cut: Bools, rule: JoinRule) -> Ints:
    """Number the groups of boxes whose joining depends on each other: (N,)."""
    links = _iter_links(detections, cut, rule)
    return _groups(len(detections), [(a, b) for _, _, a, b in links])


def _iter_links(found: Detections, cut: Bools, rule: JoinRule) -> Iterator[_Link]:
    """Yield the pairs that face each other across a vertical (axis 0) or horizontal seam (1)."""
    grown = found.boxes + (rule.tolerance + 1) / 2 * np.array([-1, -1, 1, 1])
    for axis in (0, 1):
        before, behind = np.flatnonzero(cut[:, axis + 2]), np.flatnonzero(cut[:, axis])
        for i, j in pairs_between(grown[before], grown[behind], OverlapRule(0.0)):
            a, b = before[i], behind[j]
            aligned = (
                _alignment(found.boxes[a], found.boxes[b], 1 - axis)
                if found.oriented is None
                else _shared_extent(*extents_across(found.oriented[a], found.oriented[b]).T)
            )
            facing = _is_facing(found.boxes[a], found.boxes[b], axis, rule.tolerance)
            facing &= (aligned >= rule.alignment) & (found.labels[a] == found.labels[b])
            links = (-aligned[facing], a[facing], b[facing])
            for quality, first, second in zip(*(part.tolist() for part in links), strict=True):
                yield quality, axis, first, second


def _is_facing(a: Floats, b: Floats, axis: int, tolerance: float) -> Bools:
    low, high = axis, axis + 2
    facing: Bools = (a[:, low] < b[:, low]) & (a[:, high] < b[:, high])
    return facing & (a[:, high] + tolerance >= b[:, low])


def _alignment(a: Floats, b: Floats, axis: int) -> Floats:
    """Compute the intersection over union along one axis: (P,); 0 where both are empty."""
    low, high = axis, axis + 2
    return _shared_extent(a[:, low], a[:, high], b[:, low], b[:, high])


def _shared_extent(a1: Floats, a2: Floats, b1: Floats, b2: Floats) -> Floats:
    shared = np.clip(np.minimum(a2, b2) - np.maximum(a1, b1), 0, None)
    union = (a2 - a1) + (b2 - b1) - shared
    aligned: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return aligned


def _choose_partners(links: list[_Link]) -> list[_Link]:
    """Choose the best links first, one for each side of a box."""
    taken: set[tuple[int, int]] = set()
    chosen = []
    for link in links:
        _, axis, a, b = link
        sides = {(a, axis + 2), (b, axis)}
        if not sides & taken:
            taken |= sides
            chosen.append(link)
    return chosen


def _groups(count: int, pairs: list[tuple[int, int]]) -> Ints:
    """Number connected boxes by the first of them: (N,)."""
    first: dict[int, int] = {}

    def find(row: int) -> int:
        while (nearer := first.get(row, row)) != row:
            row = nearer
        return row

    for a, b in pairs:
        low, high = sorted((find(a), find(b)))
        first[high] = low  # where they are one already, this changes nothing
    groups = np.arange(count)
    for row in first:
        groups[row] = find(row)
    return groups


def _bounding_detections(found: Detections, groups: Ints) -> Detections:
    """Return one box around each group, with the highest score in it.

    Of oriented boxes it is the rectangle of least area around all their corners.
    """
    order = np.argsort(groups, kind="stable")
    groups, found = groups[order], found.select(order)
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    if not len(starts):
        return Detections.empty()
    low = np.minimum.reduceat(found.boxes[:, :2], starts)
    high = np.maximum.reduceat(found.boxes[:, 2:], starts)
    scores = np.maximum.reduceat(found.scores, starts)
    if found.oriented is not None:
        around = bounding_oriented(found.oriented, starts)
        return Detections.of_oriented(around, scores, found.labels[starts])
    return Detections(np.hstack([low, high]), scores, found.labels[starts])
