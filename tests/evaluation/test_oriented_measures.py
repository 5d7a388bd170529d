from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodet.config import MatchConfig
from geodet.evaluation.average_precision import measure_ap
from geodet.evaluation.threshold_curves import Comparison
from geodet.geometry.boxes import Detections
from geodet.geometry.oriented_boxes import hulls, oriented_of_boxes

NONE = np.zeros((0, 4))


def compare(found, truth, scores=None, *, oriented=True, ignored=NONE):
    truth = np.array(truth, float)
    scores = np.linspace(0.9, 0.5, len(found)) if scores is None else scores
    detections = Detections.of_oriented(np.array(found, float), scores, np.zeros(len(found)))
    return Comparison.of(
        detections,
        hulls(truth),
        np.zeros(len(truth), np.int64),
        ignored=ignored,
        rule=MatchConfig(by="iou", iou=0.5),
        gsd=None,
        oriented=truth if oriented else None,
    )


def test_a_crossed_box_of_equal_bounds_is_no_match():
    truth = [[20, 20, 20, 4, np.pi / 4]]
    crossed = compare([[20, 20, 20, 4, -np.pi / 4]], truth)
    assert not crossed.raises.any()
    assert measure_ap([crossed], 1, sides=None)[0].ap50 == 0
    assert compare([[20, 20, 20, 4, -np.pi / 4]], truth, oriented=False).raises.all()


def test_average_precision_counts_matches_by_oriented_overlap():
    truth = [[20, 20, 20, 4, 0.5], [60, 20, 20, 4, -0.8]]
    found = [[20, 20, 20, 4, 0.52], [60, 20, 20, 4, 0.8], [60, 20, 20, 4, -0.79]]
    (ap,) = measure_ap([compare(found, truth)], 1, sides=(5.0, 50.0))
    assert ap.ap50 == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-3)
    assert ap.medium == pytest.approx(ap.ap)


def test_unmatched_oriented_boxes_in_ignored_regions_do_not_count():
    truth = [[20, 20, 20, 4, 0.5], [60, 20, 20, 4, -0.8]]
    found = [[60, 20, 20, 4, 0.8], [20, 20, 20, 4, 0.52], [60, 20, 20, 4, -0.79]]
    for region, ap50 in (([0.0, 0, 80, 40], 1.0), ([0.0, 0, 40, 40], 2 / 3)):
        result = compare(found, truth, ignored=np.array([region]))
        (ap,) = measure_ap([result], 1, sides=(5.0, 50.0))
        assert (ap.ap50, ap.medium > 0) == (pytest.approx(ap50), True)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_without_angles_the_measures_are_those_of_boxes(seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 60, (12, 2))
    truth = np.hstack([low, low + rng.uniform(4, 20, (12, 2))])
    found = truth + rng.uniform(-2, 2, truth.shape)
    scores, labels = rng.random(12), np.zeros(12, np.int64)
    rule = {"ignored": NONE, "rule": MatchConfig(by="iou"), "gsd": None}
    plain = Comparison.of(Detections(found, scores, labels), truth, labels, **rule)
    turned = Detections.of_oriented(oriented_of_boxes(found), scores, labels)
    other = Comparison.of(turned, truth, labels, **rule, oriented=oriented_of_boxes(truth))
    assert np.array_equal(plain.raises, other.raises)
    first, second = (measure_ap([one], 1, sides=(8.0, 16.0))[0] for one in (plain, other))
    assert astuple(first) == pytest.approx(astuple(second), nan_ok=True)
