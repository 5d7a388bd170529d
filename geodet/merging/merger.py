"""Merging of the detections of overlapping windows: ownership, and suppression of duplicates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Bools, Floats
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.merging.fragments import JoinRule, group_fragments, join_fragments
from geodet.merging.suppression import BoxState, SuppressionRule, suppression_states

__all__ = ["RowMerger", "keep_owned", "suppress"]


_ALL = -math.inf, math.inf  # columns, where there is one strip


class RowMerger:
    """Suppresses duplicates while detections come row by row of a strip, in bounded memory.

    The rule is greedy suppression, class by class, with two changes. Complete boxes come before cut
    ones, whatever their scores; among each kind the stronger comes first. And a box is dropped not
    only if a kept one overlaps it by more than the threshold: a cut box is also dropped if more
    than a share of its own area is inside a complete box that was kept. The share is of the cut
    box, not of the smaller of the two: a fragment lies inside its object, but a small object on a
    large cut one is no duplicate of it.

    All parts together equal suppression of everything at once, followed by
    :func:`geodet.merging.fragments.join_fragments` where there is a rule for joining. The result
    depends neither on the order of the input nor on how it is divided. The merger holds the
    detections that reach to where others may still begin, and those that depend on them through a
    chain of overlapping boxes or of fragments.

    Args:
        rule: Which box drops which.
        join: Which boxes are fragments of one object; None: none is joined.

    Example:
        >>> merger = RowMerger(SuppressionRule(iou_threshold=0.5))
        >>> merger.add(Detections(np.array([[0, 0, 9, 4], [0, 5, 9, 9.]]), [0.5, 0.6], [0, 0]))
        >>> [len(merger.settle(8.0)), len(merger), len(merger.finish())]
        [1, 1, 1]
    """

    def __init__(self, rule: SuppressionRule, join: JoinRule | None = None) -> None:
        self._rule = rule
        self._join = join
        self._row, self._columns = -math.inf, _ALL
        self._undecided: list[_Part] = []
        self._survivors = _Part.empty()  # decided, but they may be joined with what comes

    def __len__(self) -> int:
        """The number of detections that it holds."""
        return sum(map(len, self._undecided)) + len(self._survivors)

    def add(self, detections: Detections, cut: Bools | None = None) -> None:
        """Add detections, in the scene's pixels.

        Args:
            detections: N of them, in any order.
            cut: (N, 4) from :func:`geodet.merging.fragments.cut_sides`; None: no side is cut.

        Raises:
            ValueError: A box begins above the row that was settled.
        """
        lefts, tops = detections.boxes[:, 0], detections.boxes[:, 1]
        if np.any(early := ~self._is_open(lefts, tops)):
            x, y = detections.boxes[np.argmax(early), :2].tolist()
            raise ValueError(
                f"a box begins at column {x:g}, row {y:g}, where row {self._row:g} of the columns "
                f"{self._columns[0]:g} to {self._columns[1]:g} is settled"
            )
        none = np.zeros((len(detections), 4), np.bool_)
        self._undecided.append(_Part(detections, none if cut is None else cut))

    def settle(self, row: float, columns: tuple[float, float] = _ALL) -> Detections:
        """Return the detections that nothing still to come can change, ranked.

        Args:
            row: Every box still to come begins at or below this row (y1 >= row).
            columns: First columns of this strip and of the next one: every box still to come begins
                at or right of the next strip; or at or right of this one, and then at or below
                ``row``.
        """
        is_same = columns == self._columns
        self._row, self._columns = max(self._row, row) if is_same else row, columns
        found = _Part.concatenate(self._undecided)
        found = found.select(found.detections.ranking(*found.cut.T))
        waits = self._can_meet(found.detections)
        states = suppression_states(found.detections, found.cut, self._rule, waits)
        waiting = found.select(states == BoxState.WAITING)
        self._undecided = [waiting]
        kept = found.select(states == BoxState.KEPT)
        return (
            kept.detections
            if self._join is None
            else self._join_complete_groups(kept, waiting, self._join)
        )

    def finish(self) -> Detections:
        """Return the rest, ranked."""
        return self.settle(math.inf)

    def _join_complete_groups(self, kept: _Part, waiting: _Part, join: JoinRule) -> Detections:
        """Join the survivors whose fragments have all come; hold the others back."""
        survivors = _Part.concatenate([self._survivors, kept])
        both = _Part.concatenate([survivors, waiting])
        waits = np.any(both.cut, axis=1) & self._can_meet(both.detections, reach=join.tolerance)
        waits[len(survivors) :] = True
        groups = group_fragments(both.detections, both.cut, join)
        held = np.isin(groups, groups[waits])[: len(survivors)]
        self._survivors = survivors.select(held)
        free = survivors.select(~held)
        return join_fragments(free.detections, free.cut, rule=join)[0]

    def _is_open(self, x: Floats, y: Floats) -> Bools:
        """Whether boxes that begin there may still come."""
        left, right = self._columns
        return (x >= right) | ((x >= left) & (y >= self._row))

    def _can_meet(self, detections: Detections, *, reach: float = 0.0) -> Bools:
        """Whether detections reach to where others may still begin."""
        left, right = (column - reach for column in self._columns)
        x, y = detections.boxes[:, 2], detections.boxes[:, 3]
        return (x >= right) | ((x >= left) & (y >= self._row - reach))


@dataclass(frozen=True, slots=True)
class _Part:
    """Detections and their cut sides."""

    detections: Detections
    cut: Bools

    @staticmethod
    def empty() -> _Part:
        return _Part(Detections.empty(), np.zeros((0, 4), np.bool_))

    @staticmethod
    def concatenate(parts: list[_Part]) -> _Part:
        cut = np.concatenate([np.zeros((0, 4), np.bool_), *(part.cut for part in parts)])
        return _Part(Detections.concatenate([part.detections for part in parts]), cut)

    def __len__(self) -> int:
        return len(self.detections)

    def select(self, which: NDArray[Any]) -> _Part:
        return _Part(self.detections.select(which), self.cut[which])


_AT_ONCE = 1 << 19  # boxes; more are merged band by band, which takes less memory and time


def keep_owned(detections: Detections, core: Window, *, slack: float) -> Detections:
    """Keep the detections whose centre lies in a window's core, widened by some slack.

    Two windows predict slightly different centres for one object on a seam. With strict cores both
    could drop it; with slack both may keep it, and suppression removes one.

    Args:
        detections: In the same pixels as the core.
        core: The part of the raster that the window owns.
        slack: Pixels that the core grows on every side.
    """
    low = np.array([core.col_off - slack, core.row_off - slack])
    high = np.array([core.col_end + slack, core.row_end + slack])
    centres = detections.centres
    return detections.select(np.all((centres >= low) & (centres < high), axis=1))


def suppress(detections: Detections, *, iou_threshold: float) -> Detections:
    """Remove duplicates by greedy non-maximum suppression, class by class, in float64.

    Equal to the definition: take the strongest box left, drop those of its class that overlap it by
    more than the threshold, repeat. Equal scores are taken from top to bottom, left to right.
    Idempotent, and the result does not depend on the order of the input. The time grows with the
    number of boxes, also where they crowd.

    Args:
        detections: N detections of one frame.
        iou_threshold: IoU above which the weaker box is dropped.

    Returns:
        The survivors, ranked.
    """
    merger = RowMerger(SuppressionRule(iou_threshold))
    if len(detections) <= _AT_ONCE:
        merger.add(detections)
        return merger.finish()
    return Detections.concatenate(list(_merge_bands(detections, merger))).ranked()


def _merge_bands(detections: Detections, merger: RowMerger) -> Iterator[Detections]:
    tops = detections.boxes[:, 1]
    order = np.argsort(tops)
    for start in range(0, len(order), _AT_ONCE):
        merger.add(detections.select(order[start : start + _AT_ONCE]))
        later = order[start + _AT_ONCE :][:1]
        yield merger.settle(tops[later[0]]) if len(later) else merger.finish()
