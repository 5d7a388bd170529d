"""Finds the objects of a tile of the map among millions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats, Ints

__all__ = ["ObjectCells", "ObjectIndex"]

_LEVELS = 26  # zooms at which places are told apart
_COMMON_SHARE = 0.999  # of the boxes, which are no longer than a tile at the finest zoom


@dataclass(frozen=True, slots=True)
class ObjectCells:
    """Objects counted in the cells of a tile, each with its strongest object."""

    strongest: Ints
    """(M,) number of the object of the highest score."""
    count: Ints
    """(M,) objects, of one class and of a score of at least the threshold, but always one."""


class ObjectIndex:
    """Objects sorted by the quadkey of their centres: those of a tile are one slice.

    Args:
        bounds: (N, 4) least u and v, greatest u and v of each object on the square of the map.
        scores: (N,).
        labels: (N,) classes, not negative.
        finest_zoom: The zoom from which on tiles would show no more detail.
    """

    def __init__(self, bounds: Floats, scores: Floats, labels: Ints, *, finest_zoom: int) -> None:
        keys = _quadkeys((bounds[:, :2] + bounds[:, 2:]) / 2)
        self._order = np.argsort(keys)
        self._keys = keys[self._order]
        self._bounds, self._scores, self._labels = bounds, scores, labels
        self._kinds = int(labels.max(initial=0)) + 1
        self._ranked = np.argsort(scores)
        self._rank = np.empty_like(self._ranked)
        self._rank[self._ranked] = np.arange(len(scores))
        longest = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
        self.finest_zoom = min(_zoom_for(longest), finest_zoom)
        """The zoom of the finest tiles; no common object is longer than one of them."""
        self._large = np.flatnonzero(longest > 2.0**-self.finest_zoom)

    def centred(self, z: int, x: int, y: int) -> Ints:
        """Return the objects whose centre is in a tile."""
        return self._order[self._slice(z, x, y)]

    def touching(self, z: int, x: int, y: int) -> Ints:
        """Return the objects that reach into a tile, up to the finest zoom.

        Every object is found in each of the tiles that it touches.
        """
        ends = range(-1, 2)
        near = [self.centred(z, x + i, y + j) for i in ends for j in ends]
        rows = np.unique(np.concatenate([*near, self._large]))
        low, high = np.array([x, y]) / 2**z, np.array([x + 1, y + 1]) / 2**z
        box = self._bounds[rows]
        found: Ints = rows[((box[:, 2:] >= low) & (box[:, :2] <= high)).all(axis=1)]
        return found

    def cells(self, z: int, x: int, y: int, finer: int, *, at: float) -> ObjectCells:
        """Count the objects whose centre is in a tile, by cells of it and by class.

        A cell has an object of at least a score if its strongest has, so a map that shows the
        strongest can be filtered by score and by class without counting again.

        Args:
            z: Zoom of the tile.
            x: Its column.
            y: Its row.
            finer: Zooms by which the cells are finer than the tile.
            at: Lowest score of the objects that are counted.
        """
        part = self._slice(z, x, y)
        rows, kinds = self._order[part], self._kinds
        finer = min(finer, _LEVELS - z)
        cell = (self._keys[part] >> (2 * (_LEVELS - z - finer))) & (4**finer - 1)
        group = cell * kinds + self._labels[rows]
        best = np.full(4**finer * kinds, -1)
        np.maximum.at(best, group, self._rank[rows])
        is_used = best >= 0
        above = self._scores[rows] >= at
        counts = np.bincount(group[above], minlength=len(best))[is_used]
        return ObjectCells(self._ranked[best[is_used]], np.maximum(counts, 1))

    def _slice(self, z: int, x: int, y: int) -> slice:
        if not (0 <= x < 2**z and 0 <= y < 2**z):
            return slice(0, 0)
        key = int(_interleave(np.array([x]))[0] | (_interleave(np.array([y]))[0] << 1))
        shift = 2 * (_LEVELS - z)
        low, high = np.searchsorted(self._keys, [key << shift, (key + 1) << shift])
        return slice(int(low), int(high))


def _zoom_for(longest: Floats) -> int:
    """Return the finest zoom at which hardly an object is longer than a tile."""
    if not len(longest):
        return 0
    common = float(np.quantile(longest, _COMMON_SHARE))
    return int(np.clip(np.floor(-np.log2(max(common, 2.0**-_LEVELS))), 0, _LEVELS - 4))


def _quadkeys(uv: Floats) -> Ints:
    """Return the tile of the finest level that each place is in, as one number: (N,)."""
    cells = np.clip((uv * 2**_LEVELS).astype(np.int64), 0, 2**_LEVELS - 1)
    return _interleave(cells[:, 0]) | (_interleave(cells[:, 1]) << 1)


def _interleave(numbers: NDArray[np.int64]) -> Ints:
    """Put a zero between the bits of numbers below 2**26."""
    spread = numbers.astype(np.int64)
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        spread = (spread | (spread << shift)) & mask
    return spread
