import numpy as np
import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st
from overlaps import pairwise_iou
from torchvision.ops import box_iou

from geodet.geometry.boxes import Detections, paired_iou

sides = st.integers(0, 12)
box = st.tuples(st.integers(-9, 9), st.integers(-9, 9), sides, sides).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
rows = st.tuples(box, st.sampled_from([0.25, 0.5, 0.75]), st.integers(0, 2))


def build(found):
    boxes, scores, labels = zip(*found, strict=True) if found else ([], [], [])
    return Detections(np.array(boxes, float), np.array(scores), np.array(labels))


detections = st.lists(rows, max_size=12).map(build)


def as_rows(found):
    return [
        (*box, score, label)
        for box, score, label in zip(
            found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        )
    ]


def random_boxes(count, seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 50, (count, 2))
    return np.hstack([low, low + rng.uniform(0.5, 30, (count, 2))])


def test_lists_become_arrays_of_the_documented_types():
    found = Detections([[0, 0, 4, 2]], [1], [0])
    assert found.boxes.shape == (1, 4)
    dtypes = found.boxes.dtype, found.scores.dtype, found.labels.dtype
    assert dtypes == (np.float64, np.float32, np.int64)


def test_empty_is_a_value_that_passes_through_everything():
    empty = Detections.empty()
    passed = empty.shifted(1, 2).scaled(3, 4).clipped(5, 6).ranked().select(np.zeros(0, bool))
    for found in (empty, passed, Detections([], [], []), Detections.concatenate([])):
        assert len(found) == 0
        assert (found.boxes.shape, found.scores.shape, found.labels.shape) == ((0, 4), (0,), (0,))
        assert found.centres.shape == (0, 2)
    assert pairwise_iou(empty.boxes, random_boxes(3, 0)).shape == (0, 3)
    assert paired_iou(empty.boxes, empty.boxes).shape == (0,)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="boxes, scores and labels have 2, 1 and 3 rows"):
        Detections(np.zeros((2, 4)), np.zeros(1), np.zeros(3))


@given(st.lists(detections, max_size=5))
def test_concatenation_keeps_the_order(parts):
    together = Detections.concatenate(parts)
    assert as_rows(together) == [row for part in parts for row in as_rows(part)]


@given(detections, st.data())
def test_rows_are_selected_by_mask_and_by_index(found, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found))))
    chosen = found.select(mask.astype(bool))
    assert as_rows(chosen) == [row for row, kept in zip(as_rows(found), mask, strict=True) if kept]
    assert as_rows(found.select(np.flatnonzero(mask))) == as_rows(chosen)


@given(detections, *[st.integers(-99, 99)] * 2, *[st.sampled_from([0.5, 1, 4])] * 2)
def test_boxes_and_centres_move_together(found, x, y, sx, sy):
    moved = found.shifted(x, y)
    np.testing.assert_array_equal(moved.centres, found.centres + np.array([x, y]))
    np.testing.assert_array_equal(moved.shifted(-x, -y).boxes, found.boxes)
    grown = found.scaled(sx, sy)
    np.testing.assert_array_equal(grown.centres, found.centres * (sx, sy))
    for same in (moved, grown):
        np.testing.assert_array_equal(same.scores, found.scores)
        np.testing.assert_array_equal(same.labels, found.labels)


@given(detections)
def test_clipping_leaves_what_lies_inside(found):
    inside = found.clipped(7, 5)
    assert (inside.boxes >= 0).all()
    assert (inside.boxes <= (7, 5, 7, 5)).all()
    bounds = shapely.box(0, 0, 7, 5)
    for before, after in zip(found.boxes, inside.boxes, strict=True):
        assert shapely.box(*after).area == shapely.box(*before).intersection(bounds).area
    np.testing.assert_array_equal(inside.clipped(7, 5).boxes, inside.boxes)


@given(st.lists(rows, max_size=12), st.randoms())
def test_the_rank_is_by_score_then_from_top_left_and_whatever_the_order(found, random):
    def rank(row):
        (x1, y1, x2, y2), score, label = row
        return -score, y1, x1, x2, y2, label

    ranked = as_rows(build(found).ranked())
    assert ranked == as_rows(build(sorted(found, key=rank)))
    random.shuffle(found)
    assert as_rows(build(found).ranked()) == ranked


@pytest.mark.parametrize("seed", range(5))
def test_iou_agrees_with_torchvision(seed):
    a, b = random_boxes(40, seed), random_boxes(30, seed + 100)
    expected = box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(pairwise_iou(a, b), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(paired_iou(a[:30], b), expected[:30].diagonal(), rtol=1e-12)


@given(box, box)
def test_iou_agrees_with_shapely(a, b):
    iou = paired_iou(np.array([a], float), np.array([b], float))[0]
    one, other = shapely.box(*a), shapely.box(*b)
    union = one.area + other.area - one.intersection(other).area
    assert iou == pytest.approx(one.intersection(other).area / union if union else 0)
    assert iou == paired_iou(np.array([b], float), np.array([a], float))[0]
