"""All measures of some images, and which detections are true positives."""

import math
from dataclasses import replace

import numpy as np
import pytest
from factories_models import EMPTY, detections
from hypothesis import given
from hypothesis import strategies as st

from geodet.config import MatchConfig
from geodet.evaluation.measures import EvaluatedImage, judge_boxes, measure
from geodet.evaluation.threshold_curves import MatchCounts
from geodet.geometry.boxes import Detections

BY_IOU = MatchConfig(by="iou", iou=0.5)
BY_DISTANCE = MatchConfig(by="distance", distance_m=3.0)
TRUTH = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])
LABELS = np.array([0, 1, 0])
# A car; a bus, 2 px beside; a second detection of the first car; a car on a bus.
FOUND = detections(
    [[0, 0, 10, 10], [22, 0, 32, 10], [1, 0, 11, 10], [20, 0, 30, 10]],
    [0.9, 0.8, 0.7, 0.6],
    [0, 1, 0, 0],
)


def sample(found=FOUND, boxes=TRUTH, labels=LABELS, *, gsd=0.5, ignored=EMPTY):
    return EvaluatedImage("a.tif", found, boxes, labels, ignored, gsd)


def evaluate(*samples, rule=BY_IOU, threshold=0.5, **options):
    return measure(samples or [sample()], ("car", "bus"), rule, threshold=threshold, **options)


def test_measures_equal_those_computed_by_hand():
    evaluation = evaluate()
    assert evaluation.overall.scores == MatchCounts(0.5, 2, 4, 3)
    assert evaluation.by_class["car"].scores == MatchCounts(0.5, 1, 3, 2)
    assert evaluation.by_class["bus"].scores == MatchCounts(0.5, 1, 1, 1)
    assert evaluation.by_class["bus"].ap.ap50 == 1.0
    assert evaluation.by_class["bus"].ap.ap75 == 0.0  # its IoU is 2 / 3
    assert evaluation.by_class["car"].ap.ap50 == pytest.approx(51 / 101)
    assert evaluation.overall.ap.ap50 == pytest.approx((1 + 51 / 101) / 2)
    assert evaluation.by_class["car"].best == MatchCounts(0.8, 1, 1, 2)
    assert (evaluation.gsd, evaluation.sides_px) == (0.5, (16.0, 48.0))


def test_without_the_gsd_of_every_image_there_is_no_median():
    assert evaluate(sample(gsd=0.5), sample(gsd=None)).gsd is None
    assert evaluate(sample(gsd=0.5), sample(gsd=0.7), sample(gsd=0.6)).gsd == 0.6


def test_without_boxes_there_is_no_average_precision():
    evaluation = evaluate(rule=BY_DISTANCE, has_boxes=False)
    assert math.isnan(evaluation.overall.ap.ap)
    assert evaluation.overall.scores.matched == 2


def test_without_pixels_there_is_no_precision_by_size():
    evaluation = evaluate(has_pixels=False)
    assert evaluation.sides_px is None
    assert evaluation.overall.ap.ap50 > 0
    assert math.isnan(evaluation.overall.ap.small)


@pytest.mark.parametrize("found", [FOUND, Detections.empty()])
def test_without_labels_there_is_no_average_precision(found):
    evaluation = evaluate(sample(found, EMPTY, np.zeros(0, np.int64)))
    assert math.isnan(evaluation.overall.ap.ap)
    assert evaluation.overall.scores == MatchCounts(0.5, 0, len(found), 0)


def test_true_positives_false_positives_and_misses_equal_those_found_by_hand():
    errors = judge_boxes(evaluate().results[0], threshold=0.5)
    hits, wrong, missed = (errors[name] for name in ("true_positives", "false_positives", "misses"))
    assert hits.boxes.tolist() == FOUND.boxes[[0, 1]].tolist()
    assert hits.scores.tolist() == pytest.approx([0.9, 0.8])
    assert hits.iou.tolist() == pytest.approx([1.0, 2 / 3])
    assert hits.distance_m.tolist() == pytest.approx([0.0, 1.0])
    assert wrong.labels.tolist() == [0, 0]
    # The second detection of a car overlaps it; the one on the bus overlaps no car.
    assert wrong.iou.tolist() == pytest.approx([9 / 11, 0.0])
    assert np.isnan(wrong.distance_m).all()
    assert missed.boxes.tolist() == [TRUTH[2].tolist()]
    assert np.isnan(missed.scores).all()


def test_a_detection_below_the_threshold_is_no_false_positive():
    errors = judge_boxes(evaluate(sample(gsd=None)).results[0], threshold=0.75)
    assert len(errors["false_positives"].boxes) == 0
    assert np.isnan(errors["true_positives"].distance_m).all()
    # The overlap of a miss is with what was kept.
    assert errors["misses"].iou.tolist() == [0.0]


def test_distances_are_in_the_steps_of_each_direction():
    image = replace(sample(), steps=np.array([[0.25, 0.0], [0.0, 9.0]]))
    errors = judge_boxes(evaluate(image).results[0], threshold=0.5)
    assert errors["true_positives"].distance_m.tolist() == pytest.approx([0.0, 0.5])


def test_wrong_classes_in_ignored_regions_are_no_false_positives():
    errors = judge_boxes(
        evaluate(sample(ignored=np.array([[-9.0, -9, 99, 99]]))).results[0], threshold=0.5
    )
    assert errors["true_positives"].labels.tolist() == [0, 1]
    assert len(errors["false_positives"].boxes) == 0
    assert errors["misses"].boxes.tolist() == [TRUTH[2].tolist()]


@given(
    st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.8]), st.booleans(), st.sampled_from([0, 20])
)
def test_numbers_of_boxes_equal_the_counts(seed, threshold, by_distance, ignored):
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 30, (12, 2))
    boxes = np.hstack([corners, corners + random.uniform(2, 9, (12, 2))])
    labels = random.integers(0, 2, 12)
    found = detections(boxes[:8] + random.normal(0, 1, (8, 1)), random.random(8), labels[:8])
    rule = BY_DISTANCE if by_distance else BY_IOU
    region = np.array([[0.0, 0, ignored, 40]])
    image = sample(found, boxes, labels, ignored=region)
    evaluation = evaluate(image, rule=rule, threshold=threshold)
    errors = judge_boxes(evaluation.results[0], threshold=threshold)
    hits, wrong, missed = (len(errors[n].boxes) for n in errors)
    counts = evaluation.overall.scores
    assert (hits, hits + wrong, hits + missed) == (
        counts.matched,
        counts.detected,
        counts.labelled,
    )


def test_each_class_has_its_own_threshold():
    at = np.arange(0, 80, 20.0)
    boxes = np.stack([at, 0 * at, at + 10, 0 * at + 10], axis=1)
    found = Detections(boxes, [0.9, 0.4, 0.9, 0.4], [0, 0, 1, 1])
    one = EvaluatedImage("a", found, boxes, found.labels, np.zeros((0, 4)), 1.0)
    result = measure([one], ("car", "bus"), MatchConfig(), threshold=[0.5, 0.3])
    assert [m.scores.detected for m in result.by_class.values()] == [1, 2]
    overall = result.overall.scores
    assert (overall.matched, overall.detected, overall.labelled) == (3, 3, 4)
    judged = judge_boxes(result.results[0], threshold=[0.5, 0.3])
    assert judged["true_positives"].labels.tolist() == [0, 1, 1]
    assert judged["misses"].labels.tolist() == [0]
