"""Losses of boxes."""

from __future__ import annotations

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from geodet.models.box_coding import decode_boxes, encode_boxes, encode_oriented

__all__ = ["BoxLoss", "giou_loss", "l1_loss", "smooth_l1_loss"]

_ORIENTED = 5  # columns of an oriented box


class BoxLoss(Protocol):
    """A loss of the boxes, summed over the positive anchors."""

    def __call__(self, deltas: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
        """Compare predicted deltas with objects.

        Args:
            deltas: (P, 4) predicted deltas of the anchors, or (P, 6) of oriented boxes.
            anchors: (P, 4) x1 y1 x2 y2 in pixels.
            boxes: (P, 4) objects that the anchors learn, likewise, or (P, 5) oriented ones.

        Returns:
            A scalar, 0 without positive anchors.
        """
        ...


def smooth_l1_loss(deltas: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
    """Sum the smooth L1 distances of the deltas: squared up to 1/9, linear beyond.

    Args:
        deltas: (P, 4) predicted deltas of the anchors, or (P, 6) of oriented boxes.
        anchors: (P, 4) x1 y1 x2 y2 in pixels.
        boxes: (P, 4) objects that the anchors learn, likewise, or (P, 5) oriented ones.

    Returns:
        A scalar.

    Reference:
        Girshick 2015, arXiv:1504.08083, equation 3; 1/9 is Detectron's value for RetinaNet.
    """
    wanted = _encode(boxes, anchors)
    return F.smooth_l1_loss(deltas, wanted, beta=1 / 9, reduction="sum")


def l1_loss(deltas: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
    """Sum the L1 distances of the deltas; shapes as for :func:`smooth_l1_loss`."""
    return F.l1_loss(deltas, _encode(boxes, anchors), reduction="sum")


def _encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Compute the deltas of (P, 4) boxes, or of (P, 5) oriented ones."""
    encode = encode_oriented if boxes.shape[-1] == _ORIENTED else encode_boxes
    deltas: Tensor = encode(boxes, anchors)
    return deltas


def giou_loss(deltas: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
    """Sum 1 - GIoU of the boxes, 0 to 2 each, independent of the size of the objects.

    Args:
        deltas: (P, 4) predicted deltas of the anchors.
        anchors: (P, 4) x1 y1 x2 y2 in pixels.
        boxes: (P, 4) objects that the anchors learn, likewise.

    Returns:
        A scalar.

    Reference:
        Rezatofighi et al. 2019, arXiv:1902.09630, algorithms 1 and 2.
    """
    loss: Tensor = generalized_box_iou_loss(decode_boxes(deltas, anchors), boxes, reduction="sum")
    return loss
