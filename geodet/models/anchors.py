"""Anchors, the boxes that the network classifies and corrects."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Anchors"]


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
        self._last: tuple[tuple[object, ...], list[Tensor]] = ((), [])

    def forward(self, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Place the anchors on feature maps.

        Args:
            shapes: (H, W) of each level's feature map.

        Returns:
            For each level (H * W * A, 4) float32, x1 y1 x2 y2 in image pixels, ordered by row,
            column and anchor of the cell. The centre of a cell is at (column + 0.5) * stride.
        """
        device = self.get_buffer("cell_0").device
        if device.type == "cpu":  # where they cost nothing beside the rest, but memory
            return self._place(shapes)
        key = (device, torch.is_inference_mode_enabled(), *shapes)
        if self._last[0] != key:
            self._last = key, self._place(shapes)
        return self._last[1]

    def _place(self, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
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
