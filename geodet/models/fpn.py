"""The trunk and the feature pyramid on top of it."""

from __future__ import annotations

import contextlib
import sys
from collections import OrderedDict
from http.client import HTTPException
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models import ResNet
from torchvision.ops import FeaturePyramidNetwork

from geodet.errors import ConfigError

__all__ = ["Pyramid", "Trunk"]

# No network, a download that broke off or has another checksum, a file in the hub folder that is
# empty, cut or something else.
_UNLOADABLE = (OSError, HTTPException, RuntimeError, EOFError, UnpicklingError)


class Trunk(nn.Module):
    """A torchvision ResNet up to one of its stages, for any number of bands.

    Args:
        name: A ResNet of ``torchvision.models``.
        bands: Bands of the input. Where the first layer is for three bands, other bands get the
            mean of its filters, and all are scaled so that a grey image gives what it gave.
        level: Deepest stage, 2 to 5; the stages after it are left out.
        weights: Torchvision weights by name, None to start from random ones.

    Reference:
        He et al. 2015, arXiv:1512.03385.
    """

    def __init__(self, name: str, *, bands: int, level: int, weights: str | None = None) -> None:
        super().__init__()
        network = _load_network(name, weights)
        network.conv1 = _adapted_stem(network.conv1, bands)
        self.stem = nn.Sequential(
            OrderedDict(
                conv=network.conv1, norm=network.bn1, relu=network.relu, pool=network.maxpool
            )
        )
        stages = [network.layer1, network.layer2, network.layer3, network.layer4]
        self.stages = nn.ModuleList(stages[: level - 1])
        self.widths = [_width(stage) for stage in self.stages]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute C2 to C``level``: level L is (N, C_L, H / 2^L, W / 2^L)."""
        x = self.stem(images)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Pyramid(nn.Module):
    """A feature pyramid: P2 to P5 from the trunk, P6 and P7 by strided convolutions.

    The top-down path begins at the trunk's deepest stage even when no anchors sit there, so small
    objects on P2 see their surroundings.

    Args:
        widths: Channels of C2, C3, ... as the trunk gives them.
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
        extra = [nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(last - 5)]
        self.extra = nn.ModuleList(extra)
        _drop_unused(self.fpn, self._take)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Turn trunk features into pyramid levels, each (N, channels, H / 2^L, W / 2^L)."""
        named = OrderedDict((str(i), x) for i, x in enumerate(features[self._skip :]))
        levels = list(self.fpn(named).values())[: self._take]
        for index, convolution in enumerate(self.extra):
            source = levels[-1] if index == 0 else F.relu(levels[-1])
            levels.append(convolution(source))
        return levels


def _drop_unused(fpn: FeaturePyramidNetwork, count: int) -> None:
    """Make the output convolutions of levels that nobody reads do nothing."""
    for index in range(count, len(fpn.layer_blocks)):
        fpn.layer_blocks[index] = nn.Identity()


def _load_network(name: str, weights: str | None) -> ResNet:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torch.hub prints what it downloads
            network: ResNet = torchvision.models.get_model(name, weights=weights)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"train.pretrained = {weights!r}: {name} has no such weights",
            hint="torchvision names them, such as IMAGENET1K_V1",
        ) from error
    except _UNLOADABLE as error:
        raise ConfigError(
            f"train.pretrained = {weights!r}: the weights of {name} cannot be loaded: {error}",
            hint="they are downloaded once; without a network put them into torch's hub folder "
            f"{torch.hub.get_dir()}/checkpoints, and delete a broken file there",
        ) from error
    return network


def _adapted_stem(stem: nn.Conv2d, bands: int) -> nn.Conv2d:
    """Give the first convolution another number of input bands."""
    old = stem.weight.detach()
    if bands == old.shape[1]:
        return stem
    adapted = nn.Conv2d(bands, old.shape[0], 7, stride=2, padding=3, bias=False)
    own = old if bands > old.shape[1] else old[:, :0]
    others = old.mean(dim=1, keepdim=True).expand(-1, bands - own.shape[1], -1, -1)
    adapted.weight.data = torch.cat([own, others], dim=1) * (old.shape[1] / bands)
    return adapted


def _width(stage: nn.Module) -> int:
    """Read the channels that a stage of a ResNet gives."""
    convolutions = [m for m in stage.modules() if isinstance(m, nn.Conv2d)]
    return max(m.out_channels for m in convolutions)
