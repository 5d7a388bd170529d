"""Depthwise convolutions in float32 while a network trains on a CPU in bfloat16.

oneDNN has no fast backward pass of a depthwise convolution in bfloat16 with a stride or a kernel
of 5 x 5: it takes 4 to 14 times as long as in float32. In a training step of EfficientNet-Lite0
that was two thirds of the time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DepthwiseConv2d", "train_depthwise_in_float32"]


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution whose gradients on a CPU are computed in float32.

    Its weights are those of its base class.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W)."""
        if not (torch.is_grad_enabled() and torch.is_autocast_enabled("cpu")):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            convolved = super().forward(x.float())
        return convolved.to(torch.get_autocast_dtype("cpu"))


def train_depthwise_in_float32(network: nn.Module) -> None:
    """Compute the depthwise convolutions of a network in float32 where it trains on a CPU.

    Detection and training without autocast stay as they are.

    Args:
        network: Changed in place; its weights keep their names.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and 1 < module.groups == module.in_channels:
            module.__class__ = DepthwiseConv2d
