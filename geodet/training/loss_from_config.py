"""The loss that a configuration describes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from geodet.config import ModelConfig, TrainConfig
from geodet.training.assigners import (
    Assigner,
    AtssAssigner,
    ThresholdAssigner,
    wasserstein_similarity,
)
from geodet.training.losses import (
    BoxLoss,
    ClassificationLoss,
    HardExamples,
    RetinaNetLoss,
    balanced_cross_entropy,
    cross_entropy,
    focal_loss,
    focal_star_loss,
    giou_loss,
    l1_loss,
    smooth_l1_loss,
)

__all__ = ["balanced_weights", "build_loss"]


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
