"""One-to-one matching of detections with labelled objects."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree
from shapely import STRtree, box

from geodet.config import MatchConfig
from geodet.errors import TilesetError
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.boxes import Detections, comparable, paired_iou

__all__ = [
    "Gsd",
    "MatchPairs",
    "candidate_pairs",
    "match",
    "overlapping_pairs",
    "raises_matches",
    "to_metres",
]

Gsd = float | Floats
"""Metres per pixel; or (2, 2) that map a step in pixels to metres east and north."""

_CHUNK = 2_000  # pairs in one call of the solver; its cost is quadratic
_LARGEST = 50_000  # pairs of a group for the exact solver; more would take minutes


class MatchPairs(NamedTuple):
    """Pairs of a detection and a labelled object that may match."""

    detection: Ints
    """(P,) index of the detection."""
    label: Ints
    """(P,) index of the labelled object."""
    cost: Floats
    """(P,) in [0, 1], 0 for a perfect match: 1 - IoU, or the share of the largest distance."""

    def select(self, which: NDArray[np.bool_] | Ints) -> MatchPairs:
        """Return the pairs of a mask or of indices."""
        return MatchPairs(self.detection[which], self.label[which], self.cost[which])


def candidate_pairs(
    detections: Detections, boxes: Floats, labels: Ints, *, rule: MatchConfig, gsd: Gsd | None
) -> MatchPairs:
    """Find every pair of the same class that the rule allows to match.

    Args:
        detections: N detections.
        boxes: (M, 4) labelled objects, in the same pixels; or (M, 9) with oriented boxes, as
            ``Detections.shapes``. Where detections have oriented ones, too, these are compared.
        labels: (M,) their classes.
        rule: When two boxes match.
        gsd: Metres per pixel; required to match by distance.

    Raises:
        TilesetError: The rule is a distance in metres and the GSD is unknown.
    """
    if not len(detections) or not len(boxes):
        return MatchPairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    if rule.by == "iou":
        pairs = overlapping_pairs(*comparable(detections.shapes, boxes), rule.iou)
    else:
        if gsd is None:
            raise TilesetError(
                "cannot match by distance: the metres per pixel of an image are unknown",
                hint="set data.gsd, or use match.by=iou",
            )
        targets = (boxes[:, :2] + boxes[:, 2:4]) / 2
        centres = to_metres(detections.centres, gsd)
        pairs = _close_pairs(centres, to_metres(targets, gsd), rule.distance_m)
    return pairs.select(detections.labels[pairs.detection] == labels[pairs.label])


def to_metres(xy: Floats, gsd: Gsd) -> Floats:
    """Map pixel coordinates (N, 2) to a plane in metres."""
    metres: Floats = xy @ gsd.T if isinstance(gsd, np.ndarray) else xy * gsd
    return metres


def overlapping_pairs(a: Floats, b: Floats, least: float) -> MatchPairs:
    """Find every pair of boxes of ``a`` and ``b`` whose IoU is at least ``least``, above 0.

    Both are (N, 4) and (M, 4) boxes, or (N, 9) and (M, 9) with oriented ones.
    """
    found, truth = STRtree(box(*b[:, :4].T)).query(box(*a[:, :4].T))
    iou = paired_iou(a[found], b[truth])
    return MatchPairs(found, truth, 1.0 - iou).select(iou >= least)


def match(pairs: MatchPairs) -> tuple[Ints, Ints]:
    """Choose pairs one to one: as many as possible, and of those choices the one of least cost.

    In a connected group of more than 50,000 pairs, such as a dense forest matched by distance, the
    choice has as many pairs as possible, but not always the least cost.

    Returns:
        Indices of the detections and of the labelled objects of the chosen pairs, row by row.

    Reference:
        Jonker and Volgenant 1987, doi 10.1007/BF02278710, for each connected group by itself.
    """
    chosen = [part[_assign(pairs.select(part))] for part in _iter_groups(pairs)]
    rows = np.concatenate([np.zeros(0, np.int64), *chosen])
    return pairs.detection[rows], pairs.label[rows]


def raises_matches(pairs: MatchPairs, scores: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Whether each detection raises the number of matches, if added by decreasing score: (N,).

    This counts the matches at every score threshold at once: the largest number of one-to-one
    matches of the detections above a threshold is the number of True among them.

    Args:
        pairs: Detections and objects that may match.
        scores: (N,) of the detections.

    Reference:
        Berge 1957, doi 10.1073/pnas.43.9.842: one more detection raises the number of matches
        exactly if an augmenting path starts from it. Objects that a failed search has visited can
        never be freed (Kuhn 1955), so all failed searches together visit each pair once.
    """
    rank = np.empty(len(scores), np.int64)
    rank[np.argsort(-scores.astype(np.float64), kind="stable")] = np.arange(len(scores))
    order = np.lexsort((pairs.cost, rank[pairs.detection]))
    detections, starts = np.unique(rank[pairs.detection[order]], return_index=True)
    labels, columns = np.unique(pairs.label[order], return_inverse=True)
    candidates = _split(columns, starts)
    raised = np.zeros(len(scores), np.bool_)
    raised[detections] = _grow(candidates, len(labels)) >= 0
    return raised[rank]


def _grow(candidates: list[list[int]], labels: int) -> Ints:
    """Add detections one by one to a largest matching, each if it makes the matching larger.

    Args:
        candidates: Objects that each detection may match.
        labels: Number of objects.

    Returns:
        (N,) index of the object of each detection, -1 if it did not make the matching larger.
    """
    owner, taken, dead = [-1] * labels, [-1] * len(candidates), [False] * labels
    for first in range(len(candidates)):
        via: dict[int, int] = {}  # label -> the detection that the search came from
        end = _search(first, candidates, owner, dead, via)
        if end < 0:
            for label in via:
                dead[label] = True
        while end >= 0:  # give each object on the path to the detection before it
            detection = via[end]
            owner[end], taken[detection], end = detection, end, taken[detection]
    return np.array(taken, np.int64)


def _search(
    first: int, candidates: list[list[int]], owner: list[int], dead: list[bool], via: dict[int, int]
) -> int:
    """Find a free object by breadth-first search; -1 if none can be reached."""
    queue = [first]
    for detection in queue:
        for label in candidates[detection]:
            if dead[label] or label in via:
                continue
            via[label] = detection
            if owner[label] < 0:
                return label
            queue.append(owner[label])
    return -1


def _close_pairs(centres: Floats, targets: Floats, reach: float) -> MatchPairs:
    """Find every pair of a detection and an object whose centres are within ``reach``."""
    near = cKDTree(centres).sparse_distance_matrix(cKDTree(targets), reach, output_type="ndarray")
    return MatchPairs(near["i"].astype(np.int64), near["j"].astype(np.int64), near["v"] / reach)


def _iter_groups(pairs: MatchPairs) -> Iterator[Ints]:
    """Yield the rows of pairs, in parts of some thousands that share no detection and no object."""
    if not len(pairs.cost):
        return
    rows, columns = _renumber(pairs.detection), _renumber(pairs.label)
    size = rows.max() + columns.max() + 2
    links = coo_array((np.ones(len(rows)), (rows, rows.max() + 1 + columns)), shape=(size, size))
    group = np.asarray(connected_components(links, directed=False)[1])[rows]
    order = np.argsort(group, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(group[order])) + 1, len(order))
    start = 0
    while start < len(order):
        end = int(ends[min(int(np.searchsorted(ends, start + _CHUNK)), len(ends) - 1)])
        yield order[start:end]
        start = end


def _assign(pairs: MatchPairs) -> Ints:
    """Return the rows of as many one-to-one pairs as possible, of least total cost."""
    rows, columns = _renumber(pairs.detection), _renumber(pairs.label)
    if len(rows) > _LARGEST:
        return _assign_roughly(rows, columns, pairs.cost)
    count, width = int(rows.max()) + 1, int(columns.max()) + 1
    # The solver matches every detection. One may take a column of its own, at a cost that exceeds
    # that of any change of the other pairs.
    own = np.arange(count)
    cost = np.concatenate([1.0 + pairs.cost, np.full(count, 2.0 * (count + width) + 2.0)])
    places = np.concatenate([rows, own]), np.concatenate([columns, width + own])
    matrix = coo_array((cost, places), shape=(count, width + count)).tocsr()
    taken, label = min_weight_full_bipartite_matching(matrix)
    wanted = np.full(count, -1)
    wanted[taken] = label
    return np.flatnonzero(wanted[rows] == columns)


def _assign_roughly(rows: Ints, columns: Ints, cost: Floats) -> Ints:
    """Return the rows of as many one-to-one pairs as possible, added from the cheapest on."""
    cheapest = np.full(int(rows.max()) + 1, np.inf)
    np.minimum.at(cheapest, rows, cost)
    rank = np.argsort(np.argsort(cheapest, kind="stable"), kind="stable")[rows]
    order = np.lexsort((cost, rank))
    starts = np.unique(rank[order], return_index=True)[1]
    taken = _grow(_split(columns[order], starts), int(columns.max()) + 1)
    return np.flatnonzero(taken[rank] == columns)


def _split(values: Ints, starts: Ints) -> list[list[int]]:
    """Split an array before each of the starts, the first of which is 0."""
    bounds = [*starts.tolist(), len(values)]
    listed = values.tolist()
    return [listed[a:b] for a, b in itertools.pairwise(bounds)]


def _renumber(values: Ints) -> Ints:
    """Replace each value by its rank among the distinct values, from 0."""
    return np.asarray(np.unique(values, return_inverse=True)[1], np.int64)
