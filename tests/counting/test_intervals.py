"""Intervals of true counts: simulated scenes of known truth lie in them as often as they should."""

import numpy as np
import pytest

from geodet.counting.intervals import Accuracy, PlotRatio
from geodet.errors import ConfigError

TRIALS = 400


def simulate(rng, density, precision, recall, size):
    """Draw true counts, and the detections that such a detector gives."""
    truth = rng.poisson(density, size)
    right = rng.binomial(truth, recall)
    wrong = rng.poisson(density * recall * (1 - precision) / precision, size)
    return truth, right + wrong


@pytest.mark.parametrize("density", [15, 60, 400])
@pytest.mark.parametrize(("precision", "recall"), [(0.75, 0.72), (0.92, 0.5)])
def test_95_of_100_true_counts_lie_in_the_interval(density, precision, recall):
    rng = np.random.default_rng(3)
    truth, found = simulate(rng, density, precision, recall, 20_000)
    estimate = Accuracy(precision, recall, objects=0).estimate(found)
    inside = (estimate.low <= truth) & (truth <= estimate.high)
    assert inside.mean() == pytest.approx(0.95, abs=0.02)


def test_the_interval_allows_for_a_validation_on_few_objects():
    rng = np.random.default_rng(5)
    precision, recall, objects = 0.75, 0.7, 150
    inside = []
    for _ in range(TRIALS):
        labelled = rng.binomial(objects, recall)
        wrong = rng.poisson(objects * recall * (1 - precision) / precision)
        measured = Accuracy(labelled / (labelled + wrong), labelled / objects, objects)
        truth, found = simulate(rng, 300, precision, recall, 1)
        estimate = measured.estimate(found)
        inside.append(estimate.low[0] <= truth[0] <= estimate.high[0])
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_the_ratio_of_plots_covers_the_total():
    rng = np.random.default_rng(7)
    inside = []
    for _ in range(TRIALS):
        labelled, found = simulate(rng, 30, 0.8, 0.6, 12)
        truth, detections = simulate(rng, 900, 0.8, 0.6, 1)
        estimate = PlotRatio(labelled, found).estimate(detections)
        inside.append(estimate.low[0] <= truth[0] <= estimate.high[0])
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_an_estimate_is_detections_times_precision_over_recall():
    estimate = Accuracy(0.6, 0.8, objects=100).estimate(np.array([40, 0]))
    assert estimate.count.tolist() == pytest.approx([30.0, 0.0])
    assert estimate.low[0] < 30 < estimate.high[0]
    assert estimate.low[1] == 0


def test_few_labels_give_a_wider_interval_than_many():
    few = Accuracy(0.75, 0.7, objects=40).estimate(np.array([500]))
    many = Accuracy(0.75, 0.7, objects=4000).estimate(np.array([500]))
    assert few.high[0] - few.low[0] > 2 * (many.high[0] - many.low[0])


def test_no_polygon_gives_no_estimate():
    assert len(Accuracy(0.5, 0.5, 10).estimate(np.zeros(0, int)).low) == 0


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ConfigError, match="not a share"):
        Accuracy(share, 0.5, 10)


def test_one_plot_is_too_few():
    with pytest.raises(ConfigError, match="1 sample plot"):
        PlotRatio(np.array([3]), np.array([2]))


def test_plots_without_detections_give_no_ratio():
    with pytest.raises(ConfigError, match="no detection"):
        PlotRatio(np.array([3, 4]), np.array([0, 0]))
