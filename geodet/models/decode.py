"""From the network's outputs to boxes in chip pixels."""

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
    """The objects of one chip."""

    detections: Detections
    """In chip pixels, strongest first."""
    capped: int
    """Candidates that were dropped because of a cap; 0 unless one binds."""


@torch.no_grad()
def decode(
    outputs: Outputs,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_candidates: int,
    max_per_level: int | None = None,
) -> list[Decoded]:
    """Turn outputs into objects: threshold, decode what passes, suppress duplicates per class.

    Args:
        outputs: Of N chips.
        score_threshold: Lowest score kept, in float32, whatever the precision of the outputs.
        iou_threshold: Overlap above which the weaker of two boxes of one class goes.
        max_candidates: Most boxes of a chip that reach the suppression, the strongest first.
        max_per_level: Most of them from a level of the pyramid, the strongest first; None for all.
            The paper's is 1,000 (arXiv:1708.02002, section 4.1, "Inference").

    Returns:
        N results. Boxes may reach over the chip's edge, where an object does.
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
            _suppressed(boxes[of], scores[of], label[of], iou_threshold, max_candidates), capped
        )
        for of, capped in zip(rows, dropped, strict=True)
    ]


def _passing(logits: Tensor, score_threshold: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give image, anchor, label and score of each candidate, in this order."""
    # A threshold of logits spares the sigmoid of the many anchors that are background. It is
    # rounded to their precision, so some that pass in bfloat16 lie below it.
    image, anchor, label = torch.nonzero(logits >= _logit(score_threshold), as_tuple=True)
    # In float32, equal logits have scores that differ in the last bit, by their place in memory.
    scores = logits[image, anchor, label].double().sigmoid().float()
    passes = scores >= score_threshold
    return image[passes], anchor[passes], label[passes], scores[passes]


def _groups(image: Tensor, anchor: Tensor, outputs: Outputs) -> Tensor:
    """Number the levels of all chips, for each candidate."""
    sizes = outputs.level_sizes or (len(outputs.anchors),)
    ends = torch.tensor(sizes, device=anchor.device).cumsum(0)
    return image * len(sizes) + torch.searchsorted(ends, anchor, right=True)


def _strongest(groups: Tensor, scores: Tensor, count: int) -> Tensor:
    """Choose the strongest candidates of each group, the first of equals, in their order."""
    order = torch.sort(scores, descending=True, stable=True).indices
    order = order[torch.sort(groups[order], stable=True).indices]
    sizes = torch.bincount(groups)
    first = (sizes.cumsum(0) - sizes)[groups[order]]
    rank = torch.arange(len(order), device=order.device) - first
    return order[rank < count].sort().values


def _suppressed(
    boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float, max_candidates: int
) -> Detections:
    order = _ranking(boxes, scores, labels)[:max_candidates]
    boxes, scores, labels = boxes[order], scores[order], labels[order]
    if boxes.is_cuda:
        keep = _survivors(boxes, labels, iou_threshold)
        return Detections(*(t[keep].cpu().numpy() for t in (boxes, scores, labels)))
    found = Detections(boxes.numpy(), scores.numpy(), labels.numpy())
    return suppress(found, iou_threshold=iou_threshold)  # torchvision's looks at all pairs


def _ranking(boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
    """Rank boxes on any device as :meth:`~geodet.geometry.boxes.Detections.ranked` does: (R,)."""
    x1, y1, x2, y2 = boxes.unbind(1)
    order = torch.argsort(labels, stable=True)
    for key in (y2, x2, x1, y1, -scores):  # stable sorts: the last counts most
        order = order[torch.argsort(key[order], stable=True)]
    return order


def _survivors(boxes: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Give the rows of ranked boxes that torchvision's suppression keeps, in their order.

    Class by class, without the coordinate offsets of ``batched_nms``, which cost precision; in
    float64, and never with equal scores, as :func:`geodet.merging.merger.suppress` does it.
    """
    ranks = -torch.arange(len(boxes), dtype=torch.float64, device=boxes.device)
    kept = [
        rows[nms(boxes[rows].double(), ranks[rows], iou_threshold)]
        for rows in (torch.nonzero(labels == label)[:, 0] for label in torch.unique(labels))
    ]
    return torch.cat(kept).sort().values if kept else labels


def _logit(score: float) -> float:
    if score <= 0:
        return torch.finfo(torch.float32).min  # all that is a number
    return math.inf if score >= 1 else math.log(score / (1 - score))
