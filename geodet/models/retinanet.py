"""RetinaNet: a backbone, a feature pyramid, and two heads over dense anchors.

:meth:`RetinaNet.forward` computes logits and deltas, in training and in detection alike.
:class:`geodet.training.losses.RetinaNetLoss` compares them with labels, and
:func:`geodet.models.decode.decode` turns them into boxes. Images are never resized.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from geodet.config import ModelConfig
from geodet.models.activations import Activation, new_activation
from geodet.models.anchors import Anchors
from geodet.models.backbone import Backbone
from geodet.models.box_coding import DELTAS
from geodet.models.engine import Outputs
from geodet.models.pyramid import Pyramid
from geodet.models.timm_backbone import TIMM, TimmBackbone

__all__ = ["Head", "RetinaNet", "rename_former_weights"]

_HeadNorm = Literal["none", "group", "batch"]


class Head(nn.Module):
    """Hidden 3 x 3 convolutions, and one that computes the outputs of each anchor.

    A head is shared by all levels. The classification head and the box head share no weights.

    Args:
        channels: Channels of the pyramid.
        convs: Number of hidden convolutions.
        anchors: Anchors per cell.
        outputs: Outputs per anchor: K classes, or 4 deltas, or 6 of oriented boxes.
        levels: Number of pyramid levels.
        norm: Normalisation of each hidden layer, which allows a higher learning rate from random
            weights. ``batch``: with separate statistics for each level, as in Ghiasi et al. 2019,
            arXiv:1904.07392, section 4.1; in detection it is a fixed scale, so that a score does
            not depend on the rest of the chip. ``group``: in groups of 16 channels over the whole
            chip (Wu & He 2018, arXiv:1803.08494). ``none``: as in the paper.
        activation: Activation of each hidden layer.
        prior: Initial sigmoid of the outputs; None for outputs that are not probabilities. With a
            small one the many background anchors do not dominate the first steps.

    Reference:
        arXiv:1708.02002, section 4 ("Classification Subnet", "Box Regression Subnet") and
        section 4.1 ("Initialization").
    """

    def __init__(
        self,
        channels: int,
        *,
        convs: int,
        anchors: int,
        outputs: int,
        levels: int = 1,
        norm: _HeadNorm = "none",
        activation: Activation = "relu",
        prior: float | None = None,
    ) -> None:
        super().__init__()
        self.outputs = outputs
        own = levels if norm == "batch" else 1
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, bias=norm == "none") for _ in range(convs)
        )
        self.norms = nn.ModuleList(
            nn.ModuleList(_norm(norm, channels) for _ in range(convs)) for _ in range(own)
        )
        self.activation = new_activation(activation)
        self.last = nn.Conv2d(channels, anchors * outputs, 3, padding=1)
        _initialise(self, 0.0 if prior is None else -math.log((1 - prior) / prior))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Compute (N, H * W * A, outputs) for each level (N, channels, H, W)."""
        hidden = (self._hidden(i, level) for i, level in enumerate(levels))
        return [self.flatten(self.last(x), self.outputs) for x in hidden]

    @staticmethod
    def flatten(maps: Tensor, outputs: int) -> Tensor:
        """Rearrange (N, A * outputs, H, W) to (N, H * W * A, outputs)."""
        return maps.permute(0, 2, 3, 1).reshape(len(maps), -1, outputs)

    def _hidden(self, index: int, x: Tensor) -> Tensor:
        norms = cast("nn.ModuleList", self.norms[index if len(self.norms) > 1 else 0])
        for convolution, norm in zip(self.convs, norms, strict=True):
            x = self.activation(norm(convolution(x)))
        return x


def _initialise(head: Head, last_bias: float) -> None:
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.constant_(head.last.bias, last_bias)  # type: ignore[arg-type]


def _norm(name: _HeadNorm, channels: int) -> nn.Module:
    if name == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(_groups(channels), channels) if name == "group" else nn.Identity()


def _groups(channels: int) -> int:
    """Return how many groups of about 16 channels the channels divide into."""
    return next(n for n in range(max(channels // 16, 1), 0, -1) if channels % n == 0)


class RetinaNet(nn.Module):
    """The one-stage detector of Lin et al. 2017, arXiv:1708.02002.

    Args:
        config: The architecture.
        bands: Bands of the input.
        classes: Number of classes, K.
        weights: First weights of the backbone, as :class:`~geodet.models.backbone.Backbone` takes
            them; None for random weights.
        prior: Initial score of all anchors; section 4.1, "Initialization".
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
        self.backbone = _build_backbone(config, bands, weights)
        self.pyramid = Pyramid(self.backbone.widths, channels=config.channels, levels=config.levels)
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
            activation=config.activation,
            prior=prior,
        )
        self.regressor = Head(
            config.channels,
            convs=config.convs_of_boxes,
            anchors=self.anchors.per_cell,
            outputs=DELTAS[config.boxes],
            levels=last - first + 1,
            norm=config.head_norm,
            activation=config.activation,
        )
        self.register_load_state_dict_pre_hook(_rename_on_load)  # type: ignore[no-untyped-call]

    def forward(self, images: Tensor) -> Outputs:
        """Compute the outputs of a batch.

        Args:
            images: (N, C, H, W) standardised pixels; any H and W.

        Returns:
            Outputs of the R anchors; H and W are rounded up to whole cells of each level.
        """
        levels = self.pyramid(self.backbone(images))
        shapes = [(level.shape[-2], level.shape[-1]) for level in levels]
        anchors = self.anchors(shapes)
        return Outputs(
            torch.cat(self.classifier(levels), dim=1),
            torch.cat(self.regressor(levels), dim=1),
            torch.cat(anchors),
            tuple(len(level) for level in anchors),
        )


def _build_backbone(
    config: ModelConfig, bands: int, weights: str | None
) -> Backbone | TimmBackbone:
    level = config.backbone_level
    if config.backbone.startswith(TIMM):
        return TimmBackbone(config.backbone, bands=bands, level=level, weights=weights)
    return Backbone(
        config.backbone,
        bands=bands,
        level=level,
        norm=config.backbone_norm,
        weights=weights,
        antialias=config.antialias,
        activation=config.activation,
    )


def rename_former_weights(weights: MutableMapping[str, Any], prefix: str = "") -> None:
    """Rename the weights of older files, in which the backbone is called trunk.

    Args:
        weights: State dict of a :class:`RetinaNet`, changed in place.
        prefix: Prefix of its names, where the network is part of another module.
    """
    for name in [name for name in weights if name.startswith(f"{prefix}trunk.")]:
        part = name.removeprefix(f"{prefix}trunk.")
        weights[f"{prefix}backbone.{part}"] = weights.pop(name)


def _rename_on_load(_: nn.Module, weights: dict[str, Any], prefix: str, *_others: Any) -> None:
    rename_former_weights(weights, prefix)
