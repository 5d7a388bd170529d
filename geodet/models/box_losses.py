"""How far corrected anchors are from their objects."""

from __future__ import annotations

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from geodet.models.boxcoder import decode_boxes, encode_boxes

__all__ = ["BoxLoss", "giou_loss", "l1_loss", "smooth_l1_loss"]


class BoxLoss(Protocol):
    """Sums over the positive anchors; without any it is zero."""

    def __call__(self, deltas: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
        """Compare corrections with objects.

        Args:
            deltas: (P, 4) predicted corrections.
            anchors: (P, 4) anchors that they correct, x1 y1 x2 y2 in pixels.
            boxes: (P, 4) objects that the anchors learn.

        Returns:
            A scalar.
        """
        ...


def smooth_l1_loss(deltas: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
    """Compare corrections by their distance, squared where it is small.

    Reference:
        Girshick 2015, arXiv:1504.08083, equation 3; the corner at 1/9 is Detectron's for RetinaNet.
    """
    wanted = encode_boxes(boxes, anchors)
    return F.smooth_l1_loss(deltas, wanted, beta=1 / 9, reduction="sum")


def l1_loss(deltas: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
    """Compare corrections by their distance."""
    return F.l1_loss(deltas, encode_boxes(boxes, anchors), reduction="sum")


def giou_loss(deltas: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
    """Compare boxes by 1 - GIoU, 0 to 2 each; that is blind to the scale of the objects.

    Reference:
        Rezatofighi et al. 2019, arXiv:1902.09630, algorithms 1 and 2.
    """
    loss: Tensor = generalized_box_iou_loss(decode_boxes(deltas, anchors), boxes, reduction="sum")
    return loss
