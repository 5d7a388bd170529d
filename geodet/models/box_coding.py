"""Coding of boxes as corrections of anchors, for arrays of any library."""

from __future__ import annotations

import math

from array_api_compat import array_namespace

from geodet.models.engine import AnyArray

__all__ = [
    "DELTAS",
    "LARGEST_FACTOR",
    "decode_boxes",
    "decode_oriented",
    "encode_boxes",
    "encode_oriented",
]

DELTAS = {"axis_aligned": 4, "oriented": 6}
"""Outputs of the network for each anchor, by the kind of the boxes."""

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


def encode_oriented(oriented: AnyArray, anchors: AnyArray) -> AnyArray:
    """Compute the deltas that turn axis-aligned anchors into oriented boxes.

    An angle jumps where a half turn is complete, and where the longer side becomes the shorter one.
    The last two deltas do neither: with the lengths l and w and the angle t they are ``r cos 2t``
    and ``r sin 2t``, r = (l^2 - w^2) / (l^2 + w^2): the second moments of the rectangle but for its
    size. They are 0 for a square, whose angle is not learnt.

    Args:
        oriented: (..., 5) cx cy length width angle, in pixels and radians, with positive sides.
        anchors: (..., 4) x1 y1 x2 y2 in pixels.

    Returns:
        (..., 6) deltas: shifts of the centre in anchor sides, logarithms of length and width over
        the side of a square as large as the anchor, and the two of the angle.

    Reference:
        The covariance in place of the angle: Yang et al. 2021, arXiv:2101.11952, section 3.2.
    """
    xp = array_namespace(oriented)
    anchor_centre, anchor_size = _centre_size(anchors)
    shift = (oriented[..., :2] - anchor_centre) / anchor_size
    side = xp.sqrt(anchor_size[..., :1] * anchor_size[..., 1:])
    squares, angle = oriented[..., 2:4] ** 2, 2 * oriented[..., 4]
    elongation = (squares[..., 0] - squares[..., 1]) / (squares[..., 0] + squares[..., 1])
    turn = xp.stack([elongation * xp.cos(angle), elongation * xp.sin(angle)], axis=-1)
    return xp.concat([shift, xp.log(oriented[..., 2:4] / side), turn], axis=-1)


def decode_oriented(deltas: AnyArray, anchors: AnyArray) -> AnyArray:
    """Apply deltas to anchors: the inverse of :func:`encode_oriented`.

    Args:
        deltas: (..., 6) as :func:`encode_oriented` returns them.
        anchors: (..., 4) x1 y1 x2 y2 in pixels.

    Returns:
        (..., 5) cx cy length width angle, the angle in [-pi/2, pi/2]; of an untrained network, the
        length may be below the width.
    """
    xp = array_namespace(deltas)
    anchor_centre, anchor_size = _centre_size(anchors)
    centre = anchor_centre + deltas[..., :2] * anchor_size
    side = xp.sqrt(anchor_size[..., :1] * anchor_size[..., 1:])
    sides = side * xp.exp(xp.clip(deltas[..., 2:4], max=math.log(LARGEST_FACTOR)))
    angle = xp.atan2(deltas[..., 5:], deltas[..., 4:5]) / 2
    return xp.concat([centre, sides, angle], axis=-1)


def _centre_size(boxes: AnyArray) -> tuple[AnyArray, AnyArray]:
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) / 2, high - low
