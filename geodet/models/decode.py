"""From the network's outputs to boxes in chip pixels."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import nms

from geodet.boxes import Detections
from geodet.merging.merge import suppress
from geodet.models.boxcoder import decode_boxes
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
        score_threshold: Lowest score kept.
        iou_threshold: Overlap above which the weaker of two boxes of one class goes.
        max_candidates: Most boxes of a chip that reach the suppression, the strongest first.
        max_per_level: Most of them from a level of the pyramid, the strongest first; None for all.
            The paper's is 1,000 (arXiv:1708.02002, section 4.1, "Inference").

    Returns:
        N results. Boxes may reach over the chip's edge, where an object does.
    """
    # A threshold of logits spares the sigmoid of the many anchors that are background.
    passes = outputs.logits >= _logit(score_threshold)
    image, anchor, label = torch.nonzero(passes, as_tuple=True)
    scores = outputs.logits[image, anchor, label].float().sigmoid()
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
    # A stable sort: equal scores stay in the order of the anchors, whatever the batch.
    order = torch.sort(scores, descending=True, stable=True).indices[:max_candidates]
    boxes, scores, labels = boxes[order], scores[order], labels[order]
    if not boxes.is_cuda:  # torchvision's looks at all pairs: seconds for a large, dense chip
        found = Detections(boxes.numpy(), scores.numpy(), labels.numpy())
        return suppress(found, iou_threshold=iou_threshold)
    # Class by class, without the coordinate offsets of batched_nms, which cost precision.
    kept = [
        rows[nms(boxes[rows], scores[rows], iou_threshold)]
        for rows in (torch.nonzero(labels == label)[:, 0] for label in torch.unique(labels))
    ]
    keep = torch.cat(kept).sort().values if kept else order[:0]
    return Detections(*(t[keep].cpu().numpy() for t in (boxes, scores, labels)))


def _logit(score: float) -> float:
    if score <= 0:
        return torch.finfo(torch.float32).min  # all that is a number
    return math.inf if score >= 1 else math.log(score / (1 - score))
