"""What a window is worth, by what a model finds in it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.geometry.boxes import Detections
from geodet.suggesting.window_ratings import (
    WindowRater,
    class_weights,
    to_chances,
    to_scores,
)


def rater(rule="uncertainty", thresholds=(0.4, 0.4), **options):
    return WindowRater(rule, np.array(thresholds), **options)


def found(*rows):
    """Make detections of (x, score, label): boxes of 10 px."""
    boxes = [[x, 0, x + 10, 10] for x, _, _ in rows]
    return Detections(boxes, [s for _, s, _ in rows], [n for _, _, n in rows])


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.99))
def test_chances_rise_with_scores_and_are_even_at_the_threshold(a, b, threshold):
    low, high = to_chances(np.sort([a, b]), np.full(2, threshold))
    assert 0 <= low <= high <= 1
    assert to_chances(np.array([threshold]), np.array([threshold]))[0] == pytest.approx(0.5)


@given(st.floats(0, 0.5), st.floats(0.01, 0.99), st.booleans())
def test_scores_are_the_inverse_of_chances(chance, threshold, is_calibrated):
    limit = np.array([threshold])
    score = to_scores(chance, limit, is_calibrated=is_calibrated)
    back = to_chances(score, limit, is_calibrated=is_calibrated)
    assert back[0] == pytest.approx(chance, abs=1e-9)


def test_an_object_at_the_threshold_is_worth_most():
    one = rater().rate(found((0, 0.4, 0)))
    assert one.values.tolist() == pytest.approx([1, 0])
    assert rater().rate(found((0, 1.0, 0))).values.sum() == pytest.approx(0)
    assert rater().rate(found((0, 0.1, 0))).values.sum() == 0  # half of half the threshold


def test_a_calibrated_score_is_the_chance_itself():
    one = rater(is_calibrated=True).rate(found((0, 0.5, 0), (20, 0.9, 1)))
    assert one.values.tolist() == pytest.approx([1, 0.2])
    assert (one.objects, one.noted) == (2, 1)


def test_views_that_agree_are_worth_nothing_whatever_their_order():
    view = found((0, 0.9, 0), (30, 0.5, 1), (60, 0.3, 0))
    other = view.select(np.array([2, 0, 1]))
    assert rater("disagreement").rate(view, other).values.sum() == pytest.approx(0)


def test_what_only_one_view_shows_counts_by_its_chance_from_either_side():
    both, alone = found((0, 0.7, 0)), found((0, 0.7, 0), (50, 0.7, 1))
    chance = to_chances(np.array([0.7]), np.array([0.4]))[0]
    for first, second in ((both, alone), (alone, both)):
        one = rater("disagreement").rate(first, second)
        assert one.values.tolist() == pytest.approx([0, chance / 2])
        assert one.noted == 1


def test_another_class_on_the_same_place_is_no_agreement():
    one = rater("disagreement").rate(found((0, 0.7, 0)), found((0, 0.7, 1)))
    assert (one.values > 0).all()


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=6))
def test_rare_classes_weigh_at_least_as_much_as_frequent_ones(counts):
    weights = class_weights(np.array(counts))
    order = np.argsort(counts)
    assert (np.diff(weights[order]) <= 1e-9).all()
    assert ((weights > 0.0999) & (weights < 10.001)).all()
    assert len(counts) > 1 or weights[0] == pytest.approx(1)


def test_a_reason_names_what_counts():
    one = found((0, 0.4, 0), (20, 0.9, 1))
    doubting, classes = rater(), ("car", "bus")
    assert doubting.describe(doubting.rate(one), classes).startswith("1 near the threshold; 2")
    calibrated = rater(is_calibrated=True)
    told = calibrated.describe(calibrated.rate(one), classes)
    assert told == "1 about as likely as not; 1 more likely than not"
    rare = rater("rarity")
    rating = rare.rate(found((0, 0.95, 0), (20, 0.95, 1), (40, 0.95, 1)))
    assert rare.describe(rating, classes) == "1 car, 2 bus"
