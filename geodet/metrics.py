"""How good detections are: one-to-one matching with labels, precision, recall and F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from shapely import STRtree, box

from geodet.boxes import Detections, paired_iou
from geodet.config import MatchConfig
from geodet.errors import TilesetError

__all__ = ["ChipResult", "Scores", "best_scores", "candidate_pairs", "match", "score"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Pairs(NamedTuple):
    """Pairs of a detection and a label that may match."""

    detection: Ints
    """(P,) index of the detection."""
    label: Ints
    """(P,) index of the labelled object."""
    cost: Floats
    """(P,) in [0, 1], 0 for a perfect match."""


@dataclass(frozen=True, slots=True)
class ChipResult:
    """Detections on one chip, with what may match what."""

    scores: NDArray[np.float32]
    """(N,) scores of the detections that count."""
    objects: int
    """Labelled objects."""
    pairs: Pairs
    """Of the detections and objects that may match."""

    @staticmethod
    def compare(
        detections: Detections,
        boxes: Floats,
        labels: Ints,
        *,
        ignored: Floats,
        rule: MatchConfig,
        gsd: float | None,
    ) -> ChipResult:
        """Compare detections with labels, both in the same pixels.

        Args:
            detections: What was found.
            boxes: (M, 4) labelled objects.
            labels: (M,) their classes.
            ignored: (G, 4) regions; a detection with its centre in one does not count.
            rule: When two boxes match.
            gsd: Metres per pixel; needed to match by distance.
        """
        counted = detections.select(~_centres_inside(detections, ignored))
        pairs = candidate_pairs(counted, boxes, labels, rule=rule, gsd=gsd)
        return ChipResult(counted.scores, len(boxes), pairs)


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts at one score threshold, and what follows from them."""

    threshold: float
    matched: int
    detected: int
    labelled: int

    @property
    def precision(self) -> float:
        """Share of the detections that are objects; 0 without detections."""
        return self.matched / self.detected if self.detected else 0.0

    @property
    def recall(self) -> float:
        """Share of the objects that were detected; 0 without objects."""
        return self.matched / self.labelled if self.labelled else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.detected + self.labelled
        return 2 * self.matched / total if total else 0.0


def candidate_pairs(
    detections: Detections, boxes: Floats, labels: Ints, *, rule: MatchConfig, gsd: float | None
) -> Pairs:
    """Find every pair of one class that the rule lets match.

    Raises:
        TilesetError: The rule wants metres and the ground sample distance is not known.
    """
    if not len(detections) or not len(boxes):
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    if rule.by == "iou":
        found, truth, cost = _overlapping(detections.boxes, boxes, rule.iou)
    else:
        if gsd is None:
            raise TilesetError(
                "matching by distance needs the metres per pixel of every image",
                hint="set data.gsd, or use match.by=iou",
            )
        found, truth, cost = _close(detections.centres, boxes, rule.distance_m / gsd)
    same = detections.labels[found] == labels[truth]
    return Pairs(found[same], truth[same], cost[same])


def match(pairs: Pairs) -> tuple[Ints, Ints]:
    """Choose pairs one to one: as many as possible, and among those the cheapest sum.

    Returns:
        Detections and labels of the chosen pairs, row by row.

    Reference:
        Kuhn 1955, "The Hungarian method"; solved apart for each connected group.
    """
    if not len(pairs.cost):
        return pairs.detection, pairs.label
    detections, rows = np.unique(pairs.detection, return_inverse=True)
    labels, columns = np.unique(pairs.label, return_inverse=True)
    group = _groups(rows, columns, len(detections), len(labels))
    order = np.argsort(group, kind="stable")
    bounds = np.flatnonzero(np.diff(group[order])) + 1
    chosen = np.concatenate([_assign(part, pairs) for part in np.split(order, bounds)])
    return pairs.detection[chosen], pairs.label[chosen]


def score(results: Sequence[ChipResult], threshold: float) -> Scores:
    """Count over all chips the detections of at least this score."""
    matched = detected = 0
    for result in results:
        passes = result.scores >= threshold
        kept = passes[result.pairs.detection]
        found, truth, cost = result.pairs
        matched += len(match(Pairs(found[kept], truth[kept], cost[kept]))[0])
        detected += int(passes.sum())
    return Scores(threshold, matched, detected, sum(result.objects for result in results))


def best_scores(
    results: Sequence[ChipResult], *, lowest: float = 0.0, step: float = 0.02
) -> Scores:
    """Find the threshold of the best F1 among the multiples of ``step``; ties take the lower.

    Args:
        results: Detections compared with labels.
        lowest: Below this score nothing was detected, so no threshold below it is tried.
        step: Between two thresholds.
    """
    thresholds = np.round(np.arange(step, 1.0, step), 6)
    tried = thresholds[thresholds >= lowest].tolist()
    return max((score(results, t) for t in tried), key=lambda scores: scores.f1)


def _centres_inside(detections: Detections, regions: Floats) -> NDArray[np.bool_]:
    centres = detections.centres[:, None, :]
    inside = np.all((centres >= regions[:, :2]) & (centres <= regions[:, 2:]), axis=2)
    return np.asarray(np.any(inside, axis=1))


def _overlapping(a: Floats, b: Floats, least: float) -> tuple[Ints, Ints, Floats]:
    found, truth = STRtree(box(*b.T)).query(box(*a.T))
    iou = paired_iou(a[found], b[truth])
    keep = iou >= least
    return found[keep], truth[keep], 1.0 - iou[keep]


def _close(centres: Floats, boxes: Floats, reach: float) -> tuple[Ints, Ints, Floats]:
    targets = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = cKDTree(centres).sparse_distance_matrix(cKDTree(targets), reach, output_type="ndarray")
    return near["i"].astype(np.int64), near["j"].astype(np.int64), near["v"] / reach


def _groups(rows: Ints, columns: Ints, detections: int, labels: int) -> Ints:
    """Number the connected groups of pairs: (P,)."""
    size = detections + labels
    links = coo_array((np.ones(len(rows)), (rows, detections + columns)), shape=(size, size))
    _, group = connected_components(links, directed=False)
    return np.asarray(group)[rows]


def _assign(members: Ints, pairs: Pairs) -> Ints:
    """Solve one group; returns the chosen of its members."""
    if len(members) == 1:
        return members
    _, rows = np.unique(pairs.detection[members], return_inverse=True)
    _, columns = np.unique(pairs.label[members], return_inverse=True)
    # A pair that may not match costs more than all that may, so the solver takes none it can avoid.
    forbidden = float(len(members) + 1)
    cost = np.full((rows.max() + 1, columns.max() + 1), forbidden)
    cost[rows, columns] = pairs.cost[members]
    chosen = np.stack(linear_sum_assignment(cost), axis=1)
    chosen = chosen[cost[chosen[:, 0], chosen[:, 1]] < forbidden]
    member = np.full(cost.shape, -1)
    member[rows, columns] = members
    return np.asarray(member[chosen[:, 0], chosen[:, 1]])
