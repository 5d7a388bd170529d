"""The backbone and the feature pyramid on top of it."""

from __future__ import annotations

import contextlib
import sys
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from pickle import UnpicklingError
from typing import Literal, Self

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models import ResNet
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d

from geodet.errors import ConfigError

__all__ = ["Backbone", "Pyramid", "adapt_filters"]

# Raised without a network connection, for a broken download or a wrong checksum, and for a file in
# the hub folder that is empty, cut or of another kind.
_UNLOADABLE = (OSError, HTTPException, RuntimeError, EOFError, UnpicklingError)

BackboneNorm = Literal["batch", "frozen_batch", "group"]

_NORMS: dict[BackboneNorm, Callable[..., nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "frozen_batch": FrozenBatchNorm2d,
    "group": partial(nn.GroupNorm, 32),  # divides the channels of every ResNet
}


class Backbone(nn.Module):
    """A ResNet of torchvision up to one of its stages, for any number of bands.

    Args:
        name: A ResNet of ``torchvision.models``.
        bands: Bands of the input; the first layer is adapted by :func:`adapt_filters`.
        level: Deepest stage, 2 to 5; the stages after it are left out.
        norm: Normalisation of its layers. ``frozen_batch`` scales by stored statistics even in
            training, for pretrained weights and batches too small to measure statistics. ``group``
            normalises in 32 groups of channels (Wu & He 2018, arXiv:1803.08494), for small batches
            and random weights.
        weights: Name of torchvision weights; None for random weights.

    Reference:
        He et al. 2015, arXiv:1512.03385.
    """

    def __init__(
        self,
        name: str,
        *,
        bands: int,
        level: int,
        norm: BackboneNorm = "batch",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        network = _load_network(name, weights, _NORMS[norm])
        network.conv1 = _adapted_stem(network.conv1, bands)
        self.stem = nn.Sequential(
            OrderedDict(
                conv=network.conv1, norm=network.bn1, relu=network.relu, pool=network.maxpool
            )
        )
        stages = [network.layer1, network.layer2, network.layer3, network.layer4]
        self.stages = nn.ModuleList(stages[: level - 1])
        self.widths = [_width(stage) for stage in self.stages]
        self._frozen: list[nn.Module] = []

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


class Pyramid(nn.Module):
    """A feature pyramid: P2 to P5 from the backbone, P6 and P7 by strided convolutions.

    P6 is computed from C5, the deepest stage of the backbone, not from P5; P7 from P6 after a ReLU.

    The top-down path begins at the deepest stage of the backbone even if that level has no anchors,
    so that small objects on P2 see their surroundings.

    Args:
        widths: Channels of C2, C3, ... of the backbone.
        channels: Channels of every level of the pyramid.
        levels: First and last level to return.

    Reference:
        Lin et al. 2016, arXiv:1612.03144; P6 and P7: arXiv:1708.02002, section 4, footnote 2.
    """

    def __init__(self, widths: list[int], *, channels: int, levels: tuple[int, int]) -> None:
        super().__init__()
        first, last = levels
        self._skip = first - 2
        self._take = min(last, 5) - first + 1
        self.fpn = FeaturePyramidNetwork(widths[self._skip :], channels)
        sources = [widths[-1], channels][: max(last - 5, 0)]  # C5 and P6
        self.extra = nn.ModuleList(nn.Conv2d(n, channels, 3, stride=2, padding=1) for n in sources)
        _drop_unused(self.fpn, self._take)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute the pyramid levels from C2, C3, ...: each (N, channels, H / 2^L, W / 2^L)."""
        levels = self._descend(features[self._skip :])[: self._take]
        for index, convolution in enumerate(self.extra):
            source = features[-1] if index == 0 else F.relu(levels[-1])
            levels.append(convolution(source))
        return levels

    def _descend(self, features: list[Tensor]) -> list[Tensor]:
        """Add the level above to each level, as torchvision's pyramid does, but in place.

        The ``forward`` of torchvision holds three tensors of P2's size while it computes the
        fourth.
        """
        levels: list[Tensor] = []
        above: Tensor | None = None
        blocks = zip(features, self.fpn.inner_blocks, self.fpn.layer_blocks, strict=True)
        for feature, inner, layer in reversed(list(blocks)):
            lateral = inner(feature)
            if above is not None:
                lateral += F.interpolate(above, size=lateral.shape[-2:], mode="nearest")
            levels.append(layer(lateral))
            above = lateral
        return levels[::-1]


def _drop_unused(fpn: FeaturePyramidNetwork, count: int) -> None:
    """Replace the output convolutions of unused levels, so that they cost nothing."""
    for index in range(count, len(fpn.layer_blocks)):
        fpn.layer_blocks[index] = nn.Identity()


def _load_network(name: str, weights: str | None, norm: Callable[..., nn.Module]) -> ResNet:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torch.hub prints what it downloads
            network: ResNet = torchvision.models.get_model(name, weights=weights, norm_layer=norm)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"train.pretrained = {weights!r}: {name} has no such weights",
            hint="torchvision names them, such as IMAGENET1K_V1",
            key="train.pretrained",
        ) from error
    except _UNLOADABLE as error:
        raise ConfigError(
            f"train.pretrained = {weights!r}: the weights of {name} cannot be loaded: {error}",
            hint="they are downloaded once; without a network connection copy them into torch's "
            f"hub folder {torch.hub.get_dir()}/checkpoints, and delete a broken file there; or "
            'start from random weights: set train.pretrained = "", train.frozen_stages = 0 and '
            'model.backbone_norm = "batch", which recipes set together',
            key="train.pretrained",
        ) from error
    return network


def adapt_filters(filters: Tensor, bands: int) -> Tensor:
    """Adapt the filters of a first convolution to another number of bands.

    The output for a grey image stays the same. Bands are taken to be red, green, blue and others:
    if there are at least three before and after, the common ones keep their filters.

    Args:
        filters: (C, B, h, w) for B bands.
        bands: New number of bands.

    Returns:
        (C, bands, h, w).
    """
    before = filters.shape[1]
    if bands == before:
        return filters
    if bands < min(before, 3):
        return filters.mean(dim=1, keepdim=True).expand(-1, bands, -1, -1) * (before / bands)
    if bands < before:
        return filters[:, :bands] + filters[:, bands:].sum(dim=1, keepdim=True) / bands
    own = filters if before >= 3 else filters[:, :0]
    others = filters.mean(dim=1, keepdim=True).expand(-1, bands - own.shape[1], -1, -1)
    return torch.cat([own, others], dim=1) * (before / bands)


def _adapted_stem(stem: nn.Conv2d, bands: int) -> nn.Conv2d:
    """Return the first convolution for another number of bands."""
    if bands == stem.in_channels:
        return stem  # with the same initial weights
    adapted = nn.Conv2d(bands, stem.out_channels, 7, stride=2, padding=3, bias=False)
    adapted.weight.data = adapt_filters(stem.weight.detach(), bands)
    return adapted


def _width(stage: nn.Module) -> int:
    """Return the number of channels of a ResNet stage's output."""
    convolutions = [m for m in stage.modules() if isinstance(m, nn.Conv2d)]
    return max(m.out_channels for m in convolutions)
