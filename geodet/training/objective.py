"""The loss, the optimizer and the schedule that a configuration chooses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from geodet.config import ModelConfig, TrainConfig
from geodet.training.assigners import (
    Assigner,
    AtssAssigner,
    ThresholdAssigner,
    wasserstein_similarity,
)
from geodet.training.box_losses import BoxLoss, giou_loss, l1_loss, smooth_l1_loss
from geodet.training.losses import (
    ClassificationLoss,
    HardExamples,
    RetinaNetLoss,
    balanced_cross_entropy,
    cross_entropy,
    focal_loss,
    focal_star_loss,
)

__all__ = ["average_weights", "balanced_weights", "build_loss", "build_optimizer", "build_schedule"]


def build_loss(
    config: TrainConfig, model: ModelConfig, *, class_counts: Sequence[int]
) -> RetinaNetLoss:
    """Build the loss that a training run minimises.

    Args:
        config: The assigner, the losses and their constants.
        model: The number of anchors per cell.
        class_counts: Numbers of training objects of the K classes.
    """
    weights = balanced_weights(class_counts) if config.class_weights == "balanced" else ()
    return RetinaNetLoss(
        _choose_assigner(config, per_cell=len(model.anchor_scales) * len(model.anchor_ratios)),
        ClassificationLoss(_choose_comparison(config), weights, _choose_mining(config)),
        _BOX_LOSSES[config.box_loss],
    )


_BOX_LOSSES: dict[str, BoxLoss] = {
    "smooth_l1": smooth_l1_loss,
    "l1": l1_loss,
    "giou": giou_loss,
}


# Highest weight of an object relative to the most frequent class. With more, one object could
# outweigh all others of its step, whose gradient the clipping would then shrink to nothing: two
# objects among 20,000 would weigh 10,000 times as much.
_MOST = 10.0


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """Return weights inverse to the frequency of the classes: N / (K n_k), within limits.

    N is the number of objects, n_k that of class k, and K the number of classes that have any. The
    mean over the objects is 1, and each class has the same weight in total. But no object weighs
    more than ten times as much as one of the most frequent class, so a class rarer than a tenth of
    that class weighs less than the others. A class without objects has the unused weight 1.

    Args:
        counts: n_k of each class.

    Example:
        >>> balanced_weights([30, 10, 0])
        (0.6666666666666666, 2.0, 1.0)
    """
    raw = [1 / max(count, max(counts) / _MOST) if count else 0.0 for count in counts]
    total = sum(count * weight for count, weight in zip(counts, raw, strict=True))
    return tuple(weight * sum(counts) / total if weight else 1.0 for weight in raw)


def _choose_assigner(config: TrainConfig, *, per_cell: int) -> Assigner:
    if config.assigner == "atss":
        return AtssAssigner(config.atss_candidates * per_cell)
    thresholds = config.positive_iou, config.negative_iou
    if config.assigner == "iou":
        return ThresholdAssigner(*thresholds, config.low_quality_matches)
    similarity = partial(wasserstein_similarity, constant=config.nwd_constant)
    return ThresholdAssigner(*thresholds, config.low_quality_matches, similarity)


def _choose_comparison(config: TrainConfig) -> Callable[[Tensor, Tensor], Tensor]:
    if config.classification_loss == "focal":
        return partial(focal_loss, alpha=config.focal_alpha, gamma=config.focal_gamma)
    if config.classification_loss == "focal_star":
        return partial(focal_star_loss, gamma=config.focal_star_gamma, beta=config.focal_star_beta)
    if config.classification_loss == "balanced_cross_entropy":
        return partial(balanced_cross_entropy, alpha=config.balanced_alpha)
    return cross_entropy


def _choose_mining(config: TrainConfig) -> HardExamples | None:
    if config.classification_loss != "ohem":
        return None
    return HardExamples(config.ohem_batch_size, config.ohem_iou_threshold, config.ohem_negatives)


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
