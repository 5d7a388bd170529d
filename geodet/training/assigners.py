"""Assigners: which anchor learns which object, which are background, and which are ignored.

Objects are M boxes, anchors R boxes, both (..., 4) x1 y1 x2 y2 in chip pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from geodet.training.packed_boxes import PackedBoxes, boxes_at_once

__all__ = [
    "BACKGROUND",
    "IGNORED",
    "Assigner",
    "AtssAssigner",
    "ThresholdAssigner",
    "overlap_similarity",
    "wasserstein_similarity",
]

BACKGROUND = -1
"""Match of an anchor that learns to find nothing."""

IGNORED = -2
"""Match of an anchor that does not train."""


def _begin_matches(anchors: Tensor, ignored: PackedBoxes) -> Tensor:
    """Match the anchors of N chips without objects: those centred in a region are ignored.

    Args:
        anchors: (R, 4) anchors.
        ignored: Regions to ignore.

    Returns:
        (N, R) int64, ``BACKGROUND`` or ``IGNORED``.
    """
    covered = anchors.new_zeros((len(ignored.chips), len(anchors)), dtype=torch.bool)
    for group in ignored.iter_groups(len(anchors)):
        covered[group.rows] |= _covered(anchors, group.boxes)
    return torch.where(_in_chip_order(covered, ignored), IGNORED, BACKGROUND)


def _covered(anchors: Tensor, regions: Tensor) -> Tensor:
    """Whether each anchor has its centre in one of the (n, m, 4) regions: (n, R) bool."""
    x, y = _centres(anchors).T.contiguous()
    x1, y1, x2, y2 = (side[..., None] for side in regions.unbind(dim=-1))  # (n, m, 1)
    inside: Tensor = (x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)  # (n, m, R); none in NaN
    return inside.any(dim=1)


def _in_chip_order(rows: Tensor, boxes: PackedBoxes) -> Tensor:
    """Return rows in the order of chips, which were computed in the order of groups."""
    return torch.empty_like(rows).index_copy_(0, boxes.order, rows)


def overlap_similarity(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Compute the intersection over union of (M, 4) objects and (R, 4) anchors: (M, R)."""
    return _broadcast_iou(boxes[:, None], anchors)


def _broadcast_iou(a: Tensor, b: Tensor) -> Tensor:
    """Compute the intersection over union of (..., 4) boxes, broadcast: (...).

    It rounds as torchvision's ``box_iou`` does and takes less than half its time for all pairs,
    since each coordinate is contiguous.
    """
    ax1, ay1, ax2, ay2 = (side.contiguous() for side in a.unbind(dim=-1))
    bx1, by1, bx2, by2 = (side.contiguous() for side in b.unbind(dim=-1))
    inter = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp_(min=0)
    inter *= (torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp_(min=0)
    union = ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1)).sub_(inter)
    return inter / union


def wasserstein_similarity(boxes: Tensor, anchors: Tensor, *, constant: float) -> Tensor:
    """Compute the normalised Gaussian Wasserstein similarity of boxes.

    It is exp(-distance / constant), with the Euclidean distance of centres and half sides together:
    1 for equal boxes, and above 0 for tiny boxes that do not overlap.

    Args:
        boxes: (M, 4) objects.
        anchors: (R, 4) anchors.
        constant: Distance in pixels at which the similarity is 1 / e, about the side of a typical
            object.

    Returns:
        (M, R) in 0 to 1.

    Reference:
        Wang et al. 2021, arXiv:2110.13389, section 3, "Normalized Gaussian Wasserstein Distance".
    """
    # Without the matrix product, whose rounding would depend on what else is compared.
    distance = torch.cdist(
        _gaussians(boxes), _gaussians(anchors), compute_mode="donot_use_mm_for_euclid_dist"
    )
    return torch.exp(-distance / constant)


def _gaussians(boxes: Tensor) -> Tensor:
    """Return centres and half sides: (M, 4)."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return torch.cat([(low + high) / 2, (high - low) / 2], dim=1)


class Assigner(Protocol):
    """Chooses what each anchor learns."""

    def __call__(
        self, levels: Sequence[Tensor], boxes: PackedBoxes, ignored: PackedBoxes
    ) -> Tensor:
        """Match anchors with objects, in N chips at once.

        Args:
            levels: (R_l, 4) anchors of each level; R anchors together, the same in all chips.
            boxes: Objects of the chips; a chip may have none.
            ignored: Regions of the chips whose anchors do not train.

        Returns:
            (N, R) int64: the index of an object of the chip, ``BACKGROUND`` or ``IGNORED``.
        """
        ...


@dataclass(frozen=True, slots=True)
class ThresholdAssigner:
    """Assign by two thresholds of a similarity; anchors between them are ignored.

    The anchors that are most similar to an object are positive even below the thresholds
    ("low-quality matches"), or a small object between two anchors would never be learnt. An anchor
    learns the object that it is most similar to, and no other.

    Reference:
        arXiv:1708.02002, section 4, "Anchors"; the low-quality matches: Ren et al. 2015,
        arXiv:1506.01497, section 3.1.2.
    """

    positive: float
    """An anchor that is at least this similar to an object is positive."""
    negative: float
    """An anchor that is less similar to every object is background."""
    low_quality: bool = True
    """Whether the most similar anchors of each object are positive below the thresholds, too."""
    similarity: Callable[[Tensor, Tensor], Tensor] = overlap_similarity
    """Computes (M, R) similarities in 0 to 1 of (M, 4) objects and (R, 4) anchors."""

    def __call__(
        self, levels: Sequence[Tensor], boxes: PackedBoxes, ignored: PackedBoxes
    ) -> Tensor:
        """Match anchors with objects, see :class:`Assigner`."""
        anchors = torch.cat(list(levels))
        matches = _begin_matches(anchors, ignored)
        if not sum(boxes.counts) or not len(anchors):
            return matches
        best, index, wanted = (_in_chip_order(t, boxes) for t in self._compare(anchors, boxes))
        chosen = best >= self.positive
        if self.low_quality:
            chosen |= wanted
        unclear = torch.where(best >= self.negative, IGNORED, matches)
        return torch.where(chosen, index, unclear)

    def _compare(self, anchors: Tensor, boxes: PackedBoxes) -> tuple[Tensor, Tensor, Tensor]:
        """Compare all pairs.

        Returns:
            In the order of groups: (N, R) similarity of each anchor to its most similar object;
            (N, R) index of that object, the first of equals; (N, R) bool, whether the anchor is the
            most similar one of an object.
        """
        best = anchors.new_full((len(boxes.chips), len(anchors)), -1)
        index = torch.zeros_like(best, dtype=torch.int64)
        wanted = torch.zeros_like(best, dtype=torch.bool)
        for rows, first, part in boxes.iter_groups(len(anchors)):
            similarity = self.similarity(part.reshape(-1, 4), anchors).view(*part.shape[:2], -1)
            if len(part) > 1:  # those that fill up
                similarity.masked_fill_(part[..., :1].isnan(), -1)
            most, of = similarity.max(dim=1)  # (n, R)
            torch.where(most > best[rows], of + first, index[rows], out=index[rows])
            torch.maximum(most, best[rows], out=best[rows])
            top = similarity.max(dim=2, keepdim=True).values  # (n, m, 1)
            wanted[rows] |= ((similarity == top) & (top > 0)).any(dim=1)
        return best, index, wanted


_ROUNDING = 1e-6  # the rounded mean of equal overlaps may lie above each of them


@dataclass(frozen=True, slots=True)
class AtssAssigner:
    """Assign by adaptive training sample selection (ATSS): each object sets its own threshold.

    The candidates of an object are the anchors of each level with the closest centres. A candidate
    is positive if its centre lies within the object and its IoU is at least the mean plus the
    standard deviation of all candidates' IoU. All other anchors are background. An anchor that is
    positive for several objects learns the one that it overlaps most.

    An object smaller than the finest stride may contain no anchor centre and so get no anchor at
    all: this rule has no low-quality matches.

    Reference:
        Zhang et al. 2019, arXiv:1912.02424, section 3.2 and algorithm 1.
    """

    candidates: int
    """Candidates per level: 9 in the paper, where a cell has one anchor. Of equally close anchors
    the first count, so with several anchors per cell use a multiple of their number."""

    def __call__(
        self, levels: Sequence[Tensor], boxes: PackedBoxes, ignored: PackedBoxes
    ) -> Tensor:
        """Match anchors with objects, see :class:`Assigner`."""
        anchors = torch.cat(list(levels))
        matches = _begin_matches(anchors, ignored)
        if not sum(boxes.counts) or not len(anchors):
            return matches
        objects = boxes.boxes
        candidates = self._find_candidates(levels, objects)  # (M, T)
        iou = _broadcast_iou(objects[:, None], anchors[candidates])  # (M, T)
        spread = iou.std(dim=1, correction=min(1, iou.shape[1] - 1))
        threshold = (iou.mean(dim=1) + spread)[:, None]
        positive = iou >= threshold - _ROUNDING
        positive &= _has_centre(objects[:, None], anchors[candidates])
        of = torch.nonzero(positive)[:, 0]  # (P,) objects
        place = candidates[positive] + boxes.chip[of] * len(anchors)  # in all chips
        owned, owner = _resolve(place, of, iou[positive], matches.numel())
        index = owner - boxes.starts[boxes.chip[owner]]
        return matches.view(-1).index_copy_(0, owned, index).view(matches.shape)

    def _find_candidates(self, levels: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Return the indices of the closest anchors of all levels: (M, T)."""
        counts = [min(self.candidates, len(level)) for level in levels]
        # Filled in place: small results that are kept would fragment the memory of large ones.
        found = torch.empty((len(boxes), sum(counts)), dtype=torch.int64, device=boxes.device)
        offset = 0
        for level, own in zip(levels, torch.split(found, counts, dim=1), strict=True):
            start = 0
            for part in torch.split(boxes, boxes_at_once(boxes.device, len(level))):
                own[start : start + len(part)] = _closest(part, level, own.shape[1]) + offset
                start += len(part)
            offset += len(level)
        return found


def _closest(boxes: Tensor, anchors: Tensor, count: int) -> Tensor:
    """Return the anchors with the closest centres, the first of equals: (M, count)."""
    x, y = _centres(anchors).T.contiguous()
    of = _centres(boxes)
    distance = ((of[:, :1] - x).square_() + (of[:, 1:] - y).square_()).float()  # (M, R)
    # Non-negative floats sort like their bits. The index in the lower bits breaks ties, which would
    # otherwise depend on the device.
    bits = distance.view(torch.int32).long()
    keys = (bits << 32) | torch.arange(len(anchors), device=anchors.device)
    closest: Tensor = keys.topk(count, dim=1, largest=False).values & 0xFFFFFFFF
    return closest


def _resolve(anchor: Tensor, of: Tensor, iou: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Assign each anchor to the object that it overlaps most, the first of equals.

    Args:
        anchor: (P,) positive anchors, repeated for each of their objects.
        of: (P,) their objects.
        iou: (P,) their overlaps.
        count: Number of all anchors.

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
    """Whether boxes contain the centres of anchors, both (..., 4): (...) bool."""
    centres = _centres(anchors)
    return ((centres > boxes[..., :2]) & (centres < boxes[..., 2:])).all(dim=-1)


def _centres(boxes: Tensor) -> Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2
