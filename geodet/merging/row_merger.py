"""Merge while windows arrive row by row, so that memory holds only what may still change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.boxes import Detections
from geodet.merging.fragments import JoinRule, group_fragments, join_fragments
from geodet.merging.settling import State, SuppressionRule, decide

__all__ = ["RowMerger"]

Bools = NDArray[np.bool_]


class RowMerger:
    """Suppress duplicates as they come from top to bottom, and let go what is final.

    What it gives, all parts together, is what :func:`geodet.merging.seams.suppress_at_seams` gives
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
            cut: (N, 4) from :func:`geodet.merging.seams.cut_sides`; unset: no side is cut.

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
