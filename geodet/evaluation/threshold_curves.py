"""How good detections are: precision, recall and F1 at every threshold, one to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geodet.config import MatchConfig
from geodet.evaluation.matching import MatchPairs, candidate_pairs, raises_matches
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.boxes import Detections

__all__ = [
    "Comparison",
    "MatchCounts",
    "ThresholdCurve",
    "best_counts",
    "count_matches",
    "trace_curve",
]

_FLAT = 0.001  # of F1; thresholds that differ by less cannot be told apart


@dataclass(frozen=True, slots=True)
class Comparison:
    """Detections on one chip or scene, with what may match what."""

    detections: Detections
    """The N detections that count."""
    boxes: Floats
    """(M, 4) labelled objects in the same pixels."""
    labels: Ints
    """(M,) their classes."""
    pairs: MatchPairs
    """Of the detections and objects that may match; never of two classes."""
    raises: NDArray[np.bool_] = field(init=False)
    """(N,) see :func:`geodet.evaluation.matching.raises_matches`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "raises", raises_matches(self.pairs, self.detections.scores))

    @staticmethod
    def of(
        detections: Detections,
        boxes: Floats,
        labels: Ints,
        *,
        ignored: Floats,
        rule: MatchConfig,
        gsd: float | None,
    ) -> Comparison:
        """Compare detections with labels, both in the same pixels.

        Args:
            detections: What was found.
            boxes: (M, 4) labelled objects.
            labels: (M,) their classes.
            ignored: (G, 4) regions; a detection with its centre in one does not count.
            rule: When two boxes match.
            gsd: Metres per pixel; needed to match by distance.

        Raises:
            TilesetError: The rule wants metres and nobody knows the metres per pixel.
        """
        counted = detections.select(~_centres_inside(detections, ignored))
        pairs = candidate_pairs(counted, boxes, labels, rule=rule, gsd=gsd)
        return Comparison(counted, boxes, labels, pairs)


@dataclass(frozen=True, slots=True)
class MatchCounts:
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


@dataclass(frozen=True, slots=True)
class ThresholdCurve:
    """Counts at every threshold that changes them."""

    thresholds: NDArray[np.float32]
    """(K,) the distinct scores, falling; at each the detections of at least this score count."""
    matched: Ints
    """(K,) most matches one to one."""
    detected: Ints
    """(K,) detections."""
    labelled: int
    """Objects."""

    @property
    def precision(self) -> Floats:
        """(K,) share of the detections that are objects."""
        share: Floats = self.matched / self.detected  # every threshold has a detection
        return share

    @property
    def recall(self) -> Floats:
        """(K,) share of the objects that were detected; 0 without objects."""
        share: Floats = self.matched / max(self.labelled, 1)
        return share

    @property
    def f1(self) -> Floats:
        """(K,) harmonic mean of precision and recall."""
        mean: Floats = 2 * self.matched / (self.detected + self.labelled)
        return mean

    def at(self, threshold: float) -> MatchCounts:
        """Give the counts at any threshold."""
        # As float32, or 0.7 would be above a score of 0.7.
        last = int(np.sum(self.thresholds >= np.float32(threshold))) - 1
        if last < 0:
            return MatchCounts(threshold, 0, 0, self.labelled)
        return MatchCounts(
            threshold, int(self.matched[last]), int(self.detected[last]), self.labelled
        )

    def best(self, *, lowest: float = 0.0) -> MatchCounts:
        """Find the threshold of the best F1, and of equal ones the lower.

        It lies in the middle of the thresholds around it whose F1 is within 0.001 of the best: on
        other images of the kind the edge of such a plateau would be on its wrong side half of the
        time. So the F1 that is given may be less than the best by as much.

        Args:
            lowest: Below this score nothing was detected, so no threshold below it is given.
        """
        known = self.thresholds >= np.float32(lowest)
        if not known.any():
            return self.at(lowest)
        f1 = self.f1[known]
        last = len(f1) - 1 - int(np.argmax(f1[::-1]))
        worse = np.flatnonzero(f1 < f1[last] - _FLAT)
        first, end = worse[worse < last], worse[worse > last]
        high = float(self.thresholds[first[-1] + 1 if len(first) else 0])
        low = float(self.thresholds[known][end[0]]) if len(end) else lowest
        return self.at(_round_between(low, high))


def trace_curve(results: Sequence[Comparison], *, label: int | None = None) -> ThresholdCurve:
    """Count over all chips, at every threshold, the detections of one class or of all."""
    nothing = np.zeros(0, np.float32)
    kept = [np.full(len(r.raises), True) if label is None else _of(r, label) for r in results]
    parts = list(zip(results, kept, strict=True))
    scores = np.concatenate([nothing, *(r.detections.scores[k] for r, k in parts)])
    raises = np.concatenate([nothing, *(r.raises[k] for r, k in parts)])
    order = np.argsort(-scores, kind="stable")
    scores, matched = scores[order], np.cumsum(raises[order], dtype=np.int64)
    last = np.flatnonzero(np.diff(scores, append=-np.inf))  # of the detections of equal score
    labelled = sum(
        len(r.labels) if label is None else int((r.labels == label).sum()) for r in results
    )
    return ThresholdCurve(scores[last], matched[last], last + 1, labelled)


def count_matches(results: Sequence[Comparison], threshold: float) -> MatchCounts:
    """Count over all chips the detections of at least this score."""
    return trace_curve(results).at(threshold)


def best_counts(results: Sequence[Comparison], *, lowest: float = 0.0) -> MatchCounts:
    """Find the threshold of the best F1 over all chips, see :meth:`ThresholdCurve.best`."""
    return trace_curve(results).best(lowest=lowest)


def _of(result: Comparison, label: int) -> NDArray[np.bool_]:
    return np.asarray(result.detections.labels == label, np.bool_)


def _round_between(low: float, high: float) -> float:
    """Give the middle, in as few decimals as keep it above ``low`` and up to ``high``."""
    middle = (low + high) / 2
    for decimals in range(2, 9):
        rounded = round(middle, decimals)
        if np.float32(low) < np.float32(rounded) <= np.float32(high):  # scores are float32
            return rounded
    return high


def _centres_inside(detections: Detections, regions: Floats) -> NDArray[np.bool_]:
    inside = np.zeros(len(detections), np.bool_)
    centres = detections.centres
    for region in regions:  # one by one: all at once would fill the memory on a scene
        inside |= np.all((centres >= region[:2]) & (centres <= region[2:]), axis=1)
    return inside
