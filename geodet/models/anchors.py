"""Anchors, the boxes that the network classifies and corrects, and the coding of corrections."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["LARGEST_FACTOR", "Anchors", "decode_boxes", "encode_boxes"]

LARGEST_FACTOR = 1000 / 16
"""Highest correction of a side; without it exp() of an untrained output overflows."""


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
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
    centre, size = _centre_size(boxes)
    anchor_centre, anchor_size = _centre_size(anchors)
    shift = (centre - anchor_centre) / anchor_size
    return torch.cat([shift, torch.log(size / anchor_size)], dim=-1)


def decode_boxes(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Apply deltas to anchors: the inverse of :func:`encode_boxes`.

    Args:
        deltas: (..., 4) as :func:`encode_boxes` returns them.
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


class Anchors(nn.Module):
    """Boxes of fixed shapes, centred on the cells of each pyramid level.

    Args:
        sizes: Side in pixels of the base anchor of each level.
        scales: Factors on the base side.
        ratios: Heights over widths; the area does not depend on the ratio.
        strides: Side of a cell of each level in pixels.

    Example:
        >>> anchors = Anchors(sizes=[12.0], scales=[1.0], ratios=[1.0], strides=[4])
        >>> anchors([(1, 2)])[0].tolist()
        [[-4.0, -4.0, 8.0, 8.0], [0.0, -4.0, 12.0, 8.0]]

    Reference:
        arXiv:1708.02002, section 4, "Anchors".
    """

    def __init__(
        self,
        *,
        sizes: Sequence[float],
        scales: Sequence[float],
        ratios: Sequence[float],
        strides: Sequence[int],
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.per_cell = len(scales) * len(ratios)
        for level, size in enumerate(sizes):
            self.register_buffer(f"cell_{level}", _cell(size, scales, ratios), persistent=False)

    def forward(self, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Place the anchors on feature maps.

        Args:
            shapes: (H, W) of each level's feature map.

        Returns:
            For each level (H * W * A, 4) float32, x1 y1 x2 y2 in image pixels, ordered by row,
            column and anchor of the cell. The centre of a cell is at (column + 0.5) * stride.
        """
        return [self._level(level, *shape) for level, shape in enumerate(shapes)]

    def _level(self, level: int, height: int, width: int) -> Tensor:
        cell = self.get_buffer(f"cell_{level}")
        stride = self.strides[level]
        x = (torch.arange(width, device=cell.device) + 0.5) * stride
        y = (torch.arange(height, device=cell.device) + 0.5) * stride
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        centres = torch.stack([columns, rows, columns, rows], dim=-1)  # (H, W, 4)
        return (centres[:, :, None] + cell).reshape(-1, 4)  # (H * W * A, 4)


def _cell(size: float, scales: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Build the anchors of one cell around the origin: (A, 4), scales within ratios."""
    ratio = torch.tensor(ratios, dtype=torch.float32)[:, None]
    side = torch.tensor(scales, dtype=torch.float32)[None, :] * size
    height = (side * ratio.sqrt()).reshape(-1)
    width = (side / ratio.sqrt()).reshape(-1)
    return torch.stack([-width, -height, width, height], dim=1) / 2
