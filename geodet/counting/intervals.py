"""Estimate the number of objects from detections of known precision and recall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.stats import t as student

from geodet.errors import ConfigError
from geodet.geometry.arrays import Floats, Ints

__all__ = ["Accuracy", "CountEstimate", "Estimator", "PlotRatio"]

_DRAWS = 4_000
_TAIL = 2.5  # per cent on either side
_BLOCK = 2_000  # counts whose draws are held at once
_NOTHING_KNOWN = 0.5  # added to each count of a share: the prior of Jeffreys


@dataclass(frozen=True, slots=True)
class CountEstimate:
    """The estimated true counts of N polygons."""

    count: Floats
    """(N,) estimates, not rounded."""
    low: Floats
    """(N,) lower ends of the 95 % intervals."""
    high: Floats
    """(N,) upper ends."""


class Estimator(Protocol):
    """Estimates true counts from numbers of detections."""

    def estimate(self, found: Ints) -> CountEstimate:
        """Estimate the true counts where (N,) detections were found."""

    def describe(self) -> str:
        """Return how it estimates, in words."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Precision and recall, measured on a number of labelled objects.

    Of D detections, D precision are right, and they are the share ``recall`` of all objects: the
    estimate is D precision / recall. Its interval holds three uncertainties: which detections are
    right, how many objects were missed, and precision and recall themselves. The last two rest on
    numbers of objects found, of false positives and of misses, which are one draw from shares that
    a Dirichlet distribution with the prior of Jeffreys describes (Gelman et al., "Bayesian Data
    Analysis", 3rd edition, section 3.4). It holds for places like those where they were measured.

    Example:
        >>> found = Accuracy(0.8, 0.5, objects=800).estimate(np.array([0, 100]))
        >>> found.count.tolist(), bool(120 < found.low[1] < 160 < found.high[1] < 200)
        ([0.0, 160.0], True)
    """

    precision: float
    """Share of the detections that are right, above 0."""
    recall: float
    """Share of the objects that are found, above 0."""
    objects: int
    """Labelled objects on which they were measured; 0: they are taken as exact."""

    def __post_init__(self) -> None:
        for name in ("precision", "recall"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}, not a share above 0 and up to 1",
                    hint="pass a number such as 0.74",
                )

    def estimate(self, found: Ints) -> CountEstimate:
        """Estimate the true counts where (N,) detections were found."""
        found = np.asarray(found, np.int64)
        distinct, place = np.unique(found, return_inverse=True)
        blocks = [distinct[i : i + _BLOCK] for i in range(0, len(distinct), _BLOCK)]
        ends = [self._ends(block) for block in blocks]
        low, high = np.concatenate(ends, axis=1)[:, place] if ends else np.zeros((2, 0))
        right = found.astype(np.float64) * self.precision
        return CountEstimate(right / self.recall, low, high)

    def describe(self) -> str:
        """Return how it estimates, in words."""
        known = f"measured on {self.objects:,} objects" if self.objects else "taken as exact"
        return f"detections x precision {self.precision:.3f} / recall {self.recall:.3f}, {known}"

    def _ends(self, found: Ints) -> Floats:
        """Draw true counts and return the ends of their middle 95 %: (2, N)."""
        random = np.random.default_rng(0)  # the same file gives the same interval
        precision, recall = self._draw_shares(random)
        right = random.binomial(found, precision[:, None])
        # Misses are Poisson of a density known from the detections alone, of which it may have been
        # anything before: together negative binomial.
        seen = recall / (recall + precision * (1 - recall))
        missed = random.negative_binomial(found + 1, seen[:, None], right.shape)
        # Spread over the unit around each integer, so that the ends fall between integers.
        drawn = right + missed + random.uniform(-0.5, 0.5, right.shape)
        ends: Floats = np.percentile(drawn, [_TAIL, 100 - _TAIL], axis=0)
        return np.maximum(ends, 0.0)

    def _draw_shares(self, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw precision and recall as far as they are known: (_DRAWS,) each."""
        if not self.objects:
            return np.full(_DRAWS, self.precision), np.full(_DRAWS, self.recall)
        right = self.recall * self.objects
        wrong = right * (1 - self.precision) / self.precision
        counts = np.array([right, wrong, self.objects - right])
        right, wrong, missed = random.dirichlet(counts + _NOTHING_KNOWN, _DRAWS).T
        return right / (right + wrong), right / (right + missed)


@dataclass(frozen=True, slots=True)
class PlotRatio:
    """The ratio of labelled objects to detections in sample plots, as in forest inventories.

    The estimate is the ratio times the number of detections. The interval follows Cochran,
    "Sampling Techniques" (3rd edition, 1977), section 6.3, with Student's t for the plots, and
    adds the spread of a place around the ratio, proportional to its detections.

    Example:
        >>> plots = PlotRatio(labelled=np.array([12, 8, 31]), found=np.array([10, 8, 30]))
        >>> round(plots.ratio, 4)
        1.0625
        >>> plots.estimate(np.array([200])).count.tolist()
        [212.5]
    """

    labelled: Ints
    """(K,) labelled objects of each plot."""
    found: Ints
    """(K,) detections of each plot."""

    def __post_init__(self) -> None:
        if len(self.labelled) < 2:
            raise ConfigError(
                f"an interval cannot be computed from {len(self.labelled)} sample plot",
                hint="label at least two plots, better ten or more, spread over the area",
            )
        if not self.found.sum():
            raise ConfigError(
                "the sample plots contain no detections, so there is no ratio",
                hint="check that the plots lie in the examined area, or lower --min-score "
                "(min_score)",
            )

    @property
    def ratio(self) -> float:
        """Labelled objects per detection."""
        return float(self.labelled.sum() / self.found.sum())

    def estimate(self, found: Ints) -> CountEstimate:
        """Estimate the true counts where (N,) detections were found."""
        counts = np.asarray(found, np.float64)
        plots = len(self.labelled)
        residuals = self.labelled - self.ratio * self.found
        squares = float((residuals**2).sum()) / (plots - 1)
        variance_of_ratio = squares / (plots * self.found.mean() ** 2)
        spread = squares / self.found.mean()  # of a place, for each of its detections
        error = np.sqrt(counts**2 * variance_of_ratio + counts * spread)
        reach = student.ppf(1 - _TAIL / 100, plots - 1) * error
        middle = self.ratio * counts
        return CountEstimate(middle, np.maximum(middle - reach, 0.0), middle + reach)

    def describe(self) -> str:
        """Return how it estimates, in words."""
        objects, found = int(self.labelled.sum()), int(self.found.sum())
        return (
            f"detections x {self.ratio:.3f}, the ratio of {objects:,} labelled objects to "
            f"{found:,} detections in {len(self.found)} sample plots"
        )
