"""The two losses of RetinaNet, and their sum over a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from geodet.models.boxcoder import encode_boxes
from geodet.models.matcher import BACKGROUND, IGNORED, IouMatcher
from geodet.models.retinanet import Outputs

__all__ = ["Losses", "RetinaNetLoss", "Target", "box_loss", "classification_loss"]


class Target(NamedTuple):
    """The labels of one chip."""

    boxes: Tensor
    """(M, 4) float32, x1 y1 x2 y2 in chip pixels, with positive sides."""
    labels: Tensor
    """(M,) int64 index of the class."""
    ignored: Tensor
    """(G, 4) regions that neither train as object nor as background."""


class Losses(NamedTuple):
    """The losses of a batch, each a scalar divided by the number of positive anchors."""

    classification: Tensor
    box: Tensor


@dataclass(frozen=True, slots=True)
class RetinaNetLoss:
    """Match anchors with labels and compare what the network says of them.

    Sums are divided by the positive anchors of the whole batch, of all processes, at least one:
    chips of aerial imagery hold none or hundreds, and a mean per chip would weigh a lone object
    like a forest.

    Reference:
        arXiv:1708.02002, section 4.
    """

    matcher: IouMatcher
    alpha: float
    gamma: float

    def __call__(self, outputs: Outputs, targets: Sequence[Target]) -> Losses:
        """Compute the losses of N chips with N targets."""
        matches = [self.matcher(outputs.anchors, t.boxes, t.ignored) for t in targets]
        classification = [
            classification_loss(
                logits.float(), match, target.labels, alpha=self.alpha, gamma=self.gamma
            )
            for logits, match, target in zip(outputs.logits, matches, targets, strict=True)
        ]
        boxes = [
            self._box_loss(deltas.float(), outputs.anchors, match, target)
            for deltas, match, target in zip(outputs.deltas, matches, targets, strict=True)
        ]
        count = _mean_over_processes(torch.stack([(m > BACKGROUND).sum() for m in matches]).sum())
        return Losses(torch.stack(classification).sum() / count, torch.stack(boxes).sum() / count)

    @staticmethod
    def _box_loss(deltas: Tensor, anchors: Tensor, match: Tensor, target: Target) -> Tensor:
        positive = match > BACKGROUND
        wanted = encode_boxes(target.boxes[match[positive]], anchors[positive])
        return box_loss(deltas[positive], wanted)


def _mean_over_processes(count: Tensor) -> Tensor:
    """Average a count over the processes of a run, at least 1.

    Each process divides by it and DDP averages their gradients, so together they divide the sum of
    all by the positives of all.
    """
    mean = count.float()
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(mean)
        mean = mean / dist.get_world_size()
    return mean.clamp(min=1)


def classification_loss(
    logits: Tensor, matches: Tensor, labels: Tensor, *, alpha: float, gamma: float
) -> Tensor:
    """Sum the focal loss over all anchors that are not ignored.

    Args:
        logits: (R, K) raw class scores.
        matches: (R,) object of each anchor, ``BACKGROUND`` or ``IGNORED``.
        labels: (M,) class of each object.
        alpha: Weight of the positives, 1 - alpha that of the negatives.
        gamma: How much easy examples are weighed down; 0 gives balanced cross entropy.

    Returns:
        A scalar; divide it by the number of positives, not of anchors.

    Reference:
        arXiv:1708.02002, equation 5 and section 4, "Focal Loss".
    """
    counted = matches != IGNORED
    positive = matches > BACKGROUND
    targets = torch.zeros_like(logits)
    targets[positive, labels[matches[positive]]] = 1.0
    loss: Tensor = sigmoid_focal_loss(
        logits[counted], targets[counted], alpha=alpha, gamma=gamma, reduction="sum"
    )
    return loss


def box_loss(deltas: Tensor, targets: Tensor) -> Tensor:
    """Sum the smooth L1 loss over the corrections of the positive anchors.

    Args:
        deltas: (P, 4) predicted corrections.
        targets: (P, 4) corrections that would be right.

    Reference:
        Girshick 2015, arXiv:1504.08083, equation 3; the corner at 1/9 is Detectron's for RetinaNet.
    """
    return F.smooth_l1_loss(deltas, targets, beta=1 / 9, reduction="sum")
