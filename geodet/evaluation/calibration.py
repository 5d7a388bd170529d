"""Calibrate scores: make a score the probability that a detection is right.

A calibrated score is sigmoid(scale * logit(score) + shift), with a scale and a shift that maximise
the likelihood of the labels. With a positive scale the order of the detections stays as it was.

Reference:
    Platt 1999, "Probabilistic outputs for support vector machines", section 2.2; for detectors:
    Kueppers et al. 2020, arXiv:2004.13546.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from geodet.evaluation.threshold_curves import Comparison
from geodet.geometry.arrays import Bools, Floats

__all__ = ["ReliabilityBin", "ScoreScale", "collect_outcomes", "fit_scale", "measure_reliability"]

_EDGE = 1e-6  # scores of 0 and 1 have no logit


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """Turns the scores of a class into probabilities."""

    scale: float
    """Factor on the logit; positive. Below 1: the scores were too close to 0 and 1."""
    shift: float
    """Added to the scaled logit. Below 0: the scores were too high."""

    def __call__(self, scores: Floats) -> Floats:
        """Calibrate (N,) scores.

        Example:
            >>> ScoreScale(1.0, 0.0)(np.array([0.25, 0.5])).tolist()
            [0.25, 0.5]
        """
        probabilities: Floats = expit(self.scale * _logits(scores) + self.shift)
        return probabilities


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Detections of similar scores."""

    low: float
    """Scores of the bin are at least this."""
    high: float
    """Scores of the bin are below this; in the last bin also equal."""
    count: int
    """Detections."""
    score: float
    """Mean score of the detections; NaN without detections."""
    precision: float
    """Share of the detections that is right; NaN without detections."""


def collect_outcomes(
    results: Sequence[Comparison], *, label: int | None = None
) -> tuple[Floats, Bools]:
    """Return the scores of the detections that count, and whether each is right: both (N,).

    A detection is right if counting it, after all with higher scores, matches one more object. One
    in an ignored region that does not is left out.

    Args:
        results: Detections compared with labels.
        label: A class; None: all classes.
    """
    counting = [one.counting(label=label) for one in results]
    scores = [one.detections.scores[k] for one, k in zip(results, counting, strict=True)]
    right = [one.raises[k] for one, k in zip(results, counting, strict=True)]
    nothing = np.zeros(0)
    return (
        np.concatenate([nothing, *scores]).astype(np.float64),
        np.concatenate([nothing, *right]).astype(np.bool_),
    )


def fit_scale(scores: Floats, is_right: Bools) -> ScoreScale:
    """Fit the scale and the shift by maximum likelihood.

    The targets are drawn a little towards each other, as Platt does, so that few detections, or
    such as are all right, give finite numbers.

    Args:
        scores: (N,) from 0 to 1, at least one.
        is_right: (N,) whether each detection is right.
    """
    right = int(is_right.sum())
    wrong = len(is_right) - right
    targets = np.where(is_right, (right + 1) / (right + 2), 1 / (wrong + 2))
    values = _logits(scores)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, Floats]:
        logits = parameters[0] * values + parameters[1]
        error = expit(logits) - targets
        likelihood = np.logaddexp(0, logits) - targets * logits
        slope = np.array([error @ values, error.sum()]) / len(values)
        return float(likelihood.mean()), slope

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS")
    return ScoreScale(float(found.x[0]), float(found.x[1]))


def measure_reliability(
    scores: Floats, is_right: Bools, *, bins: int = 10
) -> tuple[list[ReliabilityBin], float]:
    """Compare scores with the share of right detections, in bins of equal width.

    Args:
        scores: (N,) from 0 to 1.
        is_right: (N,) whether each detection is right.
        bins: Number of bins; a score at the edge of two is in the upper one.

    Returns:
        The bins, and the expected calibration error: the mean distance of score and precision,
        weighted by the detections of the bins; NaN without detections.
    """
    edges = np.arange(bins + 1) / bins  # unlike linspace: 3 of 10 is 0.3
    # Scores were float32: as float64, an edge at 0.7 would exceed a score of 0.7.
    reached = np.searchsorted(edges.astype(np.float32), scores.astype(np.float32), side="right")
    place = np.clip(reached - 1, 0, bins - 1)
    found = []
    for index in range(bins):
        here = place == index
        mean = float(scores[here].mean()) if here.any() else np.nan
        share = float(is_right[here].mean()) if here.any() else np.nan
        low, high = float(edges[index]), float(edges[index + 1])
        found.append(ReliabilityBin(low, high, int(here.sum()), mean, share))
    counts = np.array([one.count for one in found])
    apart = np.array([abs(one.score - one.precision) for one in found])
    if not counts.sum():
        return found, float("nan")
    return found, float(np.nansum(apart * counts) / counts.sum())


def _logits(scores: Floats) -> Floats:
    values: Floats = logit(np.clip(scores, _EDGE, 1 - _EDGE))
    return values
