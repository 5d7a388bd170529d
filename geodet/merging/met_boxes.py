"""Pairs of boxes that show one object, and which of them are dropped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Bools, Ints
from geodet.merging.suppression import BoxState, initial_states, settle_round

__all__ = ["ROW_BITS", "MetPairs", "identify_rows", "settle_pairs"]

ROW_BITS = 40
"""Low bits of a box's identifier, which hold its row; the higher bits hold its scene's number."""

MetPairs = Ints
"""(P, 2) identifiers of boxes of one class and two scenes that overlap enough, the stronger box
first."""


def identify_rows(scenes: Ints, rows: Ints) -> Ints:
    """Return the identifiers of boxes: (N,).

    Args:
        scenes: (N,) numbers of their scenes.
        rows: (N,) rows of the boxes in their scenes.
    """
    return (scenes << ROW_BITS) + rows


def settle_pairs(pairs: MetPairs, is_open: Bools) -> tuple[Ints, MetPairs]:
    """Find the boxes that stronger ones drop, and the pairs that cannot be decided yet.

    Pairs of two boxes of open scenes need not be given: nothing is decided by them.

    Args:
        pairs: All pairs that are known of the boxes of scenes that are not open.
        is_open: (S,) scenes whose boxes may yet meet others.

    Returns:
        The identifiers of the boxes that are dropped, ascending, whatever is found later; and the
        pairs of which both boxes wait for others.
    """
    ids, met = np.unique(pairs, return_inverse=True)
    met = met.reshape(-1, 2)
    states = _states(met, is_open[ids >> ROW_BITS])
    left: Bools = (states == BoxState.WAITING)[met].all(axis=1)
    return ids[states == BoxState.DROPPED], pairs[left]


def _states(pairs: Ints, waits: Bools) -> NDArray[np.int8]:
    """Compute which boxes survive, in rounds that need no order of all boxes: (N,).

    There are as many rounds as boxes in the longest chain of weaker and weaker ones, which
    alternate between scenes: a few.
    """
    states = initial_states(waits)
    strong, weak = pairs.T
    while len(strong):
        strong, weak = settle_round(strong, weak, states)
    return states
