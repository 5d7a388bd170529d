"""Join what overlapping windows found: ownership by core, then exact suppression of duplicates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Bools
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.merging.fragments import JoinRule, group_fragments, join_fragments
from geodet.merging.suppression import State, SuppressionRule, decide

__all__ = ["RowMerger", "cut_sides", "keep_owned", "suppress", "suppress_at_seams"]


def cut_sides(
    detections: Detections, window: Window, *, width: int, height: int, tolerance: float = 1.0
) -> Bools:
    """Tell which sides of boxes the edges of their window cut.

    A side is cut if it lies within the tolerance of the window's edge, or beyond, and the raster
    goes on behind that edge. An object that happens to end there counts as cut as well.

    Args:
        detections: N found in the window, in the pixels of the raster.
        window: Where they were found.
        width: Of the raster.
        height: Of the raster.
        tolerance: Pixels.

    Returns:
        (N, 4): left, top, right, bottom, as the columns of the boxes.
    """
    x1, y1, x2, y2 = detections.boxes.T
    return np.stack(
        [
            (x1 <= window.col_off + tolerance) & (window.col_off > 0),
            (y1 <= window.row_off + tolerance) & (window.row_off > 0),
            (x2 >= window.col_end - tolerance) & (window.col_end < width),
            (y2 >= window.row_end - tolerance) & (window.row_end < height),
        ],
        axis=1,
    )


def suppress_at_seams(
    detections: Detections, cut: Bools, *, iou_threshold: float, inside_threshold: float = 0.5
) -> tuple[Detections, Bools]:
    """Remove duplicates, where a fragment loses to a complete box whatever their scores.

    The rule is greedy suppression, class by class, in another order and with one more reason:
    complete boxes come before cut ones, and among each the stronger first. A box goes if one that
    was kept overlaps it by more than the threshold; a cut box also goes if more than a part of its
    own area is inside a complete one that was kept. That part is of the fragment's area and not of
    the smaller box: a fragment lies in its object, but a small object on a large cut one does not
    make it a duplicate. Idempotent, and independent of the order of the input.

    Args:
        detections: N of one frame.
        cut: (N, 4) from :func:`cut_sides`.
        iou_threshold: Overlap above which a box goes.
        inside_threshold: Part of a cut box; at 1 and more only the overlap counts.

    Returns:
        The M survivors, ranked, and their (M, 4) cut sides.
    """
    order = detections.ranking(*cut.T)
    ranked, cut = detections.select(order), cut[order]
    rule = SuppressionRule(iou_threshold, inside_threshold)
    states = decide(ranked, cut, rule, np.zeros(len(ranked), np.bool_))
    kept = states == State.KEPT
    return ranked.select(kept), cut[kept]


class RowMerger:
    """Suppress duplicates as they come from top to bottom, and let go what is final.

    What it gives, all parts together, is what :func:`geodet.merging.merger.suppress_at_seams` gives
    of everything at once, with :func:`geodet.merging.fragments.join_fragments` after it where there
    is a rule for joining. It holds the detections that reach below the last settled row, and those
    whose fate depends on them through a chain of stronger rivals or of fragments.

    Args:
        rule: Which box drops which.
        join: Which boxes are fragments of one object; unset: none is joined.

    Example:
        >>> merger = RowMerger(SuppressionRule(iou_threshold=0.5))
        >>> merger.add(Detections(np.array([[0, 0, 9, 4], [0, 5, 9, 9.]]), [0.5, 0.6], [0, 0]))
        >>> [len(merger.settle(8.0)), len(merger), len(merger.finish())]
        [1, 1, 1]
    """

    def __init__(self, rule: SuppressionRule, join: JoinRule | None = None) -> None:
        self._rule = rule
        self._join = join
        self._row = -math.inf
        self._undecided: list[_Part] = []
        self._survivors = _Part.empty()  # decided, but they may be joined with what comes

    def __len__(self) -> int:
        """Count the detections that it holds."""
        return sum(map(len, self._undecided)) + len(self._survivors)

    def add(self, detections: Detections, cut: Bools | None = None) -> None:
        """Take detections, in the scene's pixels.

        Args:
            detections: N of them, in any order.
            cut: (N, 4) from :func:`geodet.merging.merger.cut_sides`; unset: no side is cut.

        Raises:
            ValueError: A box begins above the row that was settled.
        """
        tops = detections.boxes[:, 1]
        if np.any(tops < self._row):
            raise ValueError(f"a box begins at row {tops.min():g}, above row {self._row:g}")
        none = np.zeros((len(detections), 4), np.bool_)
        self._undecided.append(_Part(detections, none if cut is None else cut))

    def settle(self, row: float) -> Detections:
        """Give the detections that nothing still to come can change, ranked.

        Args:
            row: A promise: every box still to come has its upper side at or below it (y1 >= row).
        """
        self._row = max(self._row, row)
        found = _Part.concatenate(self._undecided)
        found = found.select(found.detections.ranking(*found.cut.T))
        waits = found.detections.boxes[:, 3] > self._row
        states = decide(found.detections, found.cut, self._rule, waits)
        waiting = found.select(states == State.WAITING)
        self._undecided = [waiting]
        kept = found.select(states == State.KEPT)
        return kept.detections if self._join is None else self._let_go(kept, waiting, self._join)

    def finish(self) -> Detections:
        """Give the rest, ranked."""
        return self.settle(math.inf)

    def _let_go(self, kept: _Part, waiting: _Part, join: JoinRule) -> Detections:
        """Join the survivors whose fragments have all come, and hold the others back."""
        survivors = _Part.concatenate([self._survivors, kept])
        both = _Part.concatenate([survivors, waiting])
        reaches = both.detections.boxes[:, 3] >= self._row - join.tolerance
        waits = np.any(both.cut, axis=1) & reaches
        waits[len(survivors) :] = True
        groups = group_fragments(both.detections, both.cut, join)
        held = np.isin(groups, groups[waits])[: len(survivors)]
        self._survivors = survivors.select(held)
        free = survivors.select(~held)
        return join_fragments(free.detections, free.cut, rule=join)[0]


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
    could disown it; with slack both may keep it, and :func:`suppress` removes one.

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
        detections: Of one frame, N of them.
        iou_threshold: Overlap above which the weaker box goes.

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
