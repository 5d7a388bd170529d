"""Precision, recall and F1 at every score threshold, with detections matched one to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import STRtree, box, points

from geodet.config import MatchConfig
from geodet.evaluation.chosen_threshold import choose_between
from geodet.evaluation.matching import Gsd, MatchPairs, candidate_pairs, match, raises_matches
from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.boxes import Detections
from geodet.geometry.oriented_boxes import oriented_shapes
from geodet.geometry.written_scores import written_scores

__all__ = [
    "FEW_OBJECTS",
    "Comparison",
    "MatchCounts",
    "ThresholdCurve",
    "best_counts",
    "count_matches",
    "sum_counts",
    "trace_curve",
]

FEW_OBJECTS = 50
"""Labelled objects below which figures mean little without their confidence interval."""

_Z = 1.959964  # of the normal distribution, for 95 %
_FLAT = 0.001  # of F1: smaller differences between thresholds are noise


@dataclass(frozen=True, slots=True)
class Comparison:
    """Detections on one chip or scene compared with its labelled objects."""

    detections: Detections
    """N detections, also those in ignored regions."""
    boxes: Floats
    """(M, 4) labelled objects, in the same pixels."""
    labels: Ints
    """(M,) their classes."""
    pairs: MatchPairs
    """Detections and objects of the same class that may match."""
    is_ignored: Bools
    """(N,) whether the centre of a detection is in an ignored region: unmatched, it is not wrong.
    """
    oriented: Floats | None = None
    """(M, 5) oriented boxes of the labelled objects; None: they have none."""
    gsd: Gsd | None = None
    """Metres per pixel, see :data:`geodet.evaluation.matching.Gsd`; None if unknown."""
    raises: Bools = field(init=False)
    """(N,) see :func:`geodet.evaluation.matching.raises_matches`."""
    is_wrong: Bools = field(init=False)
    """(N,) whether each detection raises the number of wrong ones, if added by decreasing score."""

    def __post_init__(self) -> None:
        scores, counted = self.detections.scores, ~self.is_ignored
        raises = alone = raises_matches(self.pairs, scores)
        if self.is_ignored.any():
            # Detections in regions are matched to what the others leave, so they make none wrong.
            alone = raises_matches(self.pairs.select(counted[self.pairs.detection]), scores)
        object.__setattr__(self, "raises", raises)
        object.__setattr__(self, "is_wrong", counted & ~alone)

    @staticmethod
    def of(
        detections: Detections,
        boxes: Floats,
        labels: Ints,
        *,
        ignored: NDArray[Any],
        rule: MatchConfig,
        gsd: Gsd | None,
        oriented: Floats | None = None,
    ) -> Comparison:
        """Compare detections with labels, both in the same pixels.

        Args:
            detections: Detections of a model or program.
            boxes: (M, 4) labelled objects.
            labels: (M,) their classes.
            ignored: (G, 4) boxes or (G,) polygons of shapely; a detection with its centre in one
                counts only where it matches an object.
            rule: When two boxes match.
            gsd: Metres per pixel; required to match by distance.
            oriented: (M, 5) oriented boxes of the objects, which are compared with oriented
                detections; None: the boxes are compared.

        Raises:
            TilesetError: The rule is a distance in metres and the GSD is unknown.
        """
        turned = None if detections.oriented is None else oriented
        truth = boxes if turned is None else oriented_shapes(turned)
        pairs = candidate_pairs(detections, truth, labels, rule=rule, gsd=gsd)
        inside = _centres_inside(detections, ignored)
        return Comparison(detections, boxes, labels, pairs, inside, oriented, gsd)

    @property
    def compared(self) -> tuple[Floats, Floats]:
        """The detections and the objects as they are compared: boxes, or (N, 9) and (M, 9)."""
        if self.detections.oriented is None or self.oriented is None:
            return self.detections.boxes, self.boxes
        return self.detections.shapes, oriented_shapes(self.oriented)

    def counting(self, *, label: int | None = None) -> Bools:
        """Return which detections raise the number of right or of wrong ones, of a class: (N,)."""
        counts = self.raises | self.is_wrong
        return counts if label is None else counts & (self.detections.labels == label)

    def match_kept(self, kept: Bools) -> tuple[Ints, Ints, Bools]:
        """Match the detections that are kept, one to one.

        As many are matched as possible, and of these as few in ignored regions as possible.

        Args:
            kept: (N,) mask, of all that reach the threshold of their class.

        Returns:
            Indices of the detections and of the objects of the pairs, and the mask of the
            detections that are right or wrong (N,).
        """
        pairs, counted = self.pairs.select(kept[self.pairs.detection]), kept.copy()
        if self.is_ignored.any():
            order = np.lexsort((-self.detections.scores.astype(np.float64), self.is_ignored))
            precedence = np.empty(len(order))
            precedence[order] = -np.arange(len(order))
            counted &= ~self.is_ignored | raises_matches(pairs, precedence)
        found, truth = match(pairs.select(counted[pairs.detection]))
        return found, truth, counted


@dataclass(frozen=True, slots=True)
class MatchCounts:
    """Counts of detections, objects and matches at one score threshold."""

    threshold: float
    """Lowest score of the detections that count."""
    matched: int
    """True positives: detections matched one to one with objects."""
    detected: int
    """Detections that are right or wrong: all but the unmatched ones in ignored regions."""
    labelled: int
    """Labelled objects."""

    @property
    def precision(self) -> float:
        """Share of the detections that match an object; 0 without detections."""
        return self.matched / self.detected if self.detected else 0.0

    @property
    def recall(self) -> float:
        """Share of the objects that match a detection; 0 without objects."""
        return self.matched / self.labelled if self.labelled else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.detected + self.labelled
        return 2 * self.matched / total if total else 0.0

    @property
    def f1_interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of F1 as lower and upper end; 0 to 1 where nothing is known.

        Of true positives, false positives and misses together, the first are a binomial share J,
        and F1 = 2 J / (1 + J) rises with it. The interval of J is Wilson's.

        Reference:
            Wilson 1927, "Probable inference, the law of succession, and statistical inference",
            https://doi.org/10.1080/01621459.1927.10502953
        """
        low, high = _wilson(self.matched, self.detected + self.labelled - self.matched)
        return 2 * low / (1 + low), 2 * high / (1 + high)

    @property
    def precision_interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the precision; 0 to 1 where nothing is known."""
        return _wilson(self.matched, self.detected)

    @property
    def recall_interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the recall; 0 to 1 where nothing is known."""
        return _wilson(self.matched, self.labelled)


def sum_counts(parts: Sequence[MatchCounts], threshold: float) -> MatchCounts:
    """Add up counts, each at a threshold of its own; ``threshold`` is the lowest of them."""
    return MatchCounts(
        threshold,
        sum(part.matched for part in parts),
        sum(part.detected for part in parts),
        sum(part.labelled for part in parts),
    )


def _wilson(count: int, total: int) -> tuple[float, float]:
    """Return Wilson's 95 % confidence interval of a share."""
    if not total:
        return 0.0, 1.0
    share, z2 = count / total, _Z**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    spread = _Z * (share * (1 - share) / total + z2 / (4 * total**2)) ** 0.5 / (1 + z2 / total)
    low, high = (min(max(j, 0.0), 1.0) for j in (middle - spread, middle + spread))
    return low, high


@dataclass(frozen=True, slots=True)
class ThresholdCurve:
    """Counts at every score threshold that changes them."""

    thresholds: NDArray[np.float32]
    """(K,) distinct scores, decreasing; a threshold keeps the detections of at least its score."""
    matched: Ints
    """(K,) true positives at each threshold."""
    detected: Ints
    """(K,) detections that are right or wrong at each threshold."""
    labelled: int
    """Labelled objects."""

    @property
    def precision(self) -> Floats:
        """(K,) share of the detections that match an object."""
        share: Floats = self.matched / self.detected  # at least one at each threshold
        return share

    @property
    def recall(self) -> Floats:
        """(K,) share of the objects that match a detection; 0 without objects."""
        share: Floats = self.matched / max(self.labelled, 1)
        return share

    @property
    def f1(self) -> Floats:
        """(K,) harmonic mean of precision and recall."""
        mean: Floats = 2 * self.matched / (self.detected + self.labelled)
        return mean

    def at(self, threshold: float) -> MatchCounts:
        """Return the counts at a threshold."""
        # Scores are float32: as float64, 0.7 would exceed a score of 0.7.
        last = int(np.sum(self.thresholds >= np.float32(threshold))) - 1
        if last < 0:
            return MatchCounts(threshold, 0, 0, self.labelled)
        return MatchCounts(
            threshold, int(self.matched[last]), int(self.detected[last]), self.labelled
        )

    def best(self, *, lowest: float = 0.0) -> MatchCounts:
        """Find the threshold of the best F1, the lower one of two that are equally good.

        The threshold returned is the middle of those around the best whose F1 is within 0.001 of
        it. On other images, the best threshold would lie beyond the edge of such a plateau half of
        the time. The F1 returned may therefore be up to 0.001 below the best.

        Args:
            lowest: Score threshold of the detections; no lower threshold is returned.

        Returns:
            The counts, and a threshold that keeps as many detections of a file, whose scores have
            six decimals, as of these.
        """
        written = written_scores(self.thresholds)
        # No threshold parts scores that are the same in a file.
        parts = (self.thresholds >= np.float32(lowest)) & (np.diff(written, append=-1) != 0)
        rows = np.flatnonzero(parts)
        if not len(rows):
            return self.at(lowest)
        f1 = self.f1[rows]
        last = len(f1) - 1 - int(np.argmax(f1[::-1]))
        worse = np.flatnonzero(f1 < f1[last] - _FLAT)
        first, end = worse[worse < last], worse[worse > last]
        high = float(self.thresholds[rows[first[-1] + 1 if len(first) else 0]])
        low = float(self.thresholds[rows[end[0] - 1] + 1]) if len(end) else None
        return self.at(choose_between(self.thresholds, low, high, lowest=lowest))


def trace_curve(results: Sequence[Comparison], *, label: int | None = None) -> ThresholdCurve:
    """Count detections and matches over all images at every threshold, of one class or of all."""
    nothing = np.zeros(0, np.float32)
    parts = [(result, result.counting(label=label)) for result in results]
    scores = np.concatenate([nothing, *(r.detections.scores[k] for r, k in parts)])
    raises = np.concatenate([nothing, *(r.raises[k] for r, k in parts)])
    order = np.argsort(-scores, kind="stable")
    scores, matched = scores[order], np.cumsum(raises[order], dtype=np.int64)
    last = np.flatnonzero(np.diff(scores, append=-np.inf))  # the last detection of each score
    labelled = sum(
        len(r.labels) if label is None else int((r.labels == label).sum()) for r in results
    )
    return ThresholdCurve(scores[last], matched[last], last + 1, labelled)


def count_matches(results: Sequence[Comparison], threshold: float) -> MatchCounts:
    """Count detections and matches over all images at one score threshold."""
    return trace_curve(results).at(threshold)


def best_counts(results: Sequence[Comparison], *, lowest: float = 0.0) -> MatchCounts:
    """Find the threshold of the best F1 over all images, see :meth:`ThresholdCurve.best`."""
    return trace_curve(results).best(lowest=lowest)


def _centres_inside(detections: Detections, regions: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether the centre of each detection is in any of the regions: (N,)."""
    inside = np.zeros(len(detections), np.bool_)
    shapes = box(*regions.T) if regions.ndim > 1 else regions
    inside[STRtree(points(detections.centres)).query(shapes, predicate="intersects")[1]] = True
    return inside
