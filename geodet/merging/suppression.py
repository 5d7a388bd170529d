"""Decide which boxes survive greedy suppression, also while stronger boxes may yet come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.boxes import Detections
from geodet.merging.sweeps import Overlap, OverlapPairs, pairs_between, pairs_within

__all__ = ["State", "SuppressionRule", "decide", "settle"]

States = NDArray[np.int8]

_CROWD = 48  # candidates for each box above which the stronger half is settled first
_FEW = 512  # boxes among which all pairs may be compared
_ROUNDS = 12  # what is left then are chains, which are quicker to follow one by one


class State(IntEnum):
    """What is known of a box."""

    KEPT = 0
    DROPPED = 1
    WAITING = 2


@dataclass(frozen=True, slots=True)
class SuppressionRule:
    """Which box of two of one class drops the other."""

    iou_threshold: float
    """Intersection over union above which the stronger box drops the weaker one."""
    inside_threshold: float = math.inf
    """Part of a cut box inside a complete one above which it goes too; never at 1 and more."""


def decide(ranked: Detections, cut: Bools, rule: SuppressionRule, waits: Bools) -> States:
    """Decide which detections survive, class by class; complete boxes are stronger than cut ones.

    Args:
        ranked: N detections of one frame, as :meth:`Detections.ranked` sorts them.
        cut: (N, 4) sides that the edge of a window cuts.
        rule: Which box drops which.
        waits: (N,) boxes that may yet meet a stronger one: they cannot be kept now.

    Returns:
        (N,) states. A box waits if it must, or if a box that waits would drop it; whatever else
        comes, the others stay as they are.
    """
    is_cut: Bools = np.any(cut, axis=1)
    states = np.zeros(len(ranked), np.int8)
    for rows in _rows_by_class(ranked.labels):
        boxes = ranked.boxes.take(rows, axis=0)
        states[rows] = _decide_class(boxes, is_cut[rows], rule, waits[rows])
    return states


def _rows_by_class(labels: Ints) -> list[Ints]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(labels) else []


def _decide_class(boxes: Floats, is_cut: Bools, rule: SuppressionRule, waits: Bools) -> States:
    if not is_cut.any():
        return _decide_equals(boxes, rule.iou_threshold, waits)
    order = np.argsort(is_cut, kind="stable")
    complete = len(boxes) - int(is_cut.sum())
    overlap = Overlap(rule.iou_threshold, rule.inside_threshold)
    states = np.zeros(len(boxes), np.int8)
    states[order] = _decide_in_two(boxes[order], complete, overlap, waits[order])
    return states


def _decide_equals(boxes: Floats, iou_threshold: float, waits: Bools) -> States:
    """Decide on boxes of one class, the strongest first: (N,) states.

    Where boxes crowd, the stronger half is settled first: what it keeps overlaps little and drops
    most of the weaker half, so that not all pairs of a crowd are listed.
    """
    overlap = Overlap(iou_threshold)
    pairs = pairs_within(boxes, overlap)
    if len(boxes) <= _FEW or pairs.candidates <= _CROWD * len(boxes):
        return settle(*_list(pairs), waits)
    del pairs  # they may be large, and the halves find their own
    return _decide_in_two(boxes, len(boxes) // 2, overlap, waits)


def _decide_in_two(boxes: Floats, first: int, overlap: Overlap, waits: Bools) -> States:
    """Decide on the first boxes, then on what they leave of the others: (N,) states."""
    upper = _decide_equals(boxes[:first], overlap.iou, waits[:first])
    lower = _decide_below(boxes[:first], upper, boxes[first:], overlap, waits[first:])
    left = np.flatnonzero(lower != State.DROPPED)
    still = lower[left] == State.WAITING
    lower[left] = _decide_equals(boxes[first:].take(left, axis=0), overlap.iou, still)
    return np.concatenate([upper, lower])


def _decide_below(
    above: Floats, states: States, boxes: Floats, overlap: Overlap, waits: Bools
) -> States:
    """Decide what settled boxes do to weaker ones, which are not compared with each other."""
    below = _first_states(waits)
    for state, effect in ((State.WAITING, State.WAITING), (State.KEPT, State.DROPPED)):
        for _, met in pairs_between(above[states == state], boxes, overlap):
            below[met] = effect
    return below


def _first_states(waits: Bools) -> States:
    return np.where(waits, State.WAITING, State.KEPT).astype(np.int8)


def _list(pairs: OverlapPairs) -> tuple[Ints, Ints]:
    """List pairs, the stronger box first."""
    parts = [(np.minimum(a, b), np.maximum(a, b)) for a, b in pairs]
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    strong, weak = zip(*parts, strict=True)
    return np.concatenate(strong), np.concatenate(weak)


def settle(strong: Ints, weak: Ints, waits: Bools) -> States:
    """Decide which boxes survive from the pairs of rivals among them.

    In rounds: a box with no stronger rival left is settled, and it drops its rivals or makes them
    wait. A round settles at least the strongest box of every cluster.

    Args:
        strong: (P,) rank of the stronger box of each pair, from 0 for the strongest of all.
        weak: (P,) rank of the other.
        waits: (N,) by rank, boxes that may yet meet a stronger one.

    Returns:
        (N,) states, by rank.
    """
    states = _first_states(waits)
    for _ in range(_ROUNDS if len(strong) else 0):
        beaten = np.zeros(len(waits), np.bool_)
        beaten[weak] = True
        led = ~beaten[strong]
        by_kept = led & (states[strong] == State.KEPT)
        states[weak[led & ~by_kept]] = State.WAITING
        states[weak[by_kept]] = State.DROPPED
        still = ~led & (states[strong] != State.DROPPED) & (states[weak] != State.DROPPED)
        strong, weak = strong[still], weak[still]
    return _settle_one_by_one(strong, weak, states) if len(strong) else states


def _settle_one_by_one(strong: Ints, weak: Ints, states: States) -> States:
    """Settle what the rounds leave, chains of rivals: (N,) states."""
    order = np.argsort(strong)
    settled = states.tolist()
    for a, b in zip(strong[order].tolist(), weak[order].tolist(), strict=True):
        if settled[a] != State.DROPPED and settled[b] != State.DROPPED:
            settled[b] = State.WAITING if settled[a] == State.WAITING else State.DROPPED
    return np.array(settled, np.int8)
