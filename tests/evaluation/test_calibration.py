"""Scores become probabilities: the fit against known scales, and the bins by hand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from geodet.config import MatchConfig
from geodet.evaluation.calibration import (
    ScoreScale,
    collect_outcomes,
    fit_scale,
    measure_reliability,
)
from geodet.evaluation.threshold_curves import Comparison
from geodet.geometry.boxes import Detections


def draw(scale, shift, *, count=20_000, seed=0):
    """Draw scores, and outcomes whose probabilities follow a known scale."""
    random = np.random.default_rng(seed)
    scores = random.uniform(0.02, 0.98, count)
    is_right = random.random(count) < expit(scale * logit(scores) + shift)
    return scores, is_right


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, 0.3), (2.0, -1.0)])
def test_a_known_scale_is_found(scale, shift):
    found = fit_scale(*draw(scale, shift))
    assert (found.scale, found.shift) == pytest.approx((scale, shift), abs=0.08)


def test_calibrated_scores_are_the_share_of_right_detections():
    scores, is_right = draw(0.4, -0.8)
    before = measure_reliability(scores, is_right)[1]
    calibrated = fit_scale(scores, is_right)(scores)
    bins, after = measure_reliability(calibrated, is_right)
    assert before > 0.1
    assert after < 0.02
    for one in bins:
        if one.count > 500:
            assert one.score == pytest.approx(one.precision, abs=0.05)


@given(st.floats(0.05, 5), st.floats(-3, 3))
def test_the_order_of_scores_stays(scale, shift):
    scores = np.linspace(0, 1, 50)
    calibrated = ScoreScale(scale, shift)(scores)
    assert np.all(np.diff(calibrated) >= 0)
    assert np.all((calibrated >= 0) & (calibrated <= 1))


@pytest.mark.parametrize("is_right", [np.ones(5, bool), np.zeros(5, bool)])
def test_outcomes_that_are_all_alike_give_finite_numbers(is_right):
    found = fit_scale(np.linspace(0.2, 0.9, 5), is_right)
    assert np.isfinite([found.scale, found.shift]).all()
    calibrated = found(np.array([0.5]))[0]
    assert 0.05 < calibrated < 0.95


def test_bins_by_hand():
    scores = np.array([0.1, 0.2, 0.7, 0.9, 1.0])
    is_right = np.array([False, True, True, True, False])
    (low, high), error = measure_reliability(scores, is_right, bins=2)
    assert (low.count, low.score, low.precision) == (2, pytest.approx(0.15), 0.5)
    assert (high.count, high.precision) == (3, pytest.approx(2 / 3))
    assert high.score == pytest.approx(2.6 / 3)
    assert error == pytest.approx((2 * 0.35 + 3 * 0.2) / 5)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("bins", [10, 20])
def test_a_score_at_an_edge_is_in_the_bin_that_it_begins(kind, bins):
    edges = [step / bins for step in range(bins + 1)]
    scores = np.array([*edges, 0.7, 0.7 - 1e-6], kind).astype(np.float64)
    found, _ = measure_reliability(scores, np.ones(len(scores), bool), bins=bins)
    assert [(one.low, one.high) for one in found] == [*pairwise(edges)]
    expected = dict.fromkeys(edges[:-1], 1)
    expected[edges[-2]] += 1  # 1.0 is in the last bin
    expected[0.7] += 1
    expected[max(edge for edge in edges if edge < 0.7)] += 1
    assert {one.low: one.count for one in found} == expected


def test_nothing_has_no_error():
    bins, error = measure_reliability(np.zeros(0), np.zeros(0, bool))
    assert np.isnan(error)
    assert {one.count for one in bins} == {0}


def test_outcomes_follow_the_one_to_one_matching():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10], [80, 0, 90, 10]], float)
    found = Detections(boxes, np.array([0.9, 0.8, 0.7, 0.6], np.float32), np.array([0, 0, 0, 1]))
    result = Comparison.of(
        found,
        boxes[[0, 3]],
        np.array([0, 1]),
        ignored=np.zeros((0, 4)),
        rule=MatchConfig(),
        gsd=None,
    )
    scores, is_right = collect_outcomes([result])
    assert is_right.tolist() == [True, False, False, True]  # the second is a duplicate
    assert scores == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert collect_outcomes([result], label=1)[1].tolist() == [True]


def test_only_unmatched_detections_in_ignored_regions_have_no_outcome():
    boxes = np.array([[0, 0, 10, 10], [50, 0, 60, 10], [80, 0, 90, 10]], float)
    found = Detections(boxes, np.array([0.9, 0.7, 0.6], np.float32), np.zeros(3, np.int64))
    region = np.array([[-9.0, -9, 70, 20]])
    result = Comparison.of(
        found, boxes[:1], np.zeros(1, np.int64), ignored=region, rule=MatchConfig(), gsd=None
    )
    scores, is_right = collect_outcomes([result])
    assert scores == pytest.approx([0.9, 0.6])
    assert is_right.tolist() == [True, False]
