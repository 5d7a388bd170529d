"""Choose places that are worth much and lie apart."""

from __future__ import annotations

import math

import numpy as np

from geodet.geometry.arrays import Floats, Ints

__all__ = ["choose_spread"]

_TOUCHING = 1.5  # sides between the centres: more than from corner to corner of two neighbours


def choose_spread(
    values: Floats,
    centres: Floats,
    sides: Floats,
    budget: int,
    *,
    taken: Floats | None = None,
) -> Ints:
    """Choose places one by one: the value times the distance to the nearest one that is chosen.

    A distance counts up to the side of the square that each chosen place would have to itself if
    they were spread evenly. Places that touch a chosen one come last, by their distance alone, as
    do places without a value.

    It is the greedy rule for k centres, weighed by the values. The first place is that of the
    highest value.

    Args:
        values: (M,) at least 0.
        centres: (M, 2) in any unit.
        sides: (M,) sides of the places in the same unit.
        budget: Places to choose.
        taken: (T, 2) places that are chosen already.

    Returns:
        At most ``budget`` rows, in the order in which they are chosen.

    Reference:
        Sener, Savarese 2018, "Active learning for convolutional neural networks: a core-set
        approach", arXiv:1708.00489, algorithm 1.

    Example:
        >>> places = np.array([[0.0, 0], [1, 0], [9, 0], [5, 0]])
        >>> choose_spread(np.array([3.0, 2.9, 1, 0]), places, np.ones(4), 2).tolist()
        [0, 2]
    """
    count = min(budget, len(values))
    spacing = math.sqrt(float((sides**2).sum()) / max(count, 1))
    nearest = np.full(len(values), np.inf)
    for place in np.zeros((0, 2)) if taken is None else taken:
        nearest = np.minimum(nearest, _distances(centres, place))
    chosen: list[int] = []
    is_left = np.ones(len(values), np.bool_)
    for _ in range(count):
        apart = np.where(nearest < _TOUCHING * sides, 0.0, np.minimum(nearest / spacing, 1.0))
        gains = np.where(is_left, values * apart, -1.0)
        best = int(gains.argmax())
        if gains[best] <= 0:  # nothing of value lies apart
            best = int(np.where(is_left, nearest, -1.0).argmax())
        chosen.append(best)
        is_left[best] = False
        nearest = np.minimum(nearest, _distances(centres, centres[best]))
    return np.array(chosen, np.int64)


def _distances(centres: Floats, place: Floats) -> Floats:
    distances: Floats = np.hypot(*(centres - place).T)
    return distances
