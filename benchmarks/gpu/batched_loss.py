"""RetinaNet's loss of a batch whose labels come in rows of equal length, without a loop.

It equals geodet.training.losses.RetinaNetLoss with an assigner by IoU and smooth L1, but never
waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from device_chips import DeviceBatch
from torch import Tensor

from geodet.config import TrainConfig
from geodet.models.box_coding import encode_boxes
from geodet.models.engine import Outputs

__all__ = ["batched_loss"]

Comparison = Callable[[Tensor, Tensor], Tensor]


def batched_loss(
    outputs: Outputs, batch: DeviceBatch, config: TrainConfig, compare: Comparison
) -> Tensor:
    """Compute the sum of both losses.

    Args:
        outputs: Of the network.
        batch: The labels.
        config: Thresholds of the assigner.
        compare: Computes the losses of scores, from logits and targets.
    """
    anchors = outputs.anchors
    with torch.no_grad():
        similarity = _overlaps(batch.boxes, anchors)  # (N, M, R)
        similarity = torch.where(batch.is_object[..., None], similarity, -1.0)
        best, index = similarity.max(dim=1)  # (N, R)
        top = similarity.max(dim=2, keepdim=True).values
        positive = best >= config.positive_iou
        if config.low_quality_matches:
            positive = positive | ((similarity == top) & (top > 0)).any(dim=1)
        counted = positive | ((best < config.negative_iou) & ~_covered(anchors, batch))
        labels = torch.gather(batch.labels, 1, index)
        boxes = torch.gather(batch.boxes, 1, index[..., None].expand(-1, -1, 4))
        boxes = torch.where(positive[..., None], boxes, anchors)
        wanted = encode_boxes(boxes, anchors)
        classes = torch.arange(outputs.logits.shape[-1], device=anchors.device)
        targets = (positive[..., None] & (labels[..., None] == classes)).float()
        positives = positive.sum().clamp(min=1)
    scores = compare(outputs.logits.float(), targets) * counted[..., None]
    shapes = F.smooth_l1_loss(outputs.deltas.float(), wanted, beta=1 / 9, reduction="none")
    return (scores.sum() + config.box_weight * (shapes * positive[..., None]).sum()) / positives


def _overlaps(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Compute the IoU of (N, M, 4) boxes and (R, 4) anchors: (N, M, R)."""
    ax1, ay1, ax2, ay2 = (side[..., None] for side in boxes.unbind(dim=-1))
    bx1, by1, bx2, by2 = (side.contiguous() for side in anchors.unbind(dim=-1))
    inter = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp_(min=0)
    inter *= (torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp_(min=0)
    union = ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1)).sub_(inter)
    return inter / union


def _covered(anchors: Tensor, batch: DeviceBatch) -> Tensor:
    """Whether each anchor has its centre in a region to ignore: (N, R)."""
    x, y = ((anchors[:, :2] + anchors[:, 2:]) / 2).unbind(dim=1)
    x1, y1, x2, y2 = (side[..., None] for side in batch.boxes.unbind(dim=-1))
    inside = (x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)  # (N, M, R)
    return (inside & batch.is_ignored[..., None]).any(dim=1)
