"""Coding of boxes as corrections of anchors, for arrays of any library."""

from __future__ import annotations

import math

from array_api_compat import array_namespace

from geodet.models.engine import AnyArray

__all__ = ["LARGEST_FACTOR", "decode_boxes", "encode_boxes"]

LARGEST_FACTOR = 1000 / 16
"""Highest correction of a side; without it exp() of an untrained output overflows."""


def encode_boxes(boxes: AnyArray, anchors: AnyArray) -> AnyArray:
    """Compute the deltas that turn anchors into boxes.

    Args:
        boxes: (..., 4) x1 y1 x2 y2 in pixels, with positive sides.
        anchors: (..., 4) likewise.

    Returns:
        (..., 4) deltas: shifts of the centre in anchor sides, and logarithms of box over anchor
        sides.

    Reference:
        Girshick et al. 2014, arXiv:1311.2524, appendix C.
    """
    xp = array_namespace(boxes)
    centre, size = _centre_size(boxes)
    anchor_centre, anchor_size = _centre_size(anchors)
    shift = (centre - anchor_centre) / anchor_size
    return xp.concat([shift, xp.log(size / anchor_size)], axis=-1)


def decode_boxes(deltas: AnyArray, anchors: AnyArray) -> AnyArray:
    """Apply deltas to anchors: the inverse of :func:`encode_boxes`.

    Args:
        deltas: (..., 4) as :func:`encode_boxes` returns them.
        anchors: (..., 4) x1 y1 x2 y2 in pixels.

    Returns:
        (..., 4) x1 y1 x2 y2 in pixels, x1 <= x2 and y1 <= y2.
    """
    xp = array_namespace(deltas)
    anchor_centre, anchor_size = _centre_size(anchors)
    centre = anchor_centre + deltas[..., :2] * anchor_size
    factor = xp.exp(xp.clip(deltas[..., 2:], max=math.log(LARGEST_FACTOR)))
    size = anchor_size * factor
    return xp.concat([centre - size / 2, centre + size / 2], axis=-1)


def _centre_size(boxes: AnyArray) -> tuple[AnyArray, AnyArray]:
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) / 2, high - low
