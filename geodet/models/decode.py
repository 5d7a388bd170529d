"""From the network's outputs to boxes in chip pixels."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import nms

from geodet.boxes import Detections
from geodet.models.boxcoder import decode_boxes
from geodet.models.retinanet import Outputs

__all__ = ["Decoded", "decode"]


class Decoded(NamedTuple):
    """The objects of one chip."""

    detections: Detections
    """In chip pixels, strongest first."""
    capped: int
    """Candidates that were dropped because of ``max_candidates``; 0 unless the cap binds."""


@torch.no_grad()
def decode(
    outputs: Outputs, *, score_threshold: float, iou_threshold: float, max_candidates: int
) -> list[Decoded]:
    """Turn outputs into objects: threshold, decode what passes, suppress duplicates per class.

    Args:
        outputs: Of N chips.
        score_threshold: Lowest score kept.
        iou_threshold: Overlap above which the weaker of two boxes of one class goes.
        max_candidates: Most boxes of a chip that reach the suppression, the strongest first.

    Returns:
        N results. Boxes may reach over the chip's edge, where an object does.
    """
    # A threshold of logits spares the sigmoid of the many anchors that are background.
    passes = outputs.logits >= _logit(score_threshold)
    image, anchor, label = torch.nonzero(passes, as_tuple=True)
    scores = outputs.logits[image, anchor, label].float().sigmoid()
    boxes = decode_boxes(outputs.deltas[image, anchor].float(), outputs.anchors[anchor])
    counts = torch.bincount(image, minlength=len(outputs.logits)).tolist()
    parts = [torch.split(t, counts) for t in (boxes, scores, label)]
    return [
        _suppressed(*part, iou_threshold=iou_threshold, max_candidates=max_candidates)
        for part in zip(*parts, strict=True)
    ]


def _suppressed(
    boxes: Tensor, scores: Tensor, labels: Tensor, *, iou_threshold: float, max_candidates: int
) -> Decoded:
    # A stable sort: equal scores stay in the order of the anchors, whatever the batch.
    order = torch.sort(scores, descending=True, stable=True).indices
    capped = max(len(order) - max_candidates, 0)
    order = order[:max_candidates]
    boxes, scores, labels = boxes[order], scores[order], labels[order]
    # Class by class, without the coordinate offsets of batched_nms, which cost precision.
    kept = [
        rows[nms(boxes[rows], scores[rows], iou_threshold)]
        for rows in (torch.nonzero(labels == label)[:, 0] for label in torch.unique(labels))
    ]
    keep = torch.cat(kept).sort().values if kept else order[:0]
    arrays = (t[keep].cpu().numpy() for t in (boxes, scores, labels))
    return Decoded(Detections(*arrays), capped)


def _logit(score: float) -> float:
    if score <= 0:
        return torch.finfo(torch.float32).min  # all that is a number
    return math.inf if score >= 1 else math.log(score / (1 - score))
