"""The losses of RetinaNet: classification of all anchors, boxes of the positive ones.

Shapes: R anchors of a chip, P positive ones among them, K classes, M objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms, sigmoid_focal_loss

from geodet.models.engine import Outputs
from geodet.training.assigners import BACKGROUND, IGNORED, Assigner
from geodet.training.box_losses import BoxLoss
from geodet.training.distributed import mean_over_processes
from geodet.training.packed_boxes import PackedBoxes

__all__ = [
    "ClassificationLoss",
    "HardExamples",
    "LossSums",
    "Losses",
    "RetinaNetLoss",
    "Target",
    "balanced_cross_entropy",
    "cross_entropy",
    "focal_loss",
    "focal_star_loss",
]


@dataclass(frozen=True, slots=True)
class HardExamples:
    """Online hard example mining (OHEM): train on the anchors of a chip with the highest losses.

    Of overlapping anchors only the one with the highest loss is kept, or one mistake would fill the
    minibatch.

    Reference:
        arXiv:1708.02002, section 5.1, "Online Hard Example Mining"; Shrivastava et al. 2016,
        arXiv:1604.03540, section 4; the ratio: Liu et al. 2015, arXiv:1512.02325, section 2.2.
    """

    batch_size: int
    """Maximum number of anchors of a chip."""
    iou_threshold: float
    """IoU above which the anchor with the lower loss is dropped."""
    negatives: int = 0
    """Maximum number of negatives per positive, and of a chip without positives; 0: no limit."""

    def __call__(self, losses: Tensor, anchors: Tensor, positive: Tensor) -> Tensor:
        """Choose the anchors that train.

        Args:
            losses: (R,) loss of each anchor.
            anchors: (R, 4) x1 y1 x2 y2 in pixels.
            positive: (R,) bool, whether each learns an object.

        Returns:
            (B,) int64 indices of anchors, B at most ``batch_size``.
        """
        order = torch.sort(losses, descending=True, stable=True).indices
        # Whether an anchor is kept depends only on those with higher losses, so most anchors need
        # not be looked at.
        looked_at = 8 * self.batch_size
        while True:
            first = order[:looked_at]
            kept = first[nms(anchors[first], losses[first], self.iou_threshold)]
            hard, is_full = self._choose(kept, positive, positive[order[looked_at:]])
            if is_full or looked_at >= len(order):
                return hard
            looked_at *= 4

    def _choose(self, kept: Tensor, positive: Tensor, rest: Tensor) -> tuple[Tensor, bool]:
        """Choose from the anchors kept so far, and return whether more would change nothing."""
        if not self.negatives:
            return kept[: self.batch_size], len(kept) >= self.batch_size
        most = max(1, self.batch_size // (1 + self.negatives))
        found = kept[positive[kept]][:most]
        wanted = self.negatives * max(1, len(found))
        others = kept[~positive[kept]][:wanted]
        is_full = len(others) == wanted and (len(found) == most or not bool(rest.any()))
        return torch.cat([found, others]), is_full


@dataclass(frozen=True, slots=True)
class ClassificationLoss:
    """A loss summed over the anchors of chips that are not ignored, or over the hardest ones."""

    compare: Callable[[Tensor, Tensor], Tensor]
    """Computes the (R, K) losses of (R, K) logits and targets of 0 and 1."""
    class_weights: tuple[float, ...] = ()
    """K factors on the losses of the positives of each class; empty: 1."""
    mine: HardExamples | None = None
    """Chooses the anchors that train; None: all."""

    def __call__(
        self, logits: Tensor, matches: Tensor, labels: Tensor, anchors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compare the scores of chips with their labels.

        Args:
            logits: (N, R, K) raw class scores.
            matches: (N, R) object of each anchor, ``BACKGROUND`` or ``IGNORED``.
            labels: (N, R) class of each positive anchor's object; any class for the others.
            anchors: (R, 4) x1 y1 x2 y2 in pixels.

        Returns:
            The sum and its divisor, both scalars. The divisor is the number of positive anchors or,
            with mining, of mined anchors.
        """
        positive = matches > BACKGROUND
        hits = positive[..., None].to(logits.dtype)
        targets = torch.zeros_like(logits).scatter_(2, labels[..., None], hits)
        if self.mine is None:
            losses = self._weigh(self.compare(logits, targets), targets)
            return (losses * (matches != IGNORED)[..., None]).sum(), positive.sum()
        mined = [
            self._mined(self.mine, *of, anchors)
            for of in zip(logits, targets, matches, strict=True)
        ]
        count = sum(len(losses) for losses in mined)
        return torch.cat(mined).sum(), positive.new_tensor(count, dtype=torch.int64)

    def _mined(
        self, mine: HardExamples, logits: Tensor, targets: Tensor, matches: Tensor, anchors: Tensor
    ) -> Tensor:
        """Return the losses of the anchors of a chip that are mined: (B, K)."""
        counted = matches != IGNORED
        losses = self._weigh(self.compare(logits[counted], targets[counted]), targets[counted])
        positive = matches[counted] > BACKGROUND
        return losses[mine(losses.detach().sum(dim=1), anchors[counted], positive)]

    def _weigh(self, losses: Tensor, targets: Tensor) -> Tensor:
        if not self.class_weights:
            return losses
        return torch.where(targets > 0, losses * losses.new_tensor(self.class_weights), losses)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute -log(p_t) for each of the scores, with p_t the probability of the truth.

    Args:
        logits: (R, K) of the anchors and classes.
        targets: (R, K), 1 where the anchor learns an object of the class, otherwise 0.

    Returns:
        (R, K) losses.
    """
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def balanced_cross_entropy(logits: Tensor, targets: Tensor, *, alpha: float) -> Tensor:
    """Weight the (R, K) cross entropy of positives by alpha, of negatives by 1 - alpha.

    Reference:
        arXiv:1708.02002, equation 3.
    """
    weights = alpha * targets + (1 - alpha) * (1 - targets)
    return weights * cross_entropy(logits, targets)


def focal_loss(logits: Tensor, targets: Tensor, *, alpha: float, gamma: float) -> Tensor:
    """Weight the balanced cross entropy (R, K) by (1 - p_t)^gamma: easy examples count little.

    Reference:
        arXiv:1708.02002, equation 5 and section 4, "Focal Loss".
    """
    losses: Tensor = sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma)
    return losses


def focal_star_loss(logits: Tensor, targets: Tensor, *, gamma: float, beta: float) -> Tensor:
    """Compute -log(sigmoid(gamma x_t + beta)) / gamma, with x_t the logit, negated for negatives.

    The shapes are those of :func:`cross_entropy`.

    Reference:
        arXiv:1708.02002, appendix A, equations 8 and 9.
    """
    signed = (2 * targets - 1) * logits
    return -F.logsigmoid(gamma * signed + beta) / gamma


class Target(NamedTuple):
    """The labels of one chip."""

    boxes: Tensor
    """(M, 4) float32, x1 y1 x2 y2 in chip pixels, with positive sides."""
    labels: Tensor
    """(M,) int64 class indices."""
    ignored: Tensor
    """(G, 4) regions that train neither as objects nor as background."""
    oriented: Tensor | None = None
    """(M, 5) float32 oriented boxes, whose bounds ``boxes`` are; None: boxes are learnt."""

    def to(self, device: torch.device) -> Target:
        """Copy the labels to a device."""
        boxes, labels, ignored = (part.to(device) for part in self[:3])
        turned = None if self.oriented is None else self.oriented.to(device)
        return Target(boxes, labels, ignored, turned)


class Losses(NamedTuple):
    """The losses of a batch, both scalars."""

    classification: Tensor
    """Classification loss per positive or mined anchor."""
    box: Tensor
    """Box loss per positive anchor."""


class LossSums(NamedTuple):
    """The losses of chips before they are divided, all scalars."""

    classification: Tensor
    """Sum over the anchors that are not ignored, or that are mined."""
    box: Tensor
    """Sum over the positive anchors."""
    counted: Tensor
    """Divisor of the first: positive anchors, or mined ones."""
    positives: Tensor
    """Divisor of the second: positive anchors."""


@dataclass(frozen=True, slots=True)
class RetinaNetLoss:
    """Match anchors with labels, and compare the network's outputs with them.

    Sums are divided by the positive anchors of the whole batch, over all processes, at least 1. A
    mean per chip would give a single object as much weight as a forest: chips of aerial imagery
    hold none or hundreds. With mining, the classification loss is divided by the mined anchors.

    Reference:
        arXiv:1708.02002, section 4.
    """

    assigner: Assigner
    """Chooses what each anchor learns."""
    classification: ClassificationLoss
    """Loss of the scores."""
    box: BoxLoss
    """Loss of the boxes."""

    def __call__(self, outputs: Outputs, targets: Sequence[Target]) -> Losses:
        """Compute the losses of N chips with N targets."""
        sums = self.sums(outputs, targets)
        # DDP averages the gradients of the processes. With the mean of their counts as divisor, the
        # sum over all processes is divided by the positives of all.
        counts = torch.stack([sums.counted, sums.positives]).float()
        divisors = mean_over_processes(counts).clamp(min=1)
        return Losses(sums.classification / divisors[0], sums.box / divisors[1])

    def sums(self, outputs: Outputs, targets: Sequence[Target]) -> LossSums:
        """Sum the losses of N chips with N targets, in this process alone."""
        anchors = outputs.anchors
        levels = torch.split(anchors, list(outputs.level_sizes or (len(anchors),)))
        boxes = PackedBoxes([target.boxes for target in targets])
        matches = self.assigner(levels, boxes, PackedBoxes([one.ignored for one in targets]))
        objects = matches.clamp(min=0) + boxes.starts[:, None]  # (N, R) among those of all chips
        labels = torch.cat([*(target.labels for target in targets), matches.new_zeros(1)])
        classification, count = self.classification(
            outputs.logits.float(), matches, labels[objects.clamp(max=len(labels) - 1)], anchors
        )
        chip, anchor = torch.nonzero(matches > BACKGROUND, as_tuple=True)  # (P,)
        learnt = _learnt(targets, boxes)[objects[chip, anchor]]
        box = self.box(outputs.deltas[chip, anchor].float(), anchors[anchor], learnt)
        return LossSums(classification, box, count, torch.full_like(count, len(chip)))


def _learnt(targets: Sequence[Target], boxes: PackedBoxes) -> Tensor:
    """Return what the boxes of all chips are learnt from: (M, 4) boxes or (M, 5) oriented ones."""
    oriented = [target.oriented for target in targets if target.oriented is not None]
    return torch.cat(oriented) if oriented else boxes.boxes
