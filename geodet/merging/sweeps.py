"""Look up boxes near other boxes: sorted by horizontal strips and, in a strip, by position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layer", "Sweep", "layers_of", "longest_side", "sweep_across", "sweep_within"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_AT_ONCE = 1 << 17  # candidates listed at once: they fit the cache and bound the memory
_STRIPS = 1 << 20  # with more, the key of a box would have too few digits left for its position
_FACTOR = 4.0  # between the sides in a layer, at most; dense layers with less overlap are faster


@dataclass(frozen=True, slots=True)
class Layer:
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

    def take(self, order: Ints) -> Layer:
        """Put the boxes in another order."""
        columns = np.stack([column.take(order) for column in self.columns])
        return Layer(self.rows.take(order), columns, self.longest, self.shortest)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Boxes, and the ranges of a sorted layer where their neighbours are."""

    sought: Layer
    """N boxes."""
    among: Layer
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


def layers_of(boxes: Floats, longest: float) -> list[Layer]:
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


def _layer(boxes: Floats, rows: Ints, longer: Floats) -> Layer:
    columns = np.ascontiguousarray(boxes.take(rows, axis=0).T)
    return Layer(rows, columns, float(longer.max()), float(longer.min()))


def sweep_within(layer: Layer, reach: float) -> Sweep:
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


def sweep_across(fine: Layer, coarse: Layer, reach: float, *, is_swapped: bool) -> Sweep:
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
    def fit(cls, layer: Layer, reach: float) -> _Strips:
        x, y = layer.centres
        left, right, top = float(x.min()), float(x.max()), float(y.min())
        farthest = float(np.abs(layer.columns).max())
        rounding = 8 * np.spacing(farthest)
        high = float(y.max()) - top
        height = max(layer.longest * reach * (1 + 1e-6) + rounding, high / _STRIPS)
        span = (right - left) + 8 * layer.longest + rounding
        slack = 8 * np.spacing(span * (high / height + 2)) + rounding
        return cls(left, top, right, height, span + 4 * slack, layer.longest, slack)

    def keys(self, layer: Layer) -> Floats:
        """(N,) keys; boxes beside the layer are drawn to where a search finds only its end."""
        x, y = layer.centres
        margin = 2 * self.longest
        x = np.clip(x, self.left - margin, self.right + margin) - self.left
        y = np.clip(y, self.top - 4 * self.height, None)
        keys: Floats = np.floor((y - self.top) / self.height) * self.span + x
        return keys

    def near(self, layer: Layer, reach: float) -> Floats:
        """(N,) how far along the keys the neighbours of boxes lie."""
        near: Floats = (layer.sides[0] + self.longest) / 2 * (reach * (1 + 1e-6)) + self.slack
        return near


def _spell_out(low: int, start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """Turn the ranges of boxes from ``low`` on into pairs of positions."""
    counts = stop - start
    sought = np.repeat(np.arange(low, low + len(counts)), counts)
    shift = start - (np.cumsum(counts) - counts)
    return sought, np.arange(len(sought)) + np.repeat(shift, counts)
