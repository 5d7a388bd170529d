"""Fold batch norms into the convolutions before them: the same outputs for less work.

At work a batch norm is a fixed scale and shift of each channel, and so is part of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops import FrozenBatchNorm2d

from geodet.models.heads import Head
from geodet.models.retinanet import RetinaNet

__all__ = ["fold_norms"]

_FOLDABLE = (nn.BatchNorm2d, FrozenBatchNorm2d)


def fold_norms(network: nn.Module) -> nn.Module:
    """Copy a network without its batch norms; other norms stay, as they depend on the chip.

    Args:
        network: In evaluation mode; it is not changed. One of another kind, such as a graph that
            another library runs, is given back.

    Returns:
        A network for inference, whose outputs differ by rounding alone.
    """
    if not isinstance(network, RetinaNet):
        return network
    folded = deepcopy(network)
    _fold_children(folded.trunk)
    for name, head in network.named_children():
        if isinstance(head, Head):
            setattr(folded, name, _fold_head(head))
    return folded.eval()


def _fold_children(module: nn.Module) -> None:
    """Fold what follows a convolution: torchvision's blocks name their layers in that order."""
    for (name, first), (follower, second) in pairwise(list(module.named_children())):
        if isinstance(first, nn.Conv2d) and isinstance(second, _FOLDABLE):
            setattr(module, name, _fold(first, second))
            setattr(module, follower, nn.Identity())
    for child in module.children():
        _fold_children(child)


def _fold(convolution: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    return fuse_conv_bn_eval(convolution, cast("nn.BatchNorm2d", norm))


def _fold_head(head: Head) -> nn.Module:
    norms = [norm for own in head.norms for norm in _each(own)]
    is_foldable = bool(norms) and all(isinstance(norm, _FOLDABLE) for norm in norms)
    return _FoldedHead(head) if is_foldable else deepcopy(head)


def _each(modules: nn.Module) -> list[nn.Module]:
    return list(modules.children())


class _FoldedHead(nn.Module):
    """A head with convolutions of their own for each level, as each level had its own norms."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.outputs, self.last = head.outputs, deepcopy(head.last)
        self.levels = nn.ModuleList(self._fold_level(head, _each(own)) for own in head.norms)

    @staticmethod
    def _fold_level(head: Head, norms: Sequence[nn.Module]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for convolution, norm in zip(head.convs, norms, strict=True):
            layers += [_fold(cast("nn.Conv2d", convolution), norm), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Give (N, H * W * A, outputs) for each level."""
        hidden = [level(x) for level, x in zip(self.levels, levels, strict=True)]
        return [Head.flatten(self.last(x), self.outputs) for x in hidden]
