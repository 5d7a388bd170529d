"""Find the pairs of boxes that overlap, among millions, without looking at all pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geodet.merging.sweeps import Sweep, layers_of, longest_side, sweep_across, sweep_within

__all__ = ["Overlap", "Pairs", "pairs_between", "pairs_within"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Overlap:
    """When two boxes overlap enough to be rivals. A box without an area has no rival."""

    iou: float
    """Intersection over union above which they are, in [0, 1]."""
    share: float = math.inf
    """Part of the second box inside the first above which they are too; never at 1 and more."""

    @property
    def reach(self) -> float:
        """Bound the distance of the centres of rivals, in halves of the sum of their sides.

        The intersection over union along one axis is not less than in the plane. With that half h
        and the distance d it is (h - d) / (h + d), or less where one side contains the other.
        """
        return 1.0 if self.share < 1 else (1 - self.iou) / (1 + self.iou) + 1e-9

    @property
    def ratio(self) -> float:
        """Bound the ratio of the longer sides of rivals from below."""
        return 0.0 if self.share < 1 else self.iou * (1 - 1e-9)

    def holds(self, shared: Floats, first: Floats, second: Floats) -> Bools:
        """Tell which pairs are rivals from the areas of their intersections and boxes."""
        rivals: Bools = shared / (first + second - shared) > self.iou
        return rivals | (shared / second > self.share) if self.share < 1 else rivals


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of rivals, looked for when they are asked for."""

    overlap: Overlap
    """What makes rivals."""
    sweeps: list[Sweep]
    """Each over boxes of about one size."""

    @property
    def candidates(self) -> int:
        """Pairs near enough to be compared: what a search costs."""
        return sum(sweep.candidates for sweep in self.sweeps)

    def __iter__(self) -> Iterator[tuple[Ints, Ints]]:
        """Give the pairs in parts of bounded size: (P,) rows of the first, (P,) of the second."""
        for sweep in self.sweeps:
            for sought, found in sweep:
                rival = self._compare(sweep, sought, found)
                ours = sweep.sought.rows.take(sought[rival])
                theirs = sweep.among.rows.take(found[rival])
                yield (theirs, ours) if sweep.is_swapped else (ours, theirs)

    def _compare(self, sweep: Sweep, sought: Ints, found: Ints) -> Ints:
        """Find which candidates are rivals: (R,) positions.

        The areas are computed as :func:`geodet.boxes.paired_iou` does, to the last digit.
        """
        x1, y1, x2, y2 = (column.take(sought) for column in sweep.sought.columns)
        u1, v1, u2, v2 = (column.take(found) for column in sweep.among.columns)
        ours, theirs = (x2 - x1) * (y2 - y1), (u2 - u1) * (v2 - v1)
        wide = (np.minimum(x2, u2) - np.maximum(x1, u1)).clip(0)
        shared = wide * (np.minimum(y2, v2) - np.maximum(y1, v1)).clip(0)
        areas = (theirs, ours) if sweep.is_swapped else (ours, theirs)
        return np.flatnonzero(self.overlap.holds(shared, *areas))


def pairs_within(boxes: Floats, overlap: Overlap) -> Pairs:
    """Pair the rivals of one set, each two once, in any order.

    Args:
        boxes: (N, 4) of one frame, of any sizes.
        overlap: What makes rivals, without a share.
    """
    layers = layers_of(boxes, longest_side(boxes))
    sweeps = []
    for place, layer in enumerate(layers):
        sweeps.append(sweep_within(layer, overlap.reach))
        for finer in layers[place + 1 :]:
            if finer.longest > overlap.ratio * layer.shortest:
                sweeps.append(sweep_across(finer, layer, overlap.reach, is_swapped=False))
    return Pairs(overlap, sweeps)


def pairs_between(first: Floats, second: Floats, overlap: Overlap) -> Pairs:
    """Pair the boxes of one set with their rivals in another, each two once.

    Args:
        first: (N, 4) boxes.
        second: (M, 4) boxes of the same frame.
        overlap: What makes rivals.
    """
    longest = max(longest_side(first), longest_side(second))
    sweeps = []
    for a in layers_of(first, longest):
        for b in layers_of(second, longest):
            fine, coarse = (a, b) if a.longest <= b.longest else (b, a)
            if fine.longest > overlap.ratio * coarse.shortest:
                sweeps.append(sweep_across(fine, coarse, overlap.reach, is_swapped=fine is b))
    return Pairs(overlap, sweeps)
