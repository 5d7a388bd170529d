"""Activations of the hidden layers: ReLU, or ReLU6, which is at most 6.

Without a limit a few channels can reach values a thousand times those of the others. Eight bits
then have one step for all values of the others, and a network is left with layers in float.

Reference:
    Krizhevsky 2010, "Convolutional Deep Belief Networks on CIFAR-10", section 2 (ReLU6); Howard et
    al. 2017, arXiv:1704.04861.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

__all__ = ["Activation", "limit_activations", "new_activation"]

Activation = Literal["relu", "relu6"]


def new_activation(name: Activation) -> nn.Module:
    """Return an activation that works in place."""
    return nn.ReLU6(inplace=True) if name == "relu6" else nn.ReLU(inplace=True)


def limit_activations(network: nn.Module) -> None:
    """Replace each ReLU of a network by ReLU6, in place."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.ReLU:
                setattr(module, name, new_activation("relu6"))
