"""RetinaNet: trunk, feature pyramid and two heads over dense anchors.

:meth:`RetinaNet.forward` computes, :class:`geodet.models.losses.RetinaNetLoss` compares with labels
and :func:`geodet.models.decode.decode` makes boxes; none depends on ``training``. Images are never
resized.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from geodet.config import ModelConfig
from geodet.models.anchors import Anchors
from geodet.models.fpn import Pyramid, Trunk
from geodet.models.heads import Head

__all__ = ["Outputs", "RetinaNet"]


class Outputs(NamedTuple):
    """What the network says of a batch."""

    logits: Tensor
    """(N, R, K) class scores before the sigmoid."""
    deltas: Tensor
    """(N, R, 4) corrections of the anchors."""
    anchors: Tensor
    """(R, 4) x1 y1 x2 y2 in chip pixels, the same for every image."""
    level_sizes: tuple[int, ...] = ()
    """Anchors of each level, in their order; empty: all are of one."""


class RetinaNet(nn.Module):
    """The one-stage detector of Lin et al. 2017, arXiv:1708.02002.

    Args:
        config: The architecture.
        bands: Bands of the input.
        classes: Number of classes, K.
        weights: Torchvision weights of the trunk by name, None for random ones.
        prior: Score that all anchors start from, before they learn; section 4.1, "Initialization".
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        bands: int,
        classes: int,
        weights: str | None = None,
        prior: float = 0.01,
    ) -> None:
        super().__init__()
        self.config = config
        first, last = config.levels
        self.trunk = Trunk(
            config.backbone,
            bands=bands,
            level=config.trunk_level,
            norm=config.trunk_norm,
            weights=weights,
        )
        self.pyramid = Pyramid(self.trunk.widths, channels=config.channels, levels=config.levels)
        self.anchors = Anchors(
            sizes=config.anchor_sizes,
            scales=config.anchor_scales,
            ratios=config.anchor_ratios,
            strides=[2**level for level in range(first, last + 1)],
        )
        self.classifier = Head(
            config.channels,
            convs=config.head_convs,
            anchors=self.anchors.per_cell,
            outputs=classes,
            levels=last - first + 1,
            norm=config.head_norm,
            prior=prior,
        )
        self.regressor = Head(
            config.channels,
            convs=config.head_convs,
            anchors=self.anchors.per_cell,
            outputs=4,
            levels=last - first + 1,
            norm=config.head_norm,
        )

    def forward(self, images: Tensor) -> Outputs:
        """Run the network.

        Args:
            images: (N, C, H, W) standardised pixels; any H and W.
        """
        levels = self.pyramid(self.trunk(images))
        shapes = [(level.shape[-2], level.shape[-1]) for level in levels]
        anchors = self.anchors(shapes)
        return Outputs(
            torch.cat(self.classifier(levels), dim=1),
            torch.cat(self.regressor(levels), dim=1),
            torch.cat(anchors),
            tuple(len(level) for level in anchors),
        )
