"""Which anchor learns which object."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou

__all__ = ["BACKGROUND", "IGNORED", "IouMatcher"]

BACKGROUND = -1
IGNORED = -2


@dataclass(frozen=True, slots=True)
class IouMatcher:
    """Assign by intersection over union, with a band between the thresholds that is ignored.

    The anchors that overlap an object best are positive however little that is ("low-quality
    matches"), or a small object between two anchors would never be learnt. An anchor learns the
    object that it overlaps most, so a second object that wants the same anchor does not get it.

    Reference:
        arXiv:1708.02002, section 4, "Anchors"; the low-quality matches: Ren et al. 2015,
        arXiv:1506.01497, section 3.1.2.
    """

    positive_iou: float
    """An anchor that overlaps an object at least this much is positive."""
    negative_iou: float
    """An anchor below this overlap with every object is background."""

    def __call__(self, anchors: Tensor, boxes: Tensor, ignored: Tensor) -> Tensor:
        """Match anchors with objects.

        Args:
            anchors: (R, 4) x1 y1 x2 y2 in pixels.
            boxes: (M, 4) objects, M may be 0.
            ignored: (G, 4) regions that neither train as object nor as background.

        Returns:
            (R,) int64: the object's index, ``BACKGROUND`` or ``IGNORED``.
        """
        matches = anchors.new_full((len(anchors),), BACKGROUND, dtype=torch.int64)
        if len(ignored):
            matches[_covered(anchors, ignored)] = IGNORED
        if not len(boxes):
            return matches
        iou = box_iou(boxes, anchors)  # (M, R)
        best, index = iou.max(dim=0)
        matches[best >= self.negative_iou] = IGNORED
        chosen = best >= self.positive_iou
        matches[chosen] = index[chosen]
        top = iou.max(dim=1, keepdim=True).values  # (M, 1)
        wanted = ((iou == top) & (top > 0)).any(dim=0)  # the best anchors of some object
        matches[wanted] = index[wanted]
        return matches


def _covered(anchors: Tensor, ignored: Tensor) -> Tensor:
    """Tell which anchors have their centre in one of the regions: (R,) bool."""
    centre = (anchors[:, None, :2] + anchors[:, None, 2:]) / 2  # (R, 1, 2)
    inside = (centre >= ignored[:, :2]) & (centre <= ignored[:, 2:])  # (R, G, 2)
    return inside.all(dim=-1).any(dim=-1)
