"""Scores as files hold them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats

__all__ = ["written_scores"]


def written_scores(scores: NDArray[np.float32]) -> Floats:
    """Return scores as files hold them: float64, rounded to six decimals.

    So a score that was read from such a file and is compared with a threshold in float64 is on the
    same side of it as in the file.

    Args:
        scores: (N,) scores of detections.

    Example:
        >>> float(np.float32(0.7)), written_scores(np.float32([0.7])).tolist()
        (0.699999988079071, [0.7])
    """
    written: Floats = scores.astype(np.float64).round(6)
    return written
