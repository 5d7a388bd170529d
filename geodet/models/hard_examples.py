"""Which anchors train when only the hardest do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import nms

__all__ = ["HardExamples"]


@dataclass(frozen=True, slots=True)
class HardExamples:
    """Online hard example mining: the anchors of a chip with the highest losses.

    Of anchors that overlap, only the one with the highest loss is kept, or one mistake would fill
    the minibatch.

    Reference:
        arXiv:1708.02002, section 5.1, "Online Hard Example Mining"; Shrivastava et al. 2016,
        arXiv:1604.03540, section 4; the ratio: Liu et al. 2015, arXiv:1512.02325, section 2.2.
    """

    batch_size: int
    """Most anchors of a chip."""
    iou_threshold: float
    """Overlap above which the anchor with the lower loss goes."""
    negatives: int = 0
    """Most negatives for each positive, and this many where there is no positive; 0: as the losses
    say."""

    def __call__(self, losses: Tensor, anchors: Tensor, positive: Tensor) -> Tensor:
        """Choose the anchors that train.

        Args:
            losses: (R,) of each anchor.
            anchors: (R, 4) x1 y1 x2 y2 in pixels.
            positive: (R,) bool, which of them learn an object.

        Returns:
            (B,) int64 indices of anchors, B at most ``batch_size``.
        """
        order = torch.sort(losses, descending=True, stable=True).indices
        # What is kept depends only on what has a higher loss: most anchors are never looked at.
        looked_at = 8 * self.batch_size
        while True:
            first = order[:looked_at]
            kept = first[nms(anchors[first], losses[first], self.iou_threshold)]
            hard, is_full = self._choose(kept, positive, positive[order[looked_at:]])
            if is_full or looked_at >= len(order):
                return hard
            looked_at *= 4

    def _choose(self, kept: Tensor, positive: Tensor, rest: Tensor) -> tuple[Tensor, bool]:
        """Choose from what was kept so far; tell whether more of it would change nothing."""
        if not self.negatives:
            return kept[: self.batch_size], len(kept) >= self.batch_size
        most = max(1, self.batch_size // (1 + self.negatives))
        found = kept[positive[kept]][:most]
        wanted = self.negatives * max(1, len(found))
        others = kept[~positive[kept]][:wanted]
        is_full = len(others) == wanted and (len(found) == most or not bool(rest.any()))
        return torch.cat([found, others]), is_full
