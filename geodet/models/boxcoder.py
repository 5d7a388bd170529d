"""Boxes as corrections of anchors, and back."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["LARGEST_FACTOR", "decode_boxes", "encode_boxes"]

# A correction of a side is capped at this factor, or exp() of an untrained output overflows.
LARGEST_FACTOR = 1000 / 16


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Express boxes relative to anchors.

    Args:
        boxes: (..., 4) x1 y1 x2 y2 in pixels.
        anchors: (..., 4) likewise, with positive sides.

    Returns:
        (..., 4) shifts of the centre in anchor sides, and logarithms of the sides' ratios.

    Reference:
        Girshick et al. 2014, arXiv:1311.2524, appendix C.
    """
    centre, size = _centre_size(boxes)
    anchor_centre, anchor_size = _centre_size(anchors)
    shift = (centre - anchor_centre) / anchor_size
    return torch.cat([shift, torch.log(size / anchor_size)], dim=-1)


def decode_boxes(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Apply corrections to anchors: the inverse of :func:`encode_boxes`.

    Args:
        deltas: (..., 4) as :func:`encode_boxes` gives them.
        anchors: (..., 4) x1 y1 x2 y2 in pixels.

    Returns:
        (..., 4) x1 y1 x2 y2 in pixels, x1 <= x2 and y1 <= y2.
    """
    anchor_centre, anchor_size = _centre_size(anchors)
    centre = anchor_centre + deltas[..., :2] * anchor_size
    size = anchor_size * deltas[..., 2:].clamp(max=math.log(LARGEST_FACTOR)).exp()
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def _centre_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) / 2, high - low
