import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from overlaps import suppress_at_once

from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window, WindowGrid
from geodet.merging.fragments import cut_sides
from geodet.merging.merger import suppress

seeds = st.integers(0, 2**32 - 1)
thresholds = st.sampled_from([0.0, 0.2, 0.5, 0.8])


def make_cut(seed, count=14, *, share=0.15):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 10, (count, 2))
    boxes = np.hstack([low, low + rng.integers(1, 9, (count, 2))])
    found = Detections(boxes, rng.integers(1, 5, count) / 5, rng.integers(0, 2, count))
    return found, rng.random((count, 4)) < share


def as_rows(found, cut):
    table = np.hstack([found.boxes, found.scores[:, None], found.labels[:, None], cut])
    return [tuple(row) for row in table.tolist()]


def test_sides_at_interior_edges_are_cut():
    window = Window(10, 20, 30, 30)  # to column 40 and row 50
    boxes = [
        [10.5, 25, 20, 30],
        [15, 21, 20, 30],
        [15, 25, 39, 30],
        [15, 25, 20, 52],
        [12, 22, 38, 48],
    ]
    found = Detections(boxes, [0.5] * 5, [0] * 5)
    cut = cut_sides(found, window, width=100, height=100)
    np.testing.assert_array_equal(cut, np.vstack([np.eye(4, dtype=bool), np.zeros((1, 4), bool)]))
    assert cut_sides(found, window, width=100, height=100, tolerance=2).all(axis=1)[4]
    assert not cut_sides(found, window, width=100, height=100, tolerance=0)[0].any()


@given(seeds, st.integers(5, 12), st.integers(0, 4))
def test_no_side_is_cut_at_the_edge_of_the_raster(seed, size, overlap):
    found, _ = make_cut(seed)
    found = found.clipped(17, 13)
    for window in (grid := WindowGrid(17, 13, size, overlap)):
        cut = cut_sides(found, window, width=17, height=13, tolerance=100)
        inside = [window.col_off > 0, window.row_off > 0, window.col_end < 17, window.row_end < 13]
        np.testing.assert_array_equal(cut, np.tile(inside, (len(found), 1)))
    assert len(grid) > 1


def test_a_fragment_loses_to_a_complete_box_whatever_their_scores():
    boxes = [[0, 0, 10, 10], [6, 0, 10, 10], [40, 0, 50, 10], [46, 0, 50, 10]]
    found = Detections(boxes, [0.3, 0.9, 0.3, 0.9], [0, 0, 0, 1])
    cut = np.zeros((4, 4), bool)
    cut[[1, 3], 0] = True
    kept, sides = suppress_at_once(found, cut, iou_threshold=0.5)
    assert as_rows(kept, sides) == [  # the fragment of the other class stays
        (46, 0, 50, 10, pytest.approx(0.9), 1, 1, 0, 0, 0),
        (0, 0, 10, 10, pytest.approx(0.3), 0, 0, 0, 0, 0),
        (40, 0, 50, 10, pytest.approx(0.3), 0, 0, 0, 0, 0),
    ]
    assert len(suppress(found, iou_threshold=0.5)) == 4


def test_a_small_object_does_not_make_a_large_cut_one_a_duplicate():
    found = Detections([[2, 2, 5, 5], [0, 0, 20, 20]], [0.9, 0.5], [0, 0])
    cut = np.array([[False] * 4, [False, False, True, False]])
    assert len(suppress_at_once(found, cut, iou_threshold=0.5)[0]) == 2


def test_the_fragments_of_a_box_that_was_dropped_stay():
    """Only a complete box that is kept is a reason to go."""
    found = Detections([[0, 0, 10, 10], [0, 0, 10, 8], [0, 8, 10, 10]], [0.9, 0.8, 0.7], [0] * 3)
    cut = np.array([[False] * 4, [False] * 4, [False, True, False, False]])
    kept, _ = suppress_at_once(found, cut, iou_threshold=0.5)
    assert kept.boxes.tolist() == [[0, 0, 10, 10]]
    kept, _ = suppress_at_once(found.select(np.arange(1, 3)), cut[1:], iou_threshold=0.5)
    assert len(kept) == 2


@given(seeds, thresholds)
def test_without_cut_sides_it_is_plain_suppression(seed, threshold):
    found, _ = make_cut(seed)
    none = np.zeros((len(found), 4), bool)
    kept, cut = suppress_at_once(found, none, iou_threshold=threshold)
    plain = suppress(found, iou_threshold=threshold)
    assert as_rows(kept, cut) == as_rows(plain, none[: len(plain)])


@given(seeds, thresholds, st.sampled_from([0.1, 0.5, 0.9, 1.0]))
def test_complete_boxes_are_kept_as_if_there_were_no_cut_ones(seed, threshold, inside):
    found, cut = make_cut(seed)
    options = {"iou_threshold": threshold, "inside_threshold": inside}
    kept, sides = suppress_at_once(found, cut, **options)
    complete = found.select(~cut.any(axis=1))
    alone = suppress(complete, iou_threshold=threshold)
    np.testing.assert_array_equal(kept.boxes[~sides.any(axis=1)], alone.boxes)


@given(seeds, thresholds, st.sampled_from([0.1, 0.5, 0.9, 1.0]), seeds)
def test_it_is_idempotent_and_the_order_does_not_matter(seed, threshold, inside, order):
    found, cut = make_cut(seed, share=0.3)
    options = {"iou_threshold": threshold, "inside_threshold": inside}
    once = suppress_at_once(found, cut, **options)
    rows = np.random.default_rng(order).permutation(len(found))
    moved = suppress_at_once(found.select(rows), cut[rows], **options)
    assert as_rows(*moved) == as_rows(*once) == as_rows(*suppress_at_once(*once, **options))


def test_empty_passes_through():
    nothing = Detections.empty()
    cut = cut_sides(nothing, Window(0, 0, 5, 5), width=9, height=9)
    kept, sides = suppress_at_once(nothing, cut, iou_threshold=0.5)
    assert (len(kept), cut.shape, sides.shape) == (0, (0, 4), (0, 4))
