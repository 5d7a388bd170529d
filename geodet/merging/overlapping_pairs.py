"""Find the pairs of boxes that overlap, among millions, without comparing all pairs.

The definition, with which the tests compare: all pairs of which :meth:`OverlapRule.holds`.

The search is a sweep over sorted keys. Boxes are put into layers by their size, so that a few large
ones do not slow it down. A layer is cut into horizontal strips, so high that boxes that overlap
enough lie in the same strip or in adjacent ones. The key of a box is the number of its strip, times
a span wider than the layer, plus the x of its centre. In the order of keys, what may overlap a box
lies in one range for each of these strips, whose ends a binary search finds. What lies in the
ranges are candidates; they are compared in parts of bounded size.

Oriented boxes are searched by their bounds, which only need share an area, and then compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.oriented_boxes import shared_areas

__all__ = ["OverlapPairs", "OverlapRule", "pairs_between", "pairs_within"]

_AT_ONCE = 1 << 17  # candidates listed at once: they fit the cache and bound the memory
_STRIPS = 1 << 20  # with more, the key of a box would have too few digits left for its position
_FACTOR = 4.0  # between the sides in a layer, at most; dense layers with less overlap are faster


@dataclass(frozen=True, slots=True)
class OverlapRule:
    """When two boxes overlap enough to be a pair. A box without an area is in no pair."""

    iou: float
    """IoU above which they are a pair, in [0, 1]."""
    share: float = math.inf
    """Share of the second box inside the first above which they are a pair, too; 1 or more:
    never."""

    @property
    def reach(self) -> float:
        """The distance of the centres of a pair on each axis, at most, in half sums of sides.

        The intersection over union along one axis is not less than in the plane. With the half sum
        h and the distance d it is (h - d) / (h + d), or less where one side contains the other.
        """
        return 1.0 if self.share < 1 else (1 - self.iou) / (1 + self.iou) + 1e-9

    @property
    def ratio(self) -> float:
        """The ratio of the longer sides of the smaller and the larger box of a pair, at least."""
        return 0.0 if self.share < 1 else self.iou * (1 - 1e-9)

    def holds(self, shared: Floats, first: Floats, second: Floats) -> Bools:
        """Whether boxes overlap enough: (P,), from the areas of their intersections and their own.

        Args:
            shared: (P,) areas of the intersections.
            first: (P,) areas of the first boxes.
            second: (P,) areas of the second boxes.
        """
        enough: Bools = shared / (first + second - shared) > self.iou
        return enough | (shared / second > self.share) if self.share < 1 else enough


_TOUCH = OverlapRule(0.0, 0.0)  # of bounds: oriented boxes may fill little of them


def pairs_within(boxes: Floats, rule: OverlapRule) -> OverlapPairs:
    """Pair the boxes of one set that overlap enough, each two once, in any order.

    Args:
        boxes: (N, 4) of one frame, of any sizes; or (N, 9), oriented ones behind their bounds, as
            :attr:`geodet.geometry.boxes.Detections.shapes`.
        rule: When they overlap enough, without a share.
    """
    boxes, oriented = _split(boxes)
    wanted, rule = rule, rule if oriented is None else _TOUCH
    layers = _layers_by_size(boxes, _longest_side(boxes))
    sweeps = []
    for place, layer in enumerate(layers):
        sweeps.append(_sweep_within(layer, rule.reach))
        for finer in layers[place + 1 :]:
            if finer.longest > rule.ratio * layer.shortest:
                sweeps.append(_sweep_across(finer, layer, rule.reach, is_swapped=False))
    return OverlapPairs(wanted, sweeps, None if oriented is None else (oriented, oriented))


def pairs_between(first: Floats, second: Floats, rule: OverlapRule) -> OverlapPairs:
    """Pair the boxes of one set with those of another that overlap them enough, each two once.

    Args:
        first: (N, 4) boxes, or (N, 9) as for :func:`pairs_within`.
        second: (M, 4) boxes of the same frame, or (M, 9) likewise.
        rule: When they overlap enough.
    """
    (first, turned), (second, other) = _split(first), _split(second)
    wanted, rule = rule, rule if turned is None else _TOUCH
    longest = max(_longest_side(first), _longest_side(second))
    sweeps = []
    for a in _layers_by_size(first, longest):
        for b in _layers_by_size(second, longest):
            fine, coarse = (a, b) if a.longest <= b.longest else (b, a)
            if fine.longest > rule.ratio * coarse.shortest:
                sweeps.append(_sweep_across(fine, coarse, rule.reach, is_swapped=fine is b))
    return OverlapPairs(
        wanted, sweeps, None if turned is None or other is None else (turned, other)
    )


def _split(boxes: Floats) -> tuple[Floats, Floats | None]:
    """Separate the bounds of oriented boxes from what is behind them."""
    return boxes[:, :4], boxes[:, 4:] if boxes.shape[1] > 4 else None


@dataclass(frozen=True, slots=True)
class OverlapPairs:
    """The pairs of boxes that overlap enough, which iteration looks for."""

    rule: OverlapRule
    """When boxes overlap enough."""
    sweeps: list[_Sweep]
    """Each over boxes of about one size."""
    oriented: tuple[Floats, Floats] | None = None
    """(N, 5) and (M, 5) oriented boxes of the two sets; None: the boxes are axis-aligned."""

    @property
    def candidates(self) -> int:
        """Pairs that are near enough to be compared: what the search costs."""
        return sum(sweep.candidates for sweep in self.sweeps)

    def __iter__(self) -> Iterator[tuple[Ints, Ints]]:
        """Yield the pairs in parts of bounded size: (P,) rows of the first, (P,) of the second."""
        for sweep in self.sweeps:
            for sought, among in sweep:
                pair = self._compare(sweep, sought, among)
                ours = sweep.sought.rows.take(sought[pair])
                theirs = sweep.among.rows.take(among[pair])
                first, second = (theirs, ours) if sweep.is_swapped else (ours, theirs)
                yield (first, second) if self.oriented is None else self._turned(first, second)

    def _compare(self, sweep: _Sweep, sought: Ints, among: Ints) -> Ints:
        """Return the positions of the candidates that overlap enough.

        The areas are computed as :func:`geodet.geometry.boxes.paired_iou` does, to the last digit.
        """
        x1, y1, x2, y2 = (column.take(sought) for column in sweep.sought.columns)
        u1, v1, u2, v2 = (column.take(among) for column in sweep.among.columns)
        ours, theirs = (x2 - x1) * (y2 - y1), (u2 - u1) * (v2 - v1)
        wide = (np.minimum(x2, u2) - np.maximum(x1, u1)).clip(0)
        shared = wide * (np.minimum(y2, v2) - np.maximum(y1, v1)).clip(0)
        if self.oriented is not None:
            return np.flatnonzero(shared)
        areas = (theirs, ours) if sweep.is_swapped else (ours, theirs)
        return np.flatnonzero(self.rule.holds(shared, *areas))

    def _turned(self, first: Ints, second: Ints) -> tuple[Ints, Ints]:
        """Return those of the pairs whose oriented boxes overlap enough."""
        assert self.oriented is not None
        a, b = self.oriented[0].take(first, axis=0), self.oriented[1].take(second, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):  # a box without an area is in no pair
            enough = self.rule.holds(shared_areas(a, b), a[:, 2] * a[:, 3], b[:, 2] * b[:, 3])
        return first[enough], second[enough]


@dataclass(frozen=True, slots=True)
class _SizeLayer:
    """Boxes of about one size, each with an area."""

    rows: Ints
    """(N,) rows of the set that they are from."""
    columns: Floats
    """(4, N) x1, y1, x2, y2."""
    longest: float
    """The longest of all sides."""
    shortest: float
    """The shortest of the longer sides of each box."""

    @property
    def centres(self) -> Floats:
        """(2, N) centres."""
        centres: Floats = (self.columns[:2] + self.columns[2:]) / 2
        return centres

    def take(self, order: Ints) -> _SizeLayer:
        """Put the boxes in another order."""
        columns = np.stack([column.take(order) for column in self.columns])
        return _SizeLayer(self.rows.take(order), columns, self.longest, self.shortest)


def _longest_side(boxes: Floats) -> float:
    return float(np.max(boxes[:, 2:] - boxes[:, :2], initial=0.0))


def _layers_by_size(boxes: Floats, longest: float) -> list[_SizeLayer]:
    """Sort boxes into layers by their longer side, large boxes first; none without an area.

    Args:
        boxes: (N, 4).
        longest: No side is longer; layers of several sets with the same bound fit each other.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    rows = np.flatnonzero(sides.clip(0).prod(axis=1) > 0)
    longer = sides.max(axis=1, initial=0.0)[rows]
    depth = np.floor(np.log(longest / longer) / np.log(_FACTOR)).astype(np.int64)
    layers = []
    for level in np.unique(depth):
        chosen, sizes = rows[depth == level], longer[depth == level]
        columns = np.ascontiguousarray(boxes.take(chosen, axis=0).T)
        layers.append(_SizeLayer(chosen, columns, float(sizes.max()), float(sizes.min())))
    return layers


@dataclass(frozen=True, slots=True)
class _Sweep:
    """Boxes, and the ranges of a sorted layer in which their candidates are."""

    sought: _SizeLayer
    """N boxes."""
    among: _SizeLayer
    """M boxes, in the order of their keys."""
    ranges: list[tuple[Ints, Ints]]
    """(N,) starts and (N,) stops among the M, for each strip."""
    is_swapped: bool = False
    """Whether the boxes sought are the second ones of a pair."""

    @property
    def candidates(self) -> int:
        """Pairs that are near enough to be compared."""
        return sum(int(np.sum(stop - start, dtype=np.int64)) for start, stop in self.ranges)

    def __iter__(self) -> Iterator[tuple[Ints, Ints]]:
        """Yield candidates in parts: (P,) positions among the sought and (P,) among the others."""
        for start, stop in self.ranges:
            ends = np.cumsum(stop - start, dtype=np.int64)
            low = 0
            while low < len(ends) and (done := int(ends[low - 1]) if low else 0) < ends[-1]:
                high = max(low + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
                yield _positions(low, start[low:high], stop[low:high])
                low = high


def _positions(low: int, start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """Turn the ranges of the boxes from ``low`` on into pairs of positions."""
    counts = stop - start
    sought = np.repeat(np.arange(low, low + len(counts)), counts)
    shift = start - (np.cumsum(counts) - counts)
    return sought, np.arange(len(sought)) + np.repeat(shift, counts)


def _sweep_within(layer: _SizeLayer, reach: float) -> _Sweep:
    """Find the candidates of the boxes of a layer in that layer, each two once."""
    strips = _Strips.of(layer, reach)
    keys = strips.keys(layer)
    order = np.argsort(keys)
    keys, layer = keys.take(order), layer.take(order)
    near = strips.distances(layer, reach)
    below = keys + strips.span
    ranges = [
        (np.arange(1, len(keys) + 1), np.searchsorted(keys, keys + near, side="right")),
        (np.searchsorted(keys, below - near), np.searchsorted(keys, below + near, side="right")),
    ]
    return _Sweep(layer, layer, ranges)


def _sweep_across(
    fine: _SizeLayer, coarse: _SizeLayer, reach: float, *, is_swapped: bool
) -> _Sweep:
    """Find the candidates of the boxes of a layer in one of boxes as large or larger."""
    strips = _Strips.of(coarse, reach)
    keys = strips.keys(coarse)
    order = np.argsort(keys)
    keys, coarse = keys.take(order), coarse.take(order)
    wanted = strips.keys(fine)
    order = np.argsort(wanted)  # neighbours in the lookup are neighbours in memory
    wanted, fine = wanted.take(order), fine.take(order)
    near = strips.distances(fine, reach)
    ranges = []
    for strip in (-strips.span, 0.0, strips.span):
        start = np.searchsorted(keys, wanted + strip - near)
        ranges.append((start, np.searchsorted(keys, wanted + strip + near, side="right")))
    return _Sweep(fine, coarse, ranges, is_swapped)


@dataclass(frozen=True, slots=True)
class _Strips:
    """The strips that a layer is cut into, and the keys of boxes.

    The centres of a pair are nearer than ``reach`` times half the sum of their sides on both axes.
    """

    left: float
    top: float
    right: float
    height: float
    """Height of a strip: candidates lie in the same one or in the next."""
    span: float
    """Span of the keys of a strip: so wide that no range reaches into the next one."""
    longest: float
    """The longest side in the layer."""
    slack: float
    """More than the rounding of a key."""

    @classmethod
    def of(cls, layer: _SizeLayer, reach: float) -> _Strips:
        x, y = layer.centres
        left, right, top = float(x.min()), float(x.max()), float(y.min())
        farthest = float(np.abs(layer.columns).max())
        rounding = 8 * np.spacing(farthest)
        high = float(y.max()) - top
        height = max(layer.longest * reach * (1 + 1e-6) + rounding, high / _STRIPS)
        span = (right - left) + 8 * layer.longest + rounding
        slack = 8 * np.spacing(span * (high / height + 2)) + rounding
        return cls(left, top, right, height, span + 4 * slack, layer.longest, slack)

    def keys(self, layer: _SizeLayer) -> Floats:
        """Compute the keys of boxes: (N,); those beside the strips get the key of the margin."""
        x, y = layer.centres
        margin = 2 * self.longest
        x = np.clip(x, self.left - margin, self.right + margin) - self.left
        y = np.clip(y, self.top - 4 * self.height, None)
        keys: Floats = np.floor((y - self.top) / self.height) * self.span + x
        return keys

    def distances(self, layer: _SizeLayer, reach: float) -> Floats:
        """Compute how far from the keys of boxes the keys of candidates are, at most: (N,)."""
        widths = layer.columns[2] - layer.columns[0]
        near: Floats = (widths + self.longest) / 2 * (reach * (1 + 1e-6)) + self.slack
        return near
