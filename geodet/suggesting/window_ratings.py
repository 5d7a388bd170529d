"""Rate what a model finds in a window: how much would its labels teach?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.boxes import Detections
from geodet.merging.overlapping_pairs import OverlapRule, pairs_between
from geodet.suggesting.suggest_options import Rule

__all__ = [
    "LEAST_CHANCE",
    "Rating",
    "Rule",
    "WindowRater",
    "class_weights",
    "to_chances",
    "to_scores",
]

LEAST_CHANCE = 0.25
"""Objects that are less likely than this are left out: there are too many of them."""

_LEAST_IN_VIEW = 0.1  # of two views: an object in one of them may score less in the other
_SAME = 0.3  # IoU: boxes of small objects in two views are a pixel or two apart
_MOST_WEIGHT = 10.0  # of a class, as in training with balanced weights


class Rating(NamedTuple):
    """The rating of a window."""

    values: Floats
    """(K,) by class."""
    expected: Floats
    """(K,) the objects of each class to expect, by the sum of their chances."""
    objects: int
    """Those that are rather there than not."""
    noted: int
    """Objects that the rule looks for: uncertain ones, or such that only one view shows."""


@dataclass(frozen=True, slots=True)
class WindowRater:
    """Rates windows by a rule.

    The sum over objects is what found most in few labels in the reference; a window with many
    objects costs more labels, too.

    Reference:
        Brust, Käding, Denzler 2019, "Active learning for deep object detection", arXiv:1809.09875,
        sections 3.1 and 3.2; for two views Elezi et al. 2022, "Not all labels are equal",
        arXiv:2106.11921, section 3.1.
    """

    rule: Rule
    """The rule by which windows are rated."""
    thresholds: Floats
    """(K,) score threshold of each class."""
    is_calibrated: bool = False
    """Whether a score is the probability that an object is there."""

    @property
    def least_scores(self) -> Floats:
        """(K,) the lowest score of each class that is looked at."""
        least = _LEAST_IN_VIEW if self.rule == "disagreement" else LEAST_CHANCE
        return to_scores(least, self.thresholds, is_calibrated=self.is_calibrated)

    def rate(self, found: Detections, turned: Detections | None = None) -> Rating:
        """Rate a window.

        Args:
            found: What the model finds in it.
            turned: What it finds when it sees the window turned, in the same pixels; for
                ``disagreement``.
        """
        count, labels = len(self.thresholds), found.labels
        worth, chances, is_noted = self.weigh(found)
        expected = _by_class(labels, np.where(chances >= LEAST_CHANCE, chances, 0.0), count)
        values, noted = _by_class(labels, worth, count), int(is_noted.sum())
        if self.rule == "disagreement":
            assert turned is not None
            values, noted = self._differences(found, turned)
        return Rating(values, expected, int((chances >= 0.5).sum()), noted)

    def weigh(self, found: Detections) -> tuple[Floats, Floats, Bools]:
        """Weigh objects of one view: (N,) what each is worth, its chance, and whether it is noted.

        Args:
            found: Objects of any number of windows.
        """
        chances = self._chances(found)
        is_seen = chances >= LEAST_CHANCE
        if self.rule == "rarity":
            return np.where(is_seen, chances, 0.0), chances, chances >= 0.5
        doubts = np.where(is_seen, 1 - np.abs(2 * chances - 1), 0.0)
        return doubts, chances, doubts >= 0.5

    def describe(self, rating: Rating, classes: Sequence[str]) -> str:
        """Describe what a rating counts.

        Args:
            rating: Rating of a window.
            classes: Names of the K classes.
        """
        if self.rule == "rarity":
            named = zip(rating.expected, classes, strict=True)
            counts = sorted((number, name) for number, name in named if number >= 0.5)
            told = ", ".join(f"{number:.0f} {name}" for number, name in counts)
            return told or "no object is expected"
        doubtful, sure = "near the threshold", "above the threshold"
        if self.is_calibrated:  # its threshold is no even chance
            doubtful, sure = "about as likely as not", "more likely than not"
        what = doubtful if self.rule == "uncertainty" else "found differently when turned"
        return f"{rating.noted} {what}; {rating.objects} {sure}"

    def _chances(self, found: Detections) -> Floats:
        of_each = self.thresholds[found.labels]
        return to_chances(
            found.scores.astype(np.float64), of_each, is_calibrated=self.is_calibrated
        )

    def _differences(self, first: Detections, second: Detections) -> tuple[Floats, int]:
        """Sum how far the chances of objects are apart in two views, as seen from either."""
        values, noted = np.zeros(len(self.thresholds)), 0
        for a, b in ((first, second), (second, first)):
            ours, theirs = self._chances(a), self._best_partner(a, b)
            is_seen = np.maximum(ours, theirs) >= LEAST_CHANCE
            apart = np.abs(ours - theirs)[is_seen]
            values += _by_class(a.labels[is_seen], apart, len(values)) / 2
            noted += int((apart >= LEAST_CHANCE).sum())
        return values, (noted + 1) // 2

    def _best_partner(self, a: Detections, b: Detections) -> Floats:
        """Return for each object the chance of the surest one of its class on it, or 0: (N,)."""
        best, chances = np.zeros(len(a)), self._chances(b)
        for ours, theirs in pairs_between(a.shapes, b.shapes, OverlapRule(_SAME)):
            is_same = a.labels[ours] == b.labels[theirs]
            np.maximum.at(best, ours[is_same], chances[theirs[is_same]])
        return best


def to_chances(scores: Floats, thresholds: Floats, *, is_calibrated: bool = False) -> Floats:
    """Turn scores into chances that an object is there.

    Scores of a model that is not calibrated are no probabilities, but its threshold is where an
    object is about as likely as not: linear from 0 at the score 0 to 0.5 there, and to 1 at 1.

    Args:
        scores: (N,) in [0, 1].
        thresholds: (N,) the threshold of each one's class.
        is_calibrated: Whether the scores are probabilities.

    Example:
        >>> to_chances(np.array([0.1, 0.2, 0.6]), np.full(3, 0.2)).round(3).tolist()
        [0.25, 0.5, 0.75]
    """
    if is_calibrated:
        return scores
    t = np.clip(thresholds, 1e-6, 1 - 1e-6)
    chances: Floats = np.where(scores < t, scores / (2 * t), 0.5 + (scores - t) / (2 * (1 - t)))
    return chances


def to_scores(chance: float, thresholds: Floats, *, is_calibrated: bool = False) -> Floats:
    """Return the scores of a chance of at most one half: the inverse of :func:`to_chances`."""
    return np.full(len(thresholds), chance) if is_calibrated else 2 * chance * thresholds


def _by_class(labels: Ints, values: Floats, count: int) -> Floats:
    sums: Floats = np.bincount(labels, values, count).astype(np.float64)
    return sums


def class_weights(expected: Floats) -> Floats:
    """Weigh classes by how rare they are, the mean over classes by the class, at most ten.

    Args:
        expected: (K,) objects of each class.

    Returns:
        (K,) in [0.1, 10]; 1 for a single class.
    """
    mean = float(expected.mean())
    if mean == 0:
        return np.ones(len(expected))
    weights: Floats = mean / np.clip(expected, mean / _MOST_WEIGHT, mean * _MOST_WEIGHT)
    return weights
