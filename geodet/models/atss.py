"""Assignment whose threshold every object sets for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from geodet.models.matches import begin_matches, in_chunks
from geodet.models.similarities import paired_iou

__all__ = ["AtssAssigner"]

_SLACK = 1e-6  # the rounded mean of equal overlaps may lie above each of them


@dataclass(frozen=True, slots=True)
class AtssAssigner:
    """Adaptive training sample selection.

    Candidates of an object are the anchors of each level with the closest centres. Those that
    overlap it at least by the mean plus the standard deviation of all candidates are positive, if
    their centre lies within the object; all other anchors are background. An anchor that two
    objects want learns the one that it overlaps most.

    An object without a centre of an anchor inside, so one smaller than the finest stride, may get
    no anchor at all: this rule has no low-quality matches.

    Reference:
        Zhang et al. 2019, arXiv:1912.02424, section 3.2 and algorithm 1.
    """

    candidates: int
    """Anchors a level: 9 in the paper, where a cell has one anchor. Of anchors that are equally
    far the first counts, so with several a cell take a multiple of their number."""

    def __call__(self, levels: Sequence[Tensor], boxes: Tensor, ignored: Tensor) -> Tensor:
        """Match anchors with objects, see :class:`geodet.models.assigners.Assigner`."""
        anchors = torch.cat(list(levels))
        matches = begin_matches(anchors, ignored)
        if not len(boxes) or not len(anchors):
            return matches
        candidates = self._find_candidates(levels, boxes)  # (M, T)
        iou = paired_iou(boxes[:, None], anchors[candidates])  # (M, T)
        spread = iou.std(dim=1, correction=min(1, iou.shape[1] - 1))
        threshold = (iou.mean(dim=1) + spread)[:, None]
        positive = (iou >= threshold - _SLACK) & _has_centre(boxes[:, None], anchors[candidates])
        of = torch.nonzero(positive)[:, 0]  # (P,) objects
        anchor, index = _resolve(candidates[positive], of, iou[positive], len(anchors))
        matches[anchor] = index
        return matches

    def _find_candidates(self, levels: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Give the closest anchors of all levels as indices: (M, T)."""
        counts = [min(self.candidates, len(level)) for level in levels]
        # Filled in place: small results that stay would split the memory between large ones.
        found = torch.empty((len(boxes), sum(counts)), dtype=torch.int64, device=boxes.device)
        offset = 0
        for level, own in zip(levels, torch.split(found, counts, dim=1), strict=True):
            start = 0
            for part in in_chunks(boxes, len(level)):
                own[start : start + len(part)] = _closest(part, level, own.shape[1]) + offset
                start += len(part)
            offset += len(level)
        return found


def _closest(boxes: Tensor, anchors: Tensor, count: int) -> Tensor:
    """Give the anchors with the closest centres, the first of equals: (M, count)."""
    x, y = _centres(anchors).T.contiguous()
    of = _centres(boxes)
    distance = ((of[:, :1] - x).square_() + (of[:, 1:] - y).square_()).float()  # (M, R)
    # Floats that are not negative sort like their bits; below them the index decides, or the choice
    # among equals would be up to the device.
    bits = distance.view(torch.int32).long()
    keys = (bits << 32) | torch.arange(len(anchors), device=anchors.device)
    closest: Tensor = keys.topk(count, dim=1, largest=False).values & 0xFFFFFFFF
    return closest


def _resolve(anchor: Tensor, of: Tensor, iou: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Give each wanted anchor to the object that it overlaps most, the first of equals.

    Args:
        anchor: (P,) anchors that are wanted, repeated where by several objects.
        of: (P,) objects that want them.
        iou: (P,) overlaps of the two.
        count: Number of anchors.

    Returns:
        (Q,) different anchors and their (Q,) objects.
    """
    most = iou.new_zeros(count).scatter_reduce(0, anchor, iou, "amax")
    wins = iou == most[anchor]
    none = torch.iinfo(torch.int64).max
    owner = of.new_full((count,), none).scatter_reduce(0, anchor[wins], of[wins], "amin")
    owned = torch.nonzero(owner < none)[:, 0]
    return owned, owner[owned]


def _has_centre(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Tell whether boxes hold the centres of anchors, both (..., 4): (...) bool."""
    centres = _centres(anchors)
    return ((centres > boxes[..., :2]) & (centres < boxes[..., 2:])).all(dim=-1)


def _centres(boxes: Tensor) -> Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2
