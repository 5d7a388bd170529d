import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import nms

from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window, WindowGrid
from geodet.merging import merger as merge
from geodet.merging.merger import keep_owned, suppress

rows = st.tuples(
    *[st.integers(0, 10)] * 2,
    *[st.integers(1, 8)] * 2,
    st.sampled_from([0.25, 0.5, 0.75]),
    st.integers(0, 2),
)
thresholds = st.sampled_from([0.1, 1 / 3, 0.5, 0.7, 1.0])


def build(found):
    table = np.array(found, float).reshape(-1, 6)
    x, y, width, height, score, label = table.T
    return Detections(np.stack([x, y, x + width, y + height], axis=1), score, label.astype(int))


detections = st.lists(rows, max_size=14).map(build)


def random_detections(rng, count, *, spread=12, classes=3, scores=4):
    low = rng.integers(0, spread, (count, 2))
    boxes = np.hstack([low, low + rng.integers(1, 9, (count, 2))])
    ties = rng.integers(1, scores + 1, count) / (scores + 1)
    return Detections(boxes, ties, rng.integers(0, classes, count))


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def suppress_slowly(found, threshold):
    """Suppress as the definition says it, box by box."""
    left = as_rows(found.ranked())
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [r for r in left if r[5] != best[5] or not iou(r[:4], best[:4]) > threshold]
    return kept


def as_rows(found):
    table = np.hstack([found.boxes, found.scores[:, None], found.labels[:, None]])
    return [tuple(row) for row in table.tolist()]


def shuffled(found, seed):
    return found.select(np.random.default_rng(seed).permutation(len(found)))


@given(detections, thresholds)
def test_suppression_is_the_definition(found, threshold):
    assert as_rows(suppress(found, iou_threshold=threshold)) == suppress_slowly(found, threshold)


def test_suppression_is_the_definition_in_ten_thousand_cases():
    """A thousand cases are laid out side by side, too far apart to meet."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        threshold = rng.choice([0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
        cases = [
            random_detections(rng, rng.integers(1, 14), scores=rng.integers(1, 9)).shifted(x, x)
            for x in range(0, 100_000, 100)
        ]
        expected = [row for case in cases for row in suppress_slowly(case, threshold)]
        survivors = suppress(Detections.concatenate(cases), iou_threshold=threshold)
        assert sorted(as_rows(survivors)) == sorted(expected)


@pytest.mark.parametrize("seed", range(3))
def test_suppression_is_the_definition_in_crowds(seed):
    rng = np.random.default_rng(seed)
    found = random_detections(rng, 600, spread=60, scores=1000)
    assert as_rows(suppress(found, iou_threshold=0.3)) == suppress_slowly(found, 0.3)


def test_every_second_box_of_a_chain_is_dropped():
    """Each box only beats the next, so that every second one stays."""
    x = np.arange(50.0)
    boxes = np.stack([x, 0 * x, x + 3, 0 * x + 1], axis=1)  # IoU 1/2, then 1/5
    found = Detections(boxes, 1 - x / 100, np.zeros(50))
    survivors = suppress(shuffled(found, 1), iou_threshold=0.4)
    np.testing.assert_array_equal(survivors.boxes, boxes[::2])


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6, 0.9])
def test_suppression_is_the_definition_where_a_crowd_is_settled_by_halves(threshold):
    rng = np.random.default_rng(2)
    found = random_detections(rng, 900, spread=4, scores=9, classes=1)
    assert as_rows(suppress(found, iou_threshold=threshold)) == suppress_slowly(found, threshold)


def test_a_hundred_thousand_equal_boxes_leave_one():
    """All pairs of them would be 5e9."""
    boxes = np.tile([5.0, 5, 9, 9], (100_000, 1))
    found = Detections(boxes, np.linspace(0, 1, 100_000), np.zeros(100_000))
    assert as_rows(suppress(found, iou_threshold=0.5)) == [(5, 5, 9, 9, 1, 0)]


@given(detections, thresholds, st.integers(1, 6))
def test_large_sets_are_merged_in_bands_with_the_same_result(found, threshold, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "_AT_ONCE", at_once)
        survivors = suppress(found, iou_threshold=threshold)
    assert as_rows(survivors) == suppress_slowly(found, threshold)


@pytest.mark.parametrize(
    "odd",
    [
        [3, 3, 3, 9],  # no width
        [3, 3, 3, 3],  # nor height
        [9, 9, 3, 3],  # the wrong way round
        [-1e7, -1e7, 1e7, 1e7],  # over everything
        [1e7, 1e7, 1e7 + 4, 1e7 + 4],
        [-1e7, 4, -1e7 + 4, 1e7],
    ],
)
@pytest.mark.parametrize("threshold", [0.0, 1e-6, 0.5, 1.0])
def test_suppression_is_the_definition_with_odd_boxes(odd, threshold):
    few = random_detections(np.random.default_rng(5), 60, spread=30, classes=1)
    boxes = np.vstack([few.boxes - 15, [odd, odd]])
    found = Detections(boxes, [*few.scores, 0.7, 0.1], np.zeros(62))
    assert as_rows(suppress(found, iou_threshold=threshold)) == suppress_slowly(found, threshold)


@given(detections, thresholds, st.integers(0, 99))
def test_the_order_of_the_input_does_not_matter(found, threshold, seed):
    survivors = suppress(found, iou_threshold=threshold)
    assert as_rows(suppress(shuffled(found, seed), iou_threshold=threshold)) == as_rows(survivors)


@given(detections, thresholds)
def test_suppression_is_idempotent_and_ranks(found, threshold):
    survivors = suppress(found, iou_threshold=threshold)
    assert as_rows(suppress(survivors, iou_threshold=threshold)) == as_rows(survivors)
    assert as_rows(survivors) == as_rows(survivors.ranked())


@given(detections, thresholds)
def test_classes_do_not_compete(found, threshold):
    parts = [found.select(found.labels == label) for label in range(3)]
    apart = Detections.concatenate([suppress(part, iou_threshold=threshold) for part in parts])
    assert as_rows(suppress(found, iou_threshold=threshold)) == as_rows(apart.ranked())


@pytest.mark.parametrize("seed", range(5))
def test_suppression_is_torchvisions_where_no_scores_are_equal(seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 100, (400, 2))
    boxes = np.hstack([low, low + rng.uniform(2, 30, (400, 2))])
    scores = rng.permutation(400).astype(np.float32) / 400
    found = Detections(boxes, scores, np.zeros(400))
    kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores).double(), 0.4)
    expected = found.select(kept.numpy())
    assert as_rows(suppress(found, iou_threshold=0.4)) == as_rows(expected)


FAR = 200_000.0


@given(st.lists(rows, max_size=10), thresholds)
def test_nothing_changes_far_from_the_origin(found, threshold):
    """Steps of 1/1024 px are exact in float64 at 200,000 px; a step of float32 is 1/64."""
    near = build(found).scaled(1 / 1024, 1 / 1024)
    moved = suppress(near.shifted(FAR, FAR), iou_threshold=threshold)
    assert as_rows(moved) == as_rows(suppress(near, iou_threshold=threshold).shifted(FAR, FAR))


def test_float32_would_fail_far_from_the_origin():
    """The overlap is just below a half, and above it when rounded to steps of 1/64 px."""
    boxes = FAR + np.array([[0, 0, 4, 4], [1.335, 0, 5.335, 4]])
    found = Detections(boxes, [0.9, 0.8], [0, 0])
    assert len(suppress(found, iou_threshold=0.5)) == 2
    rounded = Detections(boxes.astype(np.float32), found.scores, found.labels)
    assert len(suppress(rounded, iou_threshold=0.5)) == 1


def test_equal_boxes_leave_one_of_each_class():
    found = Detections([[1, 1, 5, 5]] * 6, [0.5, 0.7, 0.5, 0.7, 0.7, 0.1], [0, 0, 0, 1, 1, 1])
    survivors = suppress(found, iou_threshold=0.5)
    assert as_rows(survivors) == [
        (1, 1, 5, 5, pytest.approx(0.7), 0),
        (1, 1, 5, 5, pytest.approx(0.7), 1),
    ]


def test_empty_passes_through():
    assert len(suppress(Detections.empty(), iou_threshold=0.5)) == 0
    assert len(keep_owned(Detections.empty(), Window(0, 0, 5, 5), slack=2)) == 0


@given(st.lists(rows, max_size=14).map(build), st.integers(0, 5), st.integers(2, 12))
def test_without_slack_each_detection_has_one_owner(found, overlap, more):
    grid = WindowGrid(19, 19, 2 * overlap + more, overlap)  # no centre is beyond 19
    owned = [keep_owned(found, grid.core(i), slack=0) for i in range(len(grid))]
    assert as_rows(Detections.concatenate(owned).ranked()) == as_rows(found.ranked())


@given(detections, st.floats(0, 6))
def test_slack_widens_the_core_on_every_side(found, slack):
    core = Window(4, 5, 6, 3)
    expected = [
        row
        for row, (x, y) in zip(as_rows(found), found.centres, strict=True)
        if 4 - slack <= x < 10 + slack and 5 - slack <= y < 8 + slack
    ]
    assert as_rows(keep_owned(found, core, slack=slack)) == expected
