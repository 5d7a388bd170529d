"""Average precision equals that of pycocotools, whatever the bins."""

import contextlib
import io
import math

import numpy as np
import pytest
from factories_models import EMPTY, detections
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import geodet.evaluation.average_precision
from geodet.config import MatchConfig
from geodet.evaluation.average_precision import AveragePrecision, mean_ap, measure_ap
from geodet.evaluation.threshold_curves import Comparison
from geodet.geometry.boxes import Detections

SIDES = (8.0, 14.0)
NAMES = ("ap", "ap50", "ap75", "small", "medium", "large")


def compare(found, boxes, labels, ignored=EMPTY):
    return Comparison.of(
        found, boxes, labels, ignored=np.array(ignored, np.float64), rule=MatchConfig(), gsd=None
    )


def random_image(random, count, classes, *, grid=0.0, side=60):
    """Scatter crowded objects and detections of them; a grid makes equal overlaps and scores."""
    corners = random.uniform(0, side, (count, 2))
    boxes = np.hstack([corners, corners + random.uniform(4, 20, (count, 2))])
    labels = random.integers(0, classes, count)
    seen = random.integers(0, count, int(1.2 * count)) if count else np.zeros(0, np.int64)
    found = boxes[seen] + random.normal(0, 1.2, (len(seen), 4))
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    scores = random.random(len(seen))
    if grid:
        boxes, found, scores = boxes.round(), found.round(), (scores / grid).round() * grid
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    named = np.where(random.random(len(seen)) < 0.9, labels[seen], 0)
    return detections(found, scores, named), boxes, labels


def by_pycocotools(results, classes, sides=SIDES, *, every=(), crowds=()):
    """Measure each class with the reference code, without a limit on detections.

    All detections of each image may be given, whatever a result holds. The crowds are boxes in all
    images, of every class.
    """
    labels, found = [], []
    every = every or [result.detections for result in results]
    for image, (result, detected) in enumerate(zip(results, every, strict=True), start=1):
        sizes = np.hstack([result.boxes[:, :2], result.boxes[:, 2:] - result.boxes[:, :2]])
        labels += [
            {"image_id": image, "category_id": int(c) + 1, "bbox": b, "area": b[2] * b[3]}
            for c, b in zip(result.labels, sizes.tolist(), strict=True)
        ]
        boxes = detected.boxes
        sizes = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist()
        rows = zip(detected.labels, sizes, detected.scores, strict=True)
        found += [
            {"image_id": image, "category_id": int(c) + 1, "bbox": b, "score": float(s)}
            for c, b, s in rows
        ]
    for *corner, width, height in crowds:
        bbox = [*corner, width, height]
        labels += [
            {"image_id": image + 1, "category_id": c + 1, "bbox": bbox, "area": 1.0, "iscrowd": 1}
            for image in range(len(results))
            for c in range(classes)
        ]
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(1, len(results) + 1)],
        "annotations": [{"iscrowd": 0, **a, "id": n} for n, a in enumerate(labels, start=1)],
        "categories": [{"id": n} for n in range(1, classes + 1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(found), "bbox")
        small, large = (side**2 for side in sides)
        run.params.areaRng = [[0, 1e18], [0, small], [small, large], [large, 1e18]]
        run.params.maxDets = [100_000]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][..., 0]
    every, *sized = np.moveaxis(precision, -1, 0)
    parts = [every, every[:1], every[5:6], *sized]
    return [[_mean(part[:, :, label]) for part in parts] for label in range(classes)]


def _mean(values):
    return values[values > -1].mean() if (values > -1).any() else math.nan


def values(measures):
    return [[getattr(measure, name) for name in NAMES] for measure in measures]


@given(
    st.integers(0, 10**6),
    st.lists(st.integers(0, 40), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.25]),
    st.sampled_from([1, 7, 200]),
)
def test_average_precision_equals_that_of_pycocotools(seed, counts, grid, size):
    random = np.random.default_rng(seed)
    results = [compare(*random_image(random, count, 3, grid=grid)) for count in [*counts, 5]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geodet.evaluation.average_precision, "_BIN", size)
        measured = measure_ap(results, 3, sides=SIDES)
    np.testing.assert_allclose(values(measured), by_pycocotools(results, 3), atol=1e-9)


def test_all_detections_of_a_scene_count():
    random = np.random.default_rng(0)
    result = compare(*random_image(random, 300, 2, side=250))
    measured = measure_ap([result], 2, sides=SIDES)
    np.testing.assert_allclose(values(measured), by_pycocotools([result], 2), atol=1e-9)
    assert len(result.detections) > 300
    assert measured[0].ap > 0.1


SQUARES = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10]])


@given(
    st.integers(0, 10**6),
    st.lists(st.integers(0, 40), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.25]),
    st.sampled_from([1, 7, 200]),
)
def test_average_precision_with_ignored_regions_equals_that_of_pycocotools(
    seed, counts, grid, size
):
    """Crowds over labelled objects, which COCO compares with what matches no object."""
    random = np.random.default_rng(seed)
    edge, every, results = 40.0, [], []
    for count in [*counts, 12]:
        found, boxes, labels = random_image(random, count, 3, grid=grid)
        # COCO wants a share of the detection in the crowd: all of it or nothing has a centre there.
        is_whole = (found.boxes[:, 2] < edge) | (found.boxes[:, 0] > edge)
        every.append(found.select(is_whole))
        results.append(compare(every[-1], boxes, labels, [[-50.0, -50.0, edge, 150.0]]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geodet.evaluation.average_precision, "_BIN", size)
        measured = measure_ap(results, 3, sides=SIDES)
    crowds = [[-50.0, -50.0, 50.0 + edge, 200.0]]
    expected = by_pycocotools(results, 3, every=every, crowds=crowds)
    np.testing.assert_allclose(values(measured), expected, atol=1e-9)


def test_only_unmatched_detections_in_ignored_regions_do_not_change_average_precision():
    labels = np.zeros(2, np.int64)
    beside = [[40.0, 0, 50, 10], [60, 0, 70, 10]]
    found = detections([beside[0], *SQUARES, beside[1]], [0.9, 0.8, 0.7, 0.6])
    whole = compare(found, SQUARES, labels, [[-5.0, -5, 99, 99]])
    assert values(measure_ap([whole], 1, sides=SIDES))[0][:2] == [1.0, 1.0]
    part = compare(found, SQUARES, labels, [[-5.0, -5, 15, 15]])
    without = compare(found, SQUARES, labels)
    expected = values(measure_ap([without], 1, sides=SIDES))
    np.testing.assert_equal(values(measure_ap([part], 1, sides=SIDES)), expected)
    assert expected[0][1] < 1.0


def test_average_precision_equals_one_computed_by_hand():
    # The first is right, then comes a false one: precision is 1 up to recall 1/2, and 2/3 beyond.
    found = detections([SQUARES[0], [80, 80, 90, 90], SQUARES[1]], [0.9, 0.8, 0.7])
    (measured,) = measure_ap([compare(found, SQUARES, np.zeros(2, np.int64))], 1, sides=SIDES)
    expected = (51 * 1 + 50 * 2 / 3) / 101
    assert (measured.ap, measured.ap50, measured.medium) == pytest.approx((expected,) * 3)
    assert math.isnan(measured.small)
    assert math.isnan(measured.large)


def test_without_objects_average_precision_is_nan():
    nothing = compare(detections(SQUARES), EMPTY, np.zeros(0, np.int64))
    assert np.isnan(values(measure_ap([nothing], 1, sides=SIDES))).all()
    assert np.isnan(values(measure_ap([], 2, sides=SIDES))).all()


def test_without_detections_average_precision_is_zero():
    silent = compare(Detections.empty(), SQUARES, np.zeros(2, np.int64))
    measured = measure_ap([silent], 2, sides=SIDES)
    assert (measured[0].ap, measured[0].ap50) == (0.0, 0.0)
    assert math.isnan(measured[1].ap)
    assert mean_ap(measured).ap == 0.0


def test_without_size_bounds_precision_by_size_is_nan():
    whole = compare(detections(SQUARES), SQUARES, np.zeros(2, np.int64))
    (measured,) = measure_ap([whole], 1, sides=None)
    assert (measured.ap, measured.ap75) == (1.0, 1.0)
    assert np.isnan([measured.small, measured.medium, measured.large]).all()


def test_the_mean_is_over_the_classes_with_objects():
    nan = math.nan
    parts = [AveragePrecision(0.2, 0.4, nan, nan, 0, 1), AveragePrecision(0.6, nan, nan, 1, 0, 1)]
    np.testing.assert_allclose(values([mean_ap(parts)])[0], [0.4, 0.4, nan, 1, 0, 1])
