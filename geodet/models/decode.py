"""Decode the network's outputs to detections in chip pixels."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import nms

from geodet.geometry.boxes import Detections
from geodet.merging.merger import suppress
from geodet.models.anchors import decode_boxes
from geodet.models.retinanet import Outputs

__all__ = ["Decoded", "decode"]


class Decoded(NamedTuple):
    """The detections of one chip."""

    detections: Detections
    """Detections in chip pixels, strongest first."""
    capped: int
    """Candidates that were dropped by a cap; 0 unless a cap takes effect."""


@torch.no_grad()
def decode(
    outputs: Outputs,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_candidates: int,
    max_per_level: int | None = None,
) -> list[Decoded]:
    """Decode outputs: apply the threshold, decode the boxes, suppress duplicates class by class.

    Args:
        outputs: Outputs for N chips.
        score_threshold: Lowest score kept, in float32, whatever the precision of the outputs.
        iou_threshold: IoU above which the weaker of two boxes of one class is a duplicate.
        max_candidates: Most boxes of a chip that enter suppression, the strongest first.
        max_per_level: Most of them from a level of the pyramid, the strongest first; None: no
            limit.

    Returns:
        N results. A box may extend beyond its chip.

    Reference:
        Lin et al. 2017, arXiv:1708.02002, section 4.1, "Inference": 1,000 candidates per level.
    """
    image, anchor, label, scores = _passing(outputs.logits, score_threshold)
    passed = torch.bincount(image, minlength=len(outputs.logits))
    if max_per_level is not None:
        kept = _strongest(_groups(image, anchor, outputs), scores, max_per_level)
        image, anchor, label, scores = image[kept], anchor[kept], label[kept], scores[kept]
    boxes = decode_boxes(outputs.deltas[image, anchor].float(), outputs.anchors[anchor])
    counts = torch.bincount(image, minlength=len(outputs.logits))
    dropped = (passed - counts.clamp(max=max_candidates)).tolist()
    rows = torch.split(torch.arange(len(image), device=image.device), counts.tolist())
    return [
        Decoded(
            _best_boxes(boxes[of], scores[of], label[of], iou_threshold, max_candidates), capped
        )
        for of, capped in zip(rows, dropped, strict=True)
    ]


def _passing(logits: Tensor, score_threshold: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return image, anchor, label and score (R,) of the candidates, in this order."""
    # Comparing logits saves the sigmoid of the many anchors on background. The threshold is rounded
    # to the precision of the logits, so in bfloat16 some candidates are below it.
    image, anchor, label = torch.nonzero(logits >= _logit(score_threshold), as_tuple=True)
    # In float32 the sigmoids of equal logits may differ in the last bit, by their place in memory.
    scores = logits[image, anchor, label].double().sigmoid().float()
    passes = scores >= score_threshold
    return image[passes], anchor[passes], label[passes], scores[passes]


def _groups(image: Tensor, anchor: Tensor, outputs: Outputs) -> Tensor:
    """Number the pairs of chip and level; return that of each candidate: (R,)."""
    sizes = outputs.level_sizes or (len(outputs.anchors),)
    ends = torch.tensor(sizes, device=anchor.device).cumsum(0)
    return image * len(sizes) + torch.searchsorted(ends, anchor, right=True)


def _strongest(groups: Tensor, scores: Tensor, count: int) -> Tensor:
    """Return the rows of the strongest candidates of each group, the first of equals, in order."""
    order = torch.sort(scores, descending=True, stable=True).indices
    order = order[torch.sort(groups[order], stable=True).indices]
    sizes = torch.bincount(groups)
    first = (sizes.cumsum(0) - sizes)[groups[order]]
    rank = torch.arange(len(order), device=order.device) - first
    return order[rank < count].sort().values


def _best_boxes(
    boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float, max_candidates: int
) -> Detections:
    """Return the strongest candidates of a chip, without duplicates."""
    rows = _ranking(boxes, scores, labels)[:max_candidates]
    boxes, scores, labels = boxes[rows], scores[rows], labels[rows]
    return _without_duplicates(boxes, scores, labels, iou_threshold)


def _without_duplicates(
    boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float
) -> Detections:
    """Suppress duplicates among ranked boxes, the only step of decoding that depends on the device.

    Both ways keep the same boxes: torchvision's kernel on a CUDA device, and the sweep of
    :func:`~geodet.merging.merger.suppress` on a CPU, where torchvision compares all pairs.
    """
    if boxes.is_cuda:
        rows = _survivors(boxes, labels, iou_threshold)
        return Detections(*(t[rows].cpu().numpy() for t in (boxes, scores, labels)))
    found = Detections(*(t.numpy() for t in (boxes, scores, labels)))
    return suppress(found, iou_threshold=iou_threshold)


def _ranking(boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
    """Rank boxes on any device as :meth:`~geodet.geometry.boxes.Detections.ranked` does: (R,)."""
    x1, y1, x2, y2 = boxes.unbind(1)
    order = torch.argsort(labels, stable=True)
    for key in (y2, x2, x1, y1, -scores):  # stable sorts: the last counts most
        order = order[torch.argsort(key[order], stable=True)]
    return order


def _survivors(boxes: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Return the rows of ranked boxes that torchvision's suppression keeps, in order.

    It runs class by class, as the coordinate offsets of ``batched_nms`` cost precision; in float64,
    as :func:`geodet.merging.merger.suppress` does; and with ranks for scores, so none are equal.
    """
    ranks = -torch.arange(len(boxes), dtype=torch.float64, device=boxes.device)
    kept = [
        rows[nms(boxes[rows].double(), ranks[rows], iou_threshold)]
        for rows in (torch.nonzero(labels == label)[:, 0] for label in torch.unique(labels))
    ]
    return torch.cat(kept).sort().values if kept else labels


def _logit(score: float) -> float:
    if score <= 0:
        return torch.finfo(torch.float32).min  # every logit but NaN passes
    return math.inf if score >= 1 else math.log(score / (1 - score))
