"""Three ways to merge the overlapping boxes of one class, in plain numpy: clear, not fast."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.boxes import Detections, paired_iou

Fuse = Callable[[Detections], Detections]
Floats = NDArray[np.float64]


def suppress(detections: Detections, *, iou: float) -> Detections:
    """Keep the strongest box, drop what overlaps it more than ``iou``, and so on.

    Args:
        detections: Of one class, strongest first.
        iou: Largest overlap of two boxes that both stay.
    """
    left, kept = np.arange(len(detections)), []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        left = left[_overlaps(detections.boxes, first, left) <= iou]
    return detections.select(np.array(kept, np.int64))


def soft_nms(
    detections: Detections, *, lowest: float, iou: float = 0.0, sigma: float = 0.0
) -> Detections:
    """Lower the scores of boxes that overlap a stronger one, instead of dropping them.

    Args:
        detections: Of one class.
        lowest: A box whose score falls below it goes.
        iou: Overlaps above it lower a score linearly, where ``sigma`` is 0.
        sigma: Width of the Gaussian that lowers scores by every overlap.

    Reference:
        Bodla et al. 2017, arXiv:1704.04503, section 3.
    """
    scores = detections.scores.astype(np.float64)
    left, kept = np.arange(len(detections)), []
    while len(left):
        best = int(np.argmax(scores[left]))
        first, left = left[best], np.delete(left, best)
        kept.append(first)
        overlaps = _overlaps(detections.boxes, first, left)
        scores[left] *= np.exp(-(overlaps**2) / sigma) if sigma else _linear(overlaps, iou)
        left = left[scores[left] >= lowest]
    order = np.array(kept, np.int64)
    return Detections(detections.boxes[order], scores[order], detections.labels[order])


def fuse_boxes(detections: Detections, *, iou: float, keeps_best: bool = False) -> Detections:
    """Replace each cluster of boxes by their mean, weighted by the scores.

    A box joins the cluster whose mean it overlaps most, if by more than ``iou``; else it begins a
    new one. With one network the paper's score is the mean of the cluster's.

    Args:
        detections: Of one class, strongest first.
        iou: Smallest overlap with a cluster's mean.
        keeps_best: Give a cluster the score of its strongest box; the mean of dense anchors falls
            with every weak one.

    Reference:
        Solovyev et al. 2019, arXiv:1910.13302, section 3.
    """
    count = len(detections)
    sums, weights = np.zeros((count, 4)), np.zeros(count)
    best, members = np.zeros(count), np.zeros(count)
    clusters = 0
    for box, score in zip(detections.boxes, detections.scores.astype(np.float64), strict=True):
        means = sums[:clusters] / weights[:clusters, None]
        overlaps = paired_iou(box, means)
        joined = int(np.argmax(overlaps)) if clusters and overlaps.max() > iou else clusters
        clusters = max(clusters, joined + 1)
        sums[joined] += score * box
        weights[joined] += score
        members[joined] += 1
        best[joined] = max(best[joined], score)
    means = sums[:clusters] / weights[:clusters, None]
    scores = best[:clusters] if keeps_best else weights[:clusters] / members[:clusters]
    labels = np.full(clusters, detections.labels[0] if count else 0, np.int64)
    return Detections(means, scores, labels).ranked()


def _overlaps(boxes: Floats, one: int, others: NDArray[np.int64]) -> Floats:
    return paired_iou(boxes[one], boxes[others])


def _linear(overlaps: Floats, iou: float) -> Floats:
    return np.where(overlaps > iou, 1 - overlaps, 1.0)
