"""Pairs of boxes that show one object, and which of them are dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Bools, Ints
from geodet.geometry.boxes import Detections
from geodet.merging.suppression import BoxState, states_from_pairs

__all__ = ["MET_BOX", "MetPairs", "rank_boxes", "settle_pairs"]

MET_BOX = np.dtype([("id", "i8"), ("score", "f4"), ("scene", "i4"), ("bounds", "f8", (4,))])
"""A box of a pair: an identifier, its score, the number of its scene, its bounds on the ground."""

MetPairs = NDArray[Any]
"""(P, 2) of :data:`MET_BOX`: boxes of one class and two scenes that overlap enough."""


def settle_pairs(pairs: MetPairs, name_ranks: Ints, is_open: Bools) -> tuple[Ints, MetPairs]:
    """Find the boxes that stronger ones drop, and the pairs that cannot be decided yet.

    Equal scores are taken by position, then by the scene's name.

    Args:
        pairs: All pairs that are known of their boxes.
        name_ranks: (S,) place of each scene's name in alphabetical order, by the scene's number.
        is_open: (S,) scenes whose boxes may yet meet others.

    Returns:
        The identifiers of the boxes that are dropped, ascending, whatever is found later; and the
        pairs of which both boxes wait for others.
    """
    ids, first, inverse = np.unique(pairs["id"].ravel(), return_index=True, return_inverse=True)
    boxes = pairs.ravel()[first]
    rank = rank_boxes(boxes, name_ranks)
    met = rank[inverse].reshape(-1, 2)
    waits = np.zeros(len(boxes), np.bool_)
    waits[rank] = is_open[boxes["scene"]]
    states = states_from_pairs(met.min(axis=1), met.max(axis=1), waits)
    left = (states[met] == BoxState.WAITING).all(axis=1)
    return ids[states[rank] == BoxState.DROPPED], pairs[left]


def rank_boxes(boxes: NDArray[Any], name_ranks: Ints) -> Ints:
    """Return the rank of each box, from 0 for the strongest.

    Args:
        boxes: (N,) of :data:`MET_BOX`.
        name_ranks: (S,) place of each scene's name in alphabetical order, by the scene's number.
    """
    found = Detections(boxes["bounds"], boxes["score"], np.zeros(len(boxes), np.int64))
    rank = np.empty(len(boxes), np.int64)
    rank[found.ranking(name_ranks[boxes["scene"]])] = np.arange(len(boxes))
    return rank
