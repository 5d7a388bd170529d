"""Suppress duplicates among the candidates of a batch on a CUDA device.

The host only asks for a few operations on all candidates together, and for one suppression for each
chip and class: while it asks, no other thread of Python can run, such as one that merges.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from geodet.geometry.boxes import Detections

if TYPE_CHECKING:  # detection on the CPU goes without it
    from torch import Tensor

__all__ = ["DeviceCandidates", "suppress_on_device"]


class DeviceCandidates(NamedTuple):
    """Candidates of N chips on a device, those of the first chip first."""

    image: Tensor
    """(R,) int64, index of the chip."""
    boxes: Tensor
    """(R, 4) x1 y1 x2 y2 in chip pixels."""
    scores: Tensor
    """(R,) float32."""
    labels: Tensor
    """(R,) int64."""

    def rows(self, rows: Tensor) -> DeviceCandidates:
        """Return some candidates."""
        return DeviceCandidates(*(column[rows] for column in self))


def suppress_on_device(
    candidates: DeviceCandidates,
    counts: Sequence[int],
    *,
    classes: int,
    iou_threshold: float,
    max_candidates: int,
) -> list[Detections]:
    """Return the strongest candidates of each chip, without duplicates, strongest first.

    It keeps the boxes that :func:`geodet.merging.merger.suppress` keeps: class by class, as the
    coordinate offsets of ``batched_nms`` cost precision; in float64; and with ranks for scores, so
    none are equal.

    Args:
        candidates: Candidates of N chips.
        counts: Number of candidates of each chip.
        classes: Number of classes.
        iou_threshold: IoU above which the weaker of two boxes of one class is a duplicate.
        max_candidates: Most candidates of a chip that are looked at, the strongest.
    """
    ranked = candidates.rows(_capped(_ranking(candidates), counts, max_candidates))
    sizes = [min(count, max_candidates) for count in counts]
    if not sum(sizes):
        return [Detections.empty()] * len(counts)
    rows, kept = _survivors(ranked, sizes, classes=classes, iou_threshold=iou_threshold)
    found = Detections(*(column.cpu().numpy() for column in ranked.rows(rows)[1:]))
    ends = list(accumulate(kept))
    return [found.select(slice(end - count, end)) for end, count in zip(ends, kept, strict=True)]


def _ranking(candidates: DeviceCandidates) -> Tensor:
    """Rank the candidates of each chip as :meth:`~geodet.geometry.boxes.Detections.ranked` does."""
    image, boxes, scores, labels = candidates
    x1, y1, x2, y2 = boxes.unbind(1)
    order = labels.argsort(stable=True)
    for key in (y2, x2, x1, y1, -scores, image):  # stable sorts: the last counts most
        order = order[key[order].argsort(stable=True)]
    return order


def _capped(order: Tensor, counts: Sequence[int], most: int) -> Tensor:
    """Return the first rows of each chip."""
    import torch

    if max(counts, default=0) <= most:
        return order
    return torch.cat([rows[:most] for rows in torch.split(order, list(counts))])


def _survivors(
    ranked: DeviceCandidates, sizes: Sequence[int], *, classes: int, iou_threshold: float
) -> tuple[Tensor, list[int]]:
    """Return the rows of ranked candidates that torchvision's suppression keeps, in order.

    Args:
        ranked: At least one candidate.
        sizes: Number of candidates of each chip.
        classes: Number of classes.
        iou_threshold: IoU above which the weaker of two boxes of one class is a duplicate.

    Returns:
        The rows, and how many of them each chip has.
    """
    import torch
    from torchvision.ops import nms

    group, counts, order = ranked.image, list(sizes), None
    boxes = ranked.boxes.double()
    if classes > 1:
        group = ranked.image * classes + ranked.labels
        order = group.argsort(stable=True)
        counts = group.bincount(minlength=len(sizes) * classes).tolist()
        boxes = boxes[order]
    ranks = -torch.arange(len(boxes), dtype=torch.float64, device=boxes.device)
    kept = [
        nms(boxes[end - count : end], ranks[end - count : end], iou_threshold) + (end - count)
        for end, count in zip(accumulate(counts), counts, strict=True)
    ]
    of_chips = [
        sum(map(len, kept[first : first + classes])) for first in range(0, len(kept), classes)
    ]
    rows = torch.cat(kept)
    return (rows if order is None else order[rows].sort().values), of_chips
