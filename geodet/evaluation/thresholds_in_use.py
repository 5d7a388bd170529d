"""The score thresholds of an evaluation: those of the settings, else of the model or the file."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from geodet.config.section import name_hint
from geodet.errors import ConfigError
from geodet.geometry.arrays import Floats

__all__ = ["LOWEST_SCORE", "choose_by_class", "lowest_score", "warn_of_cut_scores"]

LOWEST_SCORE = 0.05
"""Lowest score of detections in curves and AP; Lin et al. 2017, arXiv:1708.02002, section 4.1."""

logger = logging.getLogger(__name__)


def choose_by_class(
    chosen: float | Mapping[str, float] | None,
    classes: Sequence[str],
    lowest: float,
    counted_as: Mapping[str, int],
) -> list[float]:
    """Return the score threshold of each class of a file; the lowest score where none is chosen.

    Where several classes of the detections count as one, it has the lowest of their thresholds.

    Args:
        chosen: ``detect.score_threshold``.
        classes: Names of the classes.
        lowest: Lowest score in the file.
        counted_as: Index of the class that each class of the detections counts as; -1: it does not
            count.

    Raises:
        ConfigError: A threshold is of another class.
    """
    if not isinstance(chosen, Mapping):
        return [lowest if chosen is None else chosen] * len(classes)
    label_of = {**counted_as, **{name: label for label, name in enumerate(classes)}}
    of_label: list[list[float]] = [[] for _ in classes]
    for name, threshold in chosen.items():
        if name not in label_of:
            raise ConfigError(
                f"detect.score_threshold: {name!r} is neither a class of the detections nor of the "
                "evaluation",
                hint=name_hint(name, sorted(label_of), "classes"),
                key="detect.score_threshold",
            )
        if label_of[name] >= 0:
            of_label[label_of[name]].append(threshold)
    return [min(thresholds, default=lowest) for thresholds in of_label]


def lowest_score(scores: Floats) -> float:
    """Return the lowest score of a file, rounded down to six decimals.

    Args:
        scores: (N,) as the file has them: float32 of 0.1 is more than 0.1.

    Example:
        >>> lowest_score(np.array([0.7, 0.9])), lowest_score(np.array([0.7 - 1e-12]))
        (0.7, 0.699999)
    """
    lowest = float(scores.min(initial=1.0))
    rounded = round(lowest, 6)
    return rounded if rounded <= lowest else round(rounded - 1e-6, 6)


def warn_of_cut_scores(scores: Floats, path: Path) -> None:
    """Warn where weak detections were dropped: average precision counts them, too."""
    lowest = lowest_score(scores)
    if len(np.unique(scores)) > 1 and lowest > 2 * LOWEST_SCORE:
        logger.warning(
            "%s has no score below %.2f: AP is lower than that of evaluate with a model, which "
            "detects down to %g; detect with score_threshold=%g (--score-threshold) to compare",
            path,
            lowest,
            LOWEST_SCORE,
            LOWEST_SCORE,
        )
