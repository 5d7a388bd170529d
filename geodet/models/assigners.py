"""Which anchor learns which object, by how alike the two are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from geodet.models.matches import IGNORED, begin_matches, in_chunks
from geodet.models.similarities import overlap_similarity

__all__ = ["Assigner", "ThresholdAssigner"]


class Assigner(Protocol):
    """Chooses what each anchor learns."""

    def __call__(self, levels: Sequence[Tensor], boxes: Tensor, ignored: Tensor) -> Tensor:
        """Match anchors with objects.

        Args:
            levels: (R_l, 4) anchors of each level, x1 y1 x2 y2 in pixels; R of all levels.
            boxes: (M, 4) objects, M may be 0.
            ignored: (G, 4) regions that neither train as object nor as background.

        Returns:
            (R,) int64: the object's index, ``BACKGROUND`` or ``IGNORED``.
        """
        ...


@dataclass(frozen=True, slots=True)
class ThresholdAssigner:
    """Assign by a similarity, with a band between the thresholds that is ignored.

    The anchors that are most similar to an object are positive however little that is ("low-quality
    matches"), or a small object between two anchors would never be learnt. An anchor learns the
    object that it is most similar to, so a second object that wants the same anchor does not get
    it.

    Reference:
        arXiv:1708.02002, section 4, "Anchors"; the low-quality matches: Ren et al. 2015,
        arXiv:1506.01497, section 3.1.2.
    """

    positive: float
    """An anchor that is at least this similar to an object is positive."""
    negative: float
    """An anchor that is less similar to every object is background."""
    low_quality: bool = True
    """Let the most similar anchors of each object be positive below the thresholds, too."""
    similarity: Callable[[Tensor, Tensor], Tensor] = overlap_similarity
    """Gives (M, R) in 0 to 1 for (M, 4) objects and (R, 4) anchors."""

    def __call__(self, levels: Sequence[Tensor], boxes: Tensor, ignored: Tensor) -> Tensor:
        """Match anchors with objects, see :class:`Assigner`."""
        anchors = torch.cat(list(levels))
        matches = begin_matches(anchors, ignored)
        if not len(boxes) or not len(anchors):
            return matches
        best, index, wanted = self._compare(anchors, boxes)
        matches[best >= self.negative] = IGNORED
        chosen = best >= self.positive
        if self.low_quality:
            chosen |= wanted
        matches[chosen] = index[chosen]
        return matches

    def _compare(self, anchors: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compare all pairs.

        Returns:
            (R,) similarity of each anchor with the most similar object; (R,) that object, the first
            of equals; (R,) bool, whether no other anchor is more similar to some object.
        """
        best = anchors.new_full((len(anchors),), -1)
        index = torch.zeros_like(best, dtype=torch.int64)
        wanted = torch.zeros_like(best, dtype=torch.bool)
        offset = 0
        for part in in_chunks(boxes, len(anchors)):
            similarity = self.similarity(part, anchors)  # (m, R)
            most, of = similarity.max(dim=0)
            torch.where(most > best, of + offset, index, out=index)
            torch.maximum(most, best, out=best)
            top = similarity.max(dim=1, keepdim=True).values  # (m, 1)
            wanted |= ((similarity == top) & (top > 0)).any(dim=0)
            offset += len(part)
        return best, index, wanted
