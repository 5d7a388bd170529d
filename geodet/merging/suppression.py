"""Greedy suppression of duplicates, also while stronger boxes may yet come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.boxes import Detections
from geodet.merging.overlapping_pairs import OverlapPairs, OverlapRule, pairs_between, pairs_within

__all__ = [
    "BoxState",
    "SuppressionRule",
    "initial_states",
    "settle_round",
    "states_from_pairs",
    "suppression_states",
]

_States = NDArray[np.int8]

_CROWD = 48  # candidates for each box, above which the stronger half is settled first
_FEW = 512  # boxes among which all pairs may be compared
_ROUNDS = 12  # what is left then are chains, which are quicker to follow one by one


class BoxState(IntEnum):
    """Whether a box survives suppression."""

    KEPT = 0
    DROPPED = 1
    WAITING = 2


@dataclass(frozen=True, slots=True)
class SuppressionRule:
    """The rule by which one box drops another of its class."""

    iou_threshold: float
    """Intersection over union above which the stronger box drops the weaker one."""
    inside_threshold: float = math.inf
    """Share of a cut box inside a complete one above which the cut one is dropped, too; 1 or more:
    never."""


def suppression_states(
    ranked: Detections, cut: Bools, rule: SuppressionRule, waits: Bools
) -> _States:
    """Compute which detections survive suppression, class by class.

    Complete boxes come before cut ones, whatever their scores.

    Args:
        ranked: N detections of one frame, as :meth:`Detections.ranked` sorts them.
        cut: (N, 4) sides that the edge of a window cuts.
        rule: Which box drops which.
        waits: (N,) boxes that may yet overlap a stronger one: they cannot be kept now.

    Returns:
        (N,) states. A box waits if ``waits`` is true for it, or if one that waits would drop it.
        More detections change the state of no other box.
    """
    is_cut: Bools = np.any(cut, axis=1)
    states, shapes = np.zeros(len(ranked), np.int8), ranked.shapes
    for rows in _rows_by_class(ranked.labels):
        boxes = shapes.take(rows, axis=0)
        states[rows] = _states_in_class(boxes, is_cut[rows], rule, waits[rows])
    return states


def _rows_by_class(labels: Ints) -> list[Ints]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(labels) else []


def _states_in_class(boxes: Floats, is_cut: Bools, rule: SuppressionRule, waits: Bools) -> _States:
    if not is_cut.any():
        return _states_by_rank(boxes, rule.iou_threshold, waits)
    order = np.argsort(is_cut, kind="stable")
    complete = len(boxes) - int(is_cut.sum())
    overlap = OverlapRule(rule.iou_threshold, rule.inside_threshold)
    states = np.zeros(len(boxes), np.int8)
    states[order] = _states_in_two_steps(boxes[order], complete, overlap, waits[order])
    return states


def _states_by_rank(boxes: Floats, iou_threshold: float, waits: Bools) -> _States:
    """Compute the states of boxes of one class that are ranked: (N,).

    Where boxes crowd, the stronger half is settled first: what it keeps overlaps little and drops
    most of the weaker half, so that not all pairs of a crowd are listed.
    """
    overlap = OverlapRule(iou_threshold)
    pairs = pairs_within(boxes, overlap)
    if len(boxes) <= _FEW or pairs.candidates <= _CROWD * len(boxes):
        return states_from_pairs(*_strong_and_weak(pairs), waits)
    del pairs  # they may be large, and the halves find their own
    return _states_in_two_steps(boxes, len(boxes) // 2, overlap, waits)


def _states_in_two_steps(boxes: Floats, first: int, overlap: OverlapRule, waits: Bools) -> _States:
    """Compute the states of the first boxes, then of what they leave of the others: (N,)."""
    upper = _states_by_rank(boxes[:first], overlap.iou, waits[:first])
    lower = _states_below(boxes[:first], upper, boxes[first:], overlap, waits[first:])
    left = np.flatnonzero(lower != BoxState.DROPPED)
    still = lower[left] == BoxState.WAITING
    lower[left] = _states_by_rank(boxes[first:].take(left, axis=0), overlap.iou, still)
    return np.concatenate([upper, lower])


def _states_below(
    above: Floats, states: _States, boxes: Floats, overlap: OverlapRule, waits: Bools
) -> _States:
    """Compute which weaker boxes settled ones drop; the weaker are not compared with each other."""
    below = initial_states(waits)
    for state, effect in ((BoxState.WAITING, BoxState.WAITING), (BoxState.KEPT, BoxState.DROPPED)):
        for _, met in pairs_between(above[states == state], boxes, overlap):
            below[met] = effect
    return below


def initial_states(waits: Bools) -> _States:
    """Return the states of (N,) boxes before any pair is decided."""
    return np.where(waits, BoxState.WAITING, BoxState.KEPT).astype(np.int8)


def _strong_and_weak(pairs: OverlapPairs) -> tuple[Ints, Ints]:
    """List the pairs with the stronger box first: (P,) and (P,) ranks."""
    parts = [(np.minimum(a, b), np.maximum(a, b)) for a, b in pairs]
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    strong, weak = zip(*parts, strict=True)
    return np.concatenate(strong), np.concatenate(weak)


def states_from_pairs(strong: Ints, weak: Ints, waits: Bools) -> _States:
    """Compute which boxes survive suppression from the pairs that overlap enough.

    It works in rounds, see :func:`settle_round`, each of which settles at least the strongest box
    of every cluster.

    Args:
        strong: (P,) rank of the stronger box of each pair, from 0 for the strongest of all.
        weak: (P,) rank of the other.
        waits: (N,) by rank, boxes that may yet overlap a stronger one.

    Returns:
        (N,) states, by rank.
    """
    states = initial_states(waits)
    for _ in range(_ROUNDS if len(strong) else 0):
        strong, weak = settle_round(strong, weak, states)
    return _settle_chains(strong, weak, states) if len(strong) else states


def settle_round(strong: Ints, weak: Ints, states: _States) -> tuple[Ints, Ints]:
    """Settle the boxes that no stronger box overlaps any more: they drop boxes, or make them wait.

    Args:
        strong: (P,) index of the stronger box of each pair.
        weak: (P,) index of the other.
        states: (N,) states; changed in place.

    Returns:
        The pairs that are not decided yet, as ``strong`` and ``weak``.
    """
    is_overlapped = np.zeros(len(states), np.bool_)
    is_overlapped[weak] = True
    is_settled = ~is_overlapped[strong]
    by_kept = is_settled & (states[strong] == BoxState.KEPT)
    states[weak[is_settled & ~by_kept]] = BoxState.WAITING
    states[weak[by_kept]] = BoxState.DROPPED
    left = ~is_settled & (states[strong] != BoxState.DROPPED) & (states[weak] != BoxState.DROPPED)
    return strong[left], weak[left]


def _settle_chains(strong: Ints, weak: Ints, states: _States) -> _States:
    """Settle the chains of overlapping boxes that the rounds leave: (N,) states."""
    order = np.argsort(strong)
    settled = states.tolist()
    for a, b in zip(strong[order].tolist(), weak[order].tolist(), strict=True):
        if settled[a] != BoxState.DROPPED and settled[b] != BoxState.DROPPED:
            settled[b] = BoxState.WAITING if settled[a] == BoxState.WAITING else BoxState.DROPPED
    return np.array(settled, np.int8)
