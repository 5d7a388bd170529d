"""Find the pairs of boxes that overlap, among millions, without looking at all pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geodet.geometry.arrays import Bools, Floats, Ints

__all__ = [
    "Overlap",
    "OverlapPairs",
    "SizeLayer",
    "Sweep",
    "layers_of",
    "longest_side",
    "pairs_between",
    "pairs_within",
    "sweep_across",
    "sweep_within",
]

_AT_ONCE = 1 << 17  # candidates listed at once: they fit the cache and bound the memory
_STRIPS = 1 << 20  # with more, the key of a box would have too few digits left for its position
_FACTOR = 4.0  # between the sides in a layer, at most; dense layers with less overlap are faster


@dataclass(frozen=True, slots=True)
class SizeLayer:
    """Boxes of about one size, each with an area."""

    rows: Ints
    """(N,) rows of the set that they are from."""
    columns: Floats
    """(4, N) x1, y1, x2, y2."""
    longest: float
    """Upper bound of the sides."""
    shortest: float
    """Lower bound of the longer side of each box."""

    @property
    def centres(self) -> Floats:
        """(2, N) centres."""
        centres: Floats = (self.columns[:2] + self.columns[2:]) / 2
        return centres

    @property
    def sides(self) -> Floats:
        """(2, N) widths and heights."""
        sides: Floats = self.columns[2:] - self.columns[:2]
        return sides

    def take(self, order: Ints) -> SizeLayer:
        """Put the boxes in another order."""
        columns = np.stack([column.take(order) for column in self.columns])
        return SizeLayer(self.rows.take(order), columns, self.longest, self.shortest)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Boxes, and the ranges of a sorted layer where their neighbours are."""

    sought: SizeLayer
    """N boxes."""
    among: SizeLayer
    """M boxes, sorted."""
    ranges: list[tuple[Ints, Ints]]
    """(N,) starts and (N,) stops among the M, for each strip."""
    is_swapped: bool = False
    """Whether the boxes sought are the second ones of a pair."""

    @property
    def candidates(self) -> int:
        """Pairs that are near enough to be compared."""
        return sum(int(np.sum(stop - start, dtype=np.int64)) for start, stop in self.ranges)

    def __iter__(self) -> Iterator[tuple[Ints, Ints]]:
        """List the candidates in parts: (P,) positions of boxes and (P,) of their neighbours."""
        for start, stop in self.ranges:
            ends = np.cumsum(stop - start, dtype=np.int64)
            low = 0
            while low < len(ends) and (done := int(ends[low - 1]) if low else 0) < ends[-1]:
                high = max(low + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
                yield _spell_out(low, start[low:high], stop[low:high])
                low = high


def longest_side(boxes: Floats) -> float:
    """Measure the longest side of (N, 4) boxes; 0 where there are none."""
    return float(np.max(boxes[:, 2:] - boxes[:, :2], initial=0.0))


def layers_of(boxes: Floats, longest: float) -> list[SizeLayer]:
    """Sort boxes by size into layers, so that a few large ones do not slow the search down.

    Args:
        boxes: (N, 4); those without an area are left out.
        longest: No side is longer; layers of several sets with the same bound fit each other.

    Returns:
        The layers that are not empty, large boxes first.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    rows = np.flatnonzero(sides.clip(0).prod(axis=1) > 0)
    longer = sides.max(axis=1, initial=0.0)[rows]
    depth = np.floor(np.log(longest / longer) / np.log(_FACTOR)).astype(np.int64)
    return [
        _layer(boxes, rows[depth == level], longer[depth == level]) for level in np.unique(depth)
    ]


def _layer(boxes: Floats, rows: Ints, longer: Floats) -> SizeLayer:
    columns = np.ascontiguousarray(boxes.take(rows, axis=0).T)
    return SizeLayer(rows, columns, float(longer.max()), float(longer.min()))


def sweep_within(layer: SizeLayer, reach: float) -> Sweep:
    """Look up the boxes of a layer in it, each two once.

    Args:
        layer: In any order.
        reach: Neighbours' centres are nearer than this times half the sum of their sides, on
            either axis.
    """
    strips = _Strips.fit(layer, reach)
    keys = strips.keys(layer)
    order = np.argsort(keys)
    keys, layer = keys.take(order), layer.take(order)
    near = strips.near(layer, reach)
    below = keys + strips.span
    ranges = [
        (np.arange(1, len(keys) + 1), np.searchsorted(keys, keys + near, side="right")),
        (np.searchsorted(keys, below - near), np.searchsorted(keys, below + near, side="right")),
    ]
    return Sweep(layer, layer, ranges)


def sweep_across(fine: SizeLayer, coarse: SizeLayer, reach: float, *, is_swapped: bool) -> Sweep:
    """Look up the boxes of a layer in one of boxes that are as large or larger.

    Args:
        fine: Boxes to look up.
        coarse: Where.
        reach: As in :func:`sweep_within`.
        is_swapped: Passed on.
    """
    strips = _Strips.fit(coarse, reach)
    keys = strips.keys(coarse)
    order = np.argsort(keys)
    keys, coarse = keys.take(order), coarse.take(order)
    wanted = strips.keys(fine)
    order = np.argsort(wanted)  # neighbours in the lookup are neighbours in memory
    wanted, fine = wanted.take(order), fine.take(order)
    near = strips.near(fine, reach)
    ranges = []
    for strip in (-strips.span, 0.0, strips.span):
        start = np.searchsorted(keys, wanted + strip - near)
        ranges.append((start, np.searchsorted(keys, wanted + strip + near, side="right")))
    return Sweep(fine, coarse, ranges, is_swapped)


@dataclass(frozen=True, slots=True)
class _Strips:
    """How a layer is cut: the key of a box is its strip's number times the span, plus its x."""

    left: float
    top: float
    right: float
    height: float
    """Of a strip: neighbours lie in the same one or in the next."""
    span: float
    """Of the keys of a strip: so wide that no search reaches into the next by accident."""
    longest: float
    slack: float
    """More than what rounding does to a key."""

    @classmethod
    def fit(cls, layer: SizeLayer, reach: float) -> _Strips:
        x, y = layer.centres
        left, right, top = float(x.min()), float(x.max()), float(y.min())
        farthest = float(np.abs(layer.columns).max())
        rounding = 8 * np.spacing(farthest)
        high = float(y.max()) - top
        height = max(layer.longest * reach * (1 + 1e-6) + rounding, high / _STRIPS)
        span = (right - left) + 8 * layer.longest + rounding
        slack = 8 * np.spacing(span * (high / height + 2)) + rounding
        return cls(left, top, right, height, span + 4 * slack, layer.longest, slack)

    def keys(self, layer: SizeLayer) -> Floats:
        """(N,) keys; boxes beside the layer are drawn to where a search finds only its end."""
        x, y = layer.centres
        margin = 2 * self.longest
        x = np.clip(x, self.left - margin, self.right + margin) - self.left
        y = np.clip(y, self.top - 4 * self.height, None)
        keys: Floats = np.floor((y - self.top) / self.height) * self.span + x
        return keys

    def near(self, layer: SizeLayer, reach: float) -> Floats:
        """(N,) how far along the keys the neighbours of boxes lie."""
        near: Floats = (layer.sides[0] + self.longest) / 2 * (reach * (1 + 1e-6)) + self.slack
        return near


def _spell_out(low: int, start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """Turn the ranges of boxes from ``low`` on into pairs of positions."""
    counts = stop - start
    sought = np.repeat(np.arange(low, low + len(counts)), counts)
    shift = start - (np.cumsum(counts) - counts)
    return sought, np.arange(len(sought)) + np.repeat(shift, counts)


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
class OverlapPairs:
    """OverlapPairs of rivals, looked for when they are asked for."""

    overlap: Overlap
    """What makes rivals."""
    sweeps: list[Sweep]
    """Each over boxes of about one size."""

    @property
    def candidates(self) -> int:
        """OverlapPairs near enough to be compared: what a search costs."""
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

        The areas are computed as :func:`geodet.geometry.boxes.paired_iou` does, to the last digit.
        """
        x1, y1, x2, y2 = (column.take(sought) for column in sweep.sought.columns)
        u1, v1, u2, v2 = (column.take(found) for column in sweep.among.columns)
        ours, theirs = (x2 - x1) * (y2 - y1), (u2 - u1) * (v2 - v1)
        wide = (np.minimum(x2, u2) - np.maximum(x1, u1)).clip(0)
        shared = wide * (np.minimum(y2, v2) - np.maximum(y1, v1)).clip(0)
        areas = (theirs, ours) if sweep.is_swapped else (ours, theirs)
        return np.flatnonzero(self.overlap.holds(shared, *areas))


def pairs_within(boxes: Floats, overlap: Overlap) -> OverlapPairs:
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
    return OverlapPairs(overlap, sweeps)


def pairs_between(first: Floats, second: Floats, overlap: Overlap) -> OverlapPairs:
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
    return OverlapPairs(overlap, sweeps)
