"""How wrong the scores of the anchors are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from geodet.models.hard_examples import HardExamples
from geodet.models.matches import BACKGROUND, IGNORED

__all__ = [
    "ClassificationLoss",
    "balanced_cross_entropy",
    "cross_entropy",
    "focal_loss",
    "focal_star_loss",
]


@dataclass(frozen=True, slots=True)
class ClassificationLoss:
    """Sum a loss over the anchors of a chip that are not ignored, or over the hardest of them."""

    compare: Callable[[Tensor, Tensor], Tensor]
    """Gives the (R, K) losses of (R, K) logits against targets of 0 and 1."""
    class_weights: tuple[float, ...] = ()
    """K factors on the losses of the positives of each class; empty: none."""
    mine: HardExamples | None = None
    """Chooses the anchors that count; None: all of them."""

    def __call__(
        self, logits: Tensor, matches: Tensor, labels: Tensor, anchors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compare the scores of a chip with its labels.

        Args:
            logits: (R, K) raw class scores.
            matches: (R,) object of each anchor, ``BACKGROUND`` or ``IGNORED``.
            labels: (M,) class of each object.
            anchors: (R, 4) x1 y1 x2 y2 in pixels.

        Returns:
            The sum, and what to divide the sums of a batch by, both scalars: the positives, of
            which there are few and none is easy at first; the anchors that were mined.
        """
        counted = matches != IGNORED
        positive = matches > BACKGROUND
        targets = torch.zeros_like(logits)
        targets[positive, labels[matches[positive]]] = 1.0
        losses = self._weigh(self.compare(logits[counted], targets[counted]), targets[counted])
        if self.mine is None:
            return losses.sum(), positive.sum()
        hard = self.mine(losses.detach().sum(dim=1), anchors[counted], positive[counted])
        return losses[hard].sum(), positive.new_tensor(len(hard), dtype=torch.int64)

    def _weigh(self, losses: Tensor, targets: Tensor) -> Tensor:
        if not self.class_weights:
            return losses
        return torch.where(targets > 0, losses * losses.new_tensor(self.class_weights), losses)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Give -log(p_t), p_t the probability of what is true, for each of the (R, K) scores."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def balanced_cross_entropy(logits: Tensor, targets: Tensor, *, alpha: float) -> Tensor:
    """Weigh the cross entropy of positives by alpha and that of negatives by 1 - alpha.

    Reference:
        arXiv:1708.02002, equation 3.
    """
    weights = alpha * targets + (1 - alpha) * (1 - targets)
    return weights * cross_entropy(logits, targets)


def focal_loss(logits: Tensor, targets: Tensor, *, alpha: float, gamma: float) -> Tensor:
    """Weigh balanced cross entropy by (1 - p_t)^gamma, so that easy examples count little.

    Reference:
        arXiv:1708.02002, equation 5 and section 4, "Focal Loss".
    """
    losses: Tensor = sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma)
    return losses


def focal_star_loss(logits: Tensor, targets: Tensor, *, gamma: float, beta: float) -> Tensor:
    """Give -log(sigmoid(gamma x_t + beta)) / gamma, x_t the logit, or minus it for negatives.

    Reference:
        arXiv:1708.02002, appendix A, equations 8 and 9.
    """
    signed = (2 * targets - 1) * logits
    return -F.logsigmoid(gamma * signed + beta) / gamma
