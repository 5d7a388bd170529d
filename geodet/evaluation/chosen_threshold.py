"""Choose a score threshold between two scores, for detections in memory and in a file alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.written_scores import written_scores

__all__ = ["choose_between", "show_threshold"]

_HALF_STEP = 5e-7  # of scores that are written
_NEAR = 2e-7  # float32 scores that differ less may change places where they are computed again


def choose_between(
    scores: NDArray[np.float32], low: float | None, high: float, *, lowest: float
) -> float:
    """Choose a threshold near the middle of two scores, with few decimals.

    Scores are compared with it in float32 as they are found, and in float64 as they are written: it
    is near no score, or else half a millionth below one that is written.

    Args:
        scores: (K,) distinct, decreasing; ``high`` is one of them.
        low: The highest score to leave out; None: there is none.
        high: The lowest score to keep.
        lowest: Least threshold.
    """
    floor = lowest if low is None else max(low, lowest)
    middle = (floor + high) / 2
    kept = int(np.sum(scores >= np.float32(middle)))
    above = scores[kept - 1 : kept]
    below = max(floor, float(scores[kept])) if kept < len(scores) else floor
    beside = (float(above[0]) + below) / 2  # where a score is in the middle
    choices = [round(middle, decimals) for decimals in range(2, 7)]
    choices += [round(beside, decimals) for decimals in range(2, 8)]
    for choice in choices:
        is_low = choice < floor or choice == low
        if not is_low and choice < high and _is_clear(choice, scores):
            return choice
    return max(lowest, round(float(written_scores(above)[0]) - _HALF_STEP, 7))


def show_threshold(threshold: float, *, decimals: int = 0) -> str:
    """Write a threshold for people, not rounded: one rounded up would lose objects.

    Args:
        threshold: Lowest score that is kept; more than seven decimals are rounded.
        decimals: How many decimals there are at least, as in a table.

    Example:
        >>> show_threshold(0.360516), show_threshold(0.3), show_threshold(0.3, decimals=3)
        ('0.360516', '0.3', '0.300')
    """
    whole, _, part = f"{threshold:.7f}".partition(".")
    part = part.rstrip("0").ljust(decimals, "0")
    return f"{whole}.{part}" if part else whole


def _is_clear(threshold: float, scores: NDArray[np.float32]) -> bool:
    """Whether each score is as clearly above or below a threshold as its written decimals are."""
    near = np.abs(scores.astype(np.float64) - threshold) < _NEAR
    return not near.any() and np.array_equal(
        scores >= np.float32(threshold), written_scores(scores) >= threshold
    )
