"""The score thresholds of an evaluation: what the settings say, or else the model or the file."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from geodet.geometry.boxes import Detections

__all__ = ["LOWEST_SCORE", "choose_by_class", "lowest_score", "warn_of_cut_scores"]

LOWEST_SCORE = 0.05
"""Of the detections in curves and AP; Lin et al. 2017, arXiv:1708.02002, section 4.1."""

logger = logging.getLogger(__name__)


def choose_by_class(
    chosen: float | Mapping[str, float] | None, classes: Sequence[str], lowest: float
) -> list[float]:
    """Return the score threshold of each class of a file; the lowest score where none is chosen.

    Args:
        chosen: ``detect.score_threshold``.
        classes: Names of the classes.
        lowest: Lowest score in the file.
    """
    if isinstance(chosen, Mapping):
        return [chosen.get(name, lowest) for name in classes]
    return [lowest if chosen is None else chosen] * len(classes)


def lowest_score(detections: Detections) -> float:
    """Return the lowest score, rounded down to six decimals."""
    return math.floor(float(detections.scores.min(initial=1.0)) * 1e6) / 1e6


def warn_of_cut_scores(detections: Detections, path: Path) -> None:
    """Warn where weak detections were dropped: average precision counts them, too."""
    lowest = lowest_score(detections)
    if len(np.unique(detections.scores)) > 1 and lowest > 2 * LOWEST_SCORE:
        logger.warning(
            "%s has no score below %.2f: AP is lower than that of evaluate --model, which detects "
            "down to %g; detect with --score-threshold %g to compare",
            path,
            lowest,
            LOWEST_SCORE,
            LOWEST_SCORE,
        )
