"""The backbone: a classification network up to one of its stages, for any number of bands."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Literal, Self, cast

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from geodet.models.activations import Activation, limit_activations
from geodet.models.antialiasing import smooth_before_strides
from geodet.models.efficientnet_lite import EFFICIENTNETS, build_efficientnet_lite
from geodet.models.first_weights import NormLayer, load_resnet
from geodet.raster.bands import match_bands

__all__ = ["Backbone", "adapt_filters"]

_BackboneNorm = Literal["batch", "frozen_batch", "group"]

_NORMS: dict[_BackboneNorm, NormLayer] = {
    "batch": nn.BatchNorm2d,
    "frozen_batch": FrozenBatchNorm2d,
    "group": partial(nn.GroupNorm, 32),  # divides the channels of every ResNet
}


class Backbone(nn.Module):
    """A stem and the stages C2, C3, ... of a classification network, for any number of bands.

    Args:
        name: A ResNet of ``torchvision.models``, or ``efficientnet_lite0``, ``1`` or ``2``.
        bands: Bands of the input; the first layer is adapted by :func:`adapt_filters`.
        level: Deepest stage, 2 to 5; the stages after it are left out.
        norm: Normalisation of its layers. ``frozen_batch`` scales by stored statistics even in
            training, for pretrained weights and batches too small to measure statistics. ``group``
            normalises in 32 groups of channels (Wu & He 2018, arXiv:1803.08494), for small batches
            and random weights of a ResNet.
        weights: First weights: a name that torchvision gives to weights, the name of a package that
            holds them, or a file, see :mod:`geodet.models.first_weights`; None for random weights.
        antialias: Whether maps are smoothed before each stride, see
            :mod:`geodet.models.antialiasing`.
        activation: Activation of the layers of a ResNet; EfficientNet-Lite always has ReLU6.

    Reference:
        He et al. 2015, arXiv:1512.03385; EfficientNet: Tan & Le 2019, arXiv:1905.11946.
    """

    def __init__(
        self,
        name: str,
        *,
        bands: int,
        level: int,
        norm: _BackboneNorm = "batch",
        weights: str | None = None,
        antialias: bool = False,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        build = build_efficientnet_lite if name in EFFICIENTNETS else load_resnet
        stem, stages = build(name, weights, _NORMS[norm], level)
        self.stem = nn.Sequential(OrderedDict(stem))
        self.stages = nn.ModuleList(stages)
        self.stem.conv = _adapted_stem(cast("nn.Conv2d", stem["conv"]), bands)
        self.widths = [_width(stage) for stage in self.stages]
        self._frozen: list[nn.Module] = []
        if antialias:
            smooth_before_strides(self)
        if activation == "relu6":
            limit_activations(self)

    def freeze(self, stages: int) -> None:
        """Exclude the first parts of the backbone from training, and the statistics of their norms.

        Args:
            stages: 0 for none, 1 for the stem, 2 for the stem and C2, and so on; torchvision's
                ``trainable_layers`` is 5 minus this.
        """
        self._frozen = [self.stem, *self.stages][:stages]
        for part in self._frozen:
            part.requires_grad_(requires_grad=False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all parts that are not frozen; frozen ones stay in evaluation mode."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute C2 to C``level``: level L is (N, C_L, H / 2^L, W / 2^L)."""
        x = self.stem(images)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def adapt_filters(filters: Tensor, places: Sequence[int | None]) -> Tensor:
    """Adapt the filters of a first convolution to other bands.

    The output for a grey image stays the same: what a new band has no filters of its own for is
    divided evenly.

    Args:
        filters: (C, B, h, w) for B bands.
        places: For each new band the number of the one whose filters it keeps, or None.

    Returns:
        (C, N, h, w) for N places.
    """
    before, kept = filters.shape[1], [place for place in places if place is not None]
    left = [n for n in range(before) if n not in kept]
    if not left:  # the mean of all for a new band, and less of each
        fresh = filters.mean(dim=1)
        chosen = [fresh if place is None else filters[:, place] for place in places]
        return torch.stack(chosen, dim=1) * (before / len(places))
    rest = filters[:, left].sum(dim=1) / (places.count(None) or len(places))
    if None in places:
        chosen = [rest if place is None else filters[:, place] for place in places]
        return torch.stack(chosen, dim=1)
    return filters[:, kept] + rest[:, None]


def _adapted_stem(stem: nn.Conv2d, bands: int) -> nn.Conv2d:
    """Return the first convolution for another number of bands."""
    if bands == stem.in_channels:
        return stem  # with the same initial weights
    side, margin = stem.kernel_size[0], cast("int", stem.padding[0])
    adapted = nn.Conv2d(bands, stem.out_channels, side, stride=2, padding=margin, bias=False)
    places = match_bands([""] * bands, [""] * stem.in_channels)
    adapted.weight.data = adapt_filters(stem.weight.detach(), places)
    return adapted


def _width(stage: nn.Module) -> int:
    """Return the number of channels of a stage's output."""
    block = list(stage.modules())[1:]
    norms = [m for m in block if hasattr(m, "running_mean") or isinstance(m, nn.GroupNorm)]
    return len(cast("Tensor", norms[-1].weight))
