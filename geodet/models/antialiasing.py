"""Low-pass filters before strides, so that a shift of the image changes the outputs little.

A map that is sampled at every second cell must not vary faster than that. Here a binomial filter
smooths the input of each 3 x 3 and 1 x 1 convolution with a stride, which is the same as smoothing
its output and costs a quarter, and what the pooling samples. The stem's first convolution is left
as it is: it learns its own low-pass.

Reference:
    Zhang 2019, arXiv:1904.11486, section 3.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SmoothedConv2d", "SmoothedMaxPool2d", "binomial_filter", "smooth_before_strides"]


def binomial_filter(channels: int, like: Tensor) -> Tensor:
    """Return the 3 x 3 binomial filter for each channel: (channels, 1, 3, 3), of sum 1."""
    row = torch.tensor([0.25, 0.5, 0.25], dtype=like.dtype, device=like.device)
    return torch.outer(row, row).expand(channels, 1, 3, 3)


def _smooth(x: Tensor, stride: int = 1) -> Tensor:
    channels = x.shape[1]
    return F.conv2d(x, binomial_filter(channels, x), stride=stride, padding=1, groups=channels)


class SmoothedConv2d(nn.Conv2d):
    """A convolution with a stride whose input is smoothed first; weights as in its base class."""

    def forward(self, x: Tensor) -> Tensor:
        """Smooth and convolve (N, C, H, W)."""
        return super().forward(_smooth(x))


class SmoothedMaxPool2d(nn.MaxPool2d):
    """A pooling of 3 x 3 cells at every cell, smoothed and then sampled at every second one.

    Args:
        channels: Channels of its input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(3, stride=2, padding=1)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2))."""
        return _smooth(F.max_pool2d(x, 3, stride=1, padding=1), stride=2)


def smooth_before_strides(backbone: nn.Module) -> None:
    """Smooth before each stride of a backbone but the first; its weights keep their names.

    Args:
        backbone: Changed in place; the first convolution of its stem is called ``conv``.
    """
    channels = 0
    for module in list(backbone.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, SmoothedMaxPool2d(channels))
            elif type(child) is nn.Conv2d and child.stride != (1, 1) and name != "conv":
                child.__class__ = SmoothedConv2d  # keeps weights, names and first values
            channels = child.out_channels if isinstance(child, nn.Conv2d) else channels
