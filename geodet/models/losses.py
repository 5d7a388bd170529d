"""The two losses of RetinaNet over a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from geodet.models.assigners import Assigner
from geodet.models.box_losses import BoxLoss
from geodet.models.classification_losses import ClassificationLoss
from geodet.models.matches import BACKGROUND
from geodet.models.retinanet import Outputs

__all__ = ["Losses", "RetinaNetLoss", "Target"]


class Target(NamedTuple):
    """The labels of one chip."""

    boxes: Tensor
    """(M, 4) float32, x1 y1 x2 y2 in chip pixels, with positive sides."""
    labels: Tensor
    """(M,) int64 index of the class."""
    ignored: Tensor
    """(G, 4) regions that neither train as object nor as background."""


class Losses(NamedTuple):
    """The losses of a batch, each a scalar divided by the number of anchors that count."""

    classification: Tensor
    box: Tensor


@dataclass(frozen=True, slots=True)
class RetinaNetLoss:
    """Match anchors with labels and compare what the network says of them.

    Sums are divided by the positive anchors of the whole batch, of all processes, at least one:
    chips of aerial imagery hold none or hundreds, and a mean per chip would weigh a lone object
    like a forest. A classification loss may ask for another divisor.

    Reference:
        arXiv:1708.02002, section 4.
    """

    assigner: Assigner
    classification: ClassificationLoss
    box: BoxLoss

    def __call__(self, outputs: Outputs, targets: Sequence[Target]) -> Losses:
        """Compute the losses of N chips with N targets."""
        anchors = outputs.anchors
        levels = torch.split(anchors, list(outputs.level_sizes or (len(anchors),)))
        matches = [self.assigner(levels, target.boxes, target.ignored) for target in targets]
        classification, counts = zip(
            *(
                self.classification(logits.float(), match, target.labels, anchors)
                for logits, match, target in zip(outputs.logits, matches, targets, strict=True)
            ),
            strict=True,
        )
        boxes = [
            self._box_loss(deltas.float(), anchors, match, target)
            for deltas, match, target in zip(outputs.deltas, matches, targets, strict=True)
        ]
        positives = torch.stack([(match > BACKGROUND).sum() for match in matches]).sum()
        divisors = _mean_over_processes(torch.stack([torch.stack(counts).sum(), positives]))
        return Losses(
            torch.stack(classification).sum() / divisors[0], torch.stack(boxes).sum() / divisors[1]
        )

    def _box_loss(self, deltas: Tensor, anchors: Tensor, match: Tensor, target: Target) -> Tensor:
        positive = match > BACKGROUND
        return self.box(deltas[positive], anchors[positive], target.boxes[match[positive]])


def _mean_over_processes(counts: Tensor) -> Tensor:
    """Average counts over the processes of a run, at least 1.

    Each process divides by it and DDP averages their gradients, so together they divide the sum of
    all by the positives of all.
    """
    mean = counts.float()
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(mean)
        mean = mean / dist.get_world_size()
    return mean.clamp(min=1)
