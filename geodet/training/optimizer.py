"""The optimizer, its learning rate, and the averaged weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from geodet.config import TrainConfig

__all__ = ["average_weights", "build_optimizer", "build_schedule"]


def build_optimizer(network: nn.Module, config: TrainConfig) -> Optimizer:
    """Build the optimizer. Weights decay; biases and norms, which are vectors, do not."""
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9)
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def build_schedule(optimizer: Optimizer, config: TrainConfig, steps: int) -> LambdaLR:
    """Build the learning rate's schedule: a linear rise, then a cosine to zero or two steps down.

    Args:
        optimizer: Its learning rate is the highest of the schedule.
        config: Share of the steps in which the rate rises, and how it falls.
        steps: Steps of the whole run.

    Reference:
        The cosine: Loshchilov & Hutter 2016, arXiv:1608.03983; the steps, 60,000 and 80,000 of
        90,000: arXiv:1708.02002, section 4.1, "Optimization"; the warm-up: Goyal et al. 2017,
        arXiv:1706.02677, section 2.2.
    """
    rising = max(1, round(steps * config.warmup))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        if config.schedule == "step":
            return 0.1 ** ((3 * step >= 2 * steps) + (9 * step >= 8 * steps))
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    return LambdaLR(optimizer, factor)


def average_weights(network: nn.Module, decay: float) -> AveragedModel:
    """Build an exponential moving average of the weights and of the norms' statistics.

    The average of few steps decays faster, or the random first weights would stay in it for long.

    Args:
        network: What is averaged.
        decay: Share of the average that each step keeps, after the first steps.
    """

    @torch.no_grad()
    def average(means: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(means, values, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - now)
            else:
                mean.copy_(value)

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)
