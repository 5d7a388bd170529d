"""Networks for detection alone: the same outputs with less work and less memory.

In evaluation mode a batch norm is a fixed scale and shift of each channel, which can be folded into
the weights of the convolution before it. The first pooling reads the largest tensor, in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops import FrozenBatchNorm2d

from geodet.models.backbone import Backbone
from geodet.models.retinanet import Head, RetinaNet

__all__ = ["PoolInParts", "cast_convolutions", "fold_norms"]

_FOLDABLE = (nn.BatchNorm2d, FrozenBatchNorm2d)


def cast_convolutions(network: nn.Module, dtype: torch.dtype) -> None:
    """Convert the weights of convolutions, in place, as autocast does in each forward pass.

    The outputs under autocast are the same to the bit. A forward pass has up to two operations less
    for each convolution, which counts where a GPU computes faster than Python asks for them.

    Args:
        network: For detection.
        dtype: The type that autocast uses.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(dtype)


def fold_norms(network: nn.Module) -> nn.Module:
    """Copy a network and fold its batch norms into its convolutions.

    Other norms stay, since they depend on the chip.

    Args:
        network: In evaluation mode; it is not changed. Another kind of module, such as an ONNX
            graph, is returned as it is.

    Returns:
        A network for detection, whose outputs differ by rounding alone.
    """
    if not isinstance(network, RetinaNet):
        return network
    folded = deepcopy(network)
    if isinstance(folded.backbone, Backbone):  # the norms of timm may contain an activation
        _fold_children(folded.backbone)
        _pool_in_parts(folded.backbone)
    for name, head in network.named_children():
        if isinstance(head, Head):
            setattr(folded, name, _fold_head(head))
    return folded.eval()


def _pool_in_parts(backbone: Backbone) -> None:
    pool = getattr(backbone.stem, "pool", None)
    if type(pool) is nn.MaxPool2d:
        backbone.stem.pool = PoolInParts(pool)


def _fold_children(module: nn.Module) -> None:
    """Fold each norm that follows a convolution; torchvision names the layers in that order."""
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


class PoolInParts(nn.Module):
    """The pooling of a ResNet's stem, some rows at a time.

    For each output value torch stores an index of 8 bytes, four times the size of a bfloat16 value.
    Pooled at once, the indices of the largest tensor would take more memory than the tensor.

    Args:
        pool: 3 x 3 with stride 2 and padding 1, as in all ResNets of torchvision.
    """

    ROWS = 64
    """Rows of the output that are computed at a time."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        assert (pool.kernel_size, pool.stride, pool.padding) == (3, 2, 1), pool
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2))."""
        images, channels, height, width = x.shape
        rows = -(-height // 2)
        if rows <= self.ROWS:
            return cast("Tensor", self.pool(x))
        form = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else None
        pooled = torch.empty(
            (images, channels, rows, -(-width // 2)),
            dtype=x.dtype,
            device=x.device,
            memory_format=form or torch.contiguous_format,
        )
        for top in range(0, rows, self.ROWS):
            above = min(top, 1)  # one more row, to drop the first, which padding has changed
            end = min(top + self.ROWS, rows)
            part = self.pool(x[:, :, 2 * (top - above) : 2 * end])
            pooled[:, :, top:end] = part[:, :, above:]
        return pooled


class _FoldedHead(nn.Module):
    """A head with separate convolutions for each level, since each level had its own norms."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.outputs, self.last = head.outputs, deepcopy(head.last)
        self.levels = nn.ModuleList(self._fold_level(head, _each(own)) for own in head.norms)

    @staticmethod
    def _fold_level(head: Head, norms: Sequence[nn.Module]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for convolution, norm in zip(head.convs, norms, strict=True):
            layers += [_fold(cast("nn.Conv2d", convolution), norm), deepcopy(head.activation)]
        return nn.Sequential(*layers)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Compute (N, H * W * A, outputs) for each level."""
        pairs = zip(self.levels, levels, strict=True)
        return [Head.flatten(self.last(level(x)), self.outputs) for level, x in pairs]
