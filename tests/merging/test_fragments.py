import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from overlaps import suppress_at_once

from geodet.geometry.boxes import Detections
from geodet.geometry.windows import WindowGrid
from geodet.merging.fragments import JoinRule, cut_sides, group_fragments, join_fragments

seeds = st.integers(0, 2**32 - 1)
LEFT, TOP, RIGHT, BOTTOM = range(4)


def build(boxes, cuts, scores=None, labels=None):
    count = len(boxes)
    cut = np.zeros((count, 4), bool)
    for row, sides in enumerate(cuts):
        cut[row, list(sides)] = True
    scores = np.linspace(0.9, 0.5, count) if scores is None else scores
    return Detections(boxes, scores, np.zeros(count) if labels is None else labels), cut


def make_cut(seed, count=14):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 12, (count, 2))
    boxes = np.hstack([low, low + rng.integers(1, 7, (count, 2))])
    found = Detections(boxes, rng.integers(1, 5, count) / 5, rng.integers(0, 2, count))
    return found, rng.random((count, 4)) < 0.4


def as_rows(found, cut):
    table = np.hstack([found.boxes, found.scores[:, None], found.labels[:, None], cut])
    return [tuple(row) for row in table.tolist()]


def see(objects, grid):
    """Cut objects as the windows of a grid do: what a perfect network finds in each."""
    parts, cuts = [], []
    for window in grid:
        low, high = (window.col_off, window.row_off), (window.col_end, window.row_end)
        boxes = np.hstack(
            [np.maximum(objects.boxes[:, :2], low), np.minimum(objects.boxes[:, 2:], high)]
        )
        there = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        parts.append(Detections(boxes, objects.scores, objects.labels).select(there))
        cuts.append(cut_sides(parts[-1], window, width=grid.width, height=grid.height, tolerance=0))
    return Detections.concatenate(parts), np.concatenate(cuts)


def test_two_fragments_across_a_seam_are_one_object():
    found, cut = build([[0, 2, 20, 9], [16, 2, 40, 8]], [[RIGHT], [LEFT]])
    joined, sides = join_fragments(found, cut)
    assert as_rows(joined, sides) == [(0, 2, 40, 9, pytest.approx(0.9), 0, 0, 0, 0, 0)]


def test_a_chain_over_several_windows_is_one_object():
    boxes = [[5, 0, 12, 20], [5, 16, 12, 36], [5, 32, 12, 52], [5, 48, 12, 60]]
    found, cut = build(boxes, [[BOTTOM], [TOP, BOTTOM], [TOP, BOTTOM], [TOP]], [0.5, 0.6, 0.9, 0.7])
    joined, _ = join_fragments(found, cut)
    assert joined.boxes.tolist() == [[5, 0, 12, 60]]
    assert joined.scores.tolist() == [pytest.approx(0.9)]


def test_a_ring_around_a_corner_is_one_object():
    boxes = [[5, 5, 20, 20], [16, 5, 30, 20], [5, 16, 20, 30], [16, 16, 30, 30]]
    found, cut = build(boxes, [[RIGHT, BOTTOM], [LEFT, BOTTOM], [RIGHT, TOP], [LEFT, TOP]])
    assert join_fragments(found, cut)[0].boxes.tolist() == [[5, 5, 30, 30]]


@pytest.mark.parametrize(
    ("boxes", "cuts", "labels"),
    [
        ([[0, 2, 20, 9], [16, 2, 40, 9]], [[RIGHT], []], [0, 0]),  # one is complete
        ([[0, 2, 20, 9], [16, 2, 40, 9]], [[RIGHT], [RIGHT]], [0, 0]),  # not facing
        ([[0, 2, 20, 9], [16, 2, 40, 9]], [[LEFT], [RIGHT]], [0, 0]),  # back to back
        ([[0, 2, 20, 9], [16, 2, 40, 9]], [[RIGHT], [LEFT]], [0, 1]),  # two classes
        ([[0, 2, 20, 9], [16, 6, 40, 13]], [[RIGHT], [LEFT]], [0, 0]),  # not aligned: 3 of 11
        ([[0, 2, 20, 9], [22, 2, 40, 9]], [[RIGHT], [LEFT]], [0, 0]),  # 2 px apart
        ([[0, 2, 20, 9], [16, 2, 20, 9]], [[RIGHT], [LEFT]], [0, 0]),  # one within the other
    ],
)
def test_boxes_that_are_no_fragments_are_not_joined(boxes, cuts, labels):
    found, cut = build(boxes, cuts, labels=labels)
    assert as_rows(*join_fragments(found, cut)) == as_rows(found, cut)


def test_a_gap_and_an_alignment_at_the_limit_join():
    found, cut = build([[0, 0, 20, 8], [21, 0, 40, 4]], [[RIGHT], [LEFT]])
    assert len(join_fragments(found, cut)[0]) == 1
    assert len(join_fragments(found, cut, rule=JoinRule(alignment=0.51))[0]) == 2
    assert len(join_fragments(found, cut, rule=JoinRule(tolerance=0.9))[0]) == 2


def test_a_side_has_one_partner_the_best_aligned():
    boxes = [[0, 0, 20, 10], [16, 0, 40, 7], [16, 1, 40, 10]]  # alignment 0.7 and 0.9
    found, cut = build(boxes, [[RIGHT], [LEFT], [LEFT]])
    joined, sides = join_fragments(found, cut)
    assert joined.boxes.tolist() == [[0, 0, 40, 10], [16, 0, 40, 7]]
    assert sides.tolist() == [[False] * 4, [True, False, False, False]]


@given(seeds, st.floats(0.1, 1), st.floats(0, 3))
def test_complete_boxes_are_never_changed_or_joined(seed, alignment, tolerance):
    found, cut = make_cut(seed)
    complete = ~cut.any(axis=1)
    alone = as_rows(found.select(complete), cut[complete])
    joined, sides = join_fragments(found, cut, rule=JoinRule(alignment, tolerance))
    cut_left = as_rows(found.select(~complete), cut[~complete])
    rows = as_rows(joined, sides)
    for row in alone:
        assert rows.count(row) >= alone.count(row)
    fragments = join_fragments(
        found.select(~complete), cut[~complete], rule=JoinRule(alignment, tolerance)
    )
    assert sorted(rows) == sorted(alone + as_rows(*fragments))
    assert len(fragments[0]) <= len(cut_left)


@given(seeds, seeds)
def test_joining_is_idempotent_and_the_order_does_not_matter(seed, order):
    found, cut = make_cut(seed)
    once = join_fragments(found, cut)
    rows = np.random.default_rng(order).permutation(len(found))
    assert as_rows(*join_fragments(found.select(rows), cut[rows])) == as_rows(*once)
    assert as_rows(*join_fragments(*once)) == as_rows(*once)


@given(seeds, st.floats(0, 10))
def test_groups_can_be_joined_apart(seed, tolerance):
    found, cut = make_cut(seed)
    rule = JoinRule(tolerance=tolerance)
    groups = group_fragments(found, cut, rule)
    parts = [
        join_fragments(found.select(groups == g), cut[groups == g], rule=rule) for g in set(groups)
    ]
    apart = [row for part in parts for row in as_rows(*part)]
    assert sorted(apart) == sorted(as_rows(*join_fragments(found, cut, rule=rule)))


@given(seeds, st.integers(2, 8))
def test_long_objects_are_found_whole_and_dense_neighbours_stay_apart(seed, overlap):
    """Objects of many lengths lie side by side, 1 px apart, across five windows in a row."""
    rng = np.random.default_rng(seed)
    heights = rng.integers(2, 6, 3)
    tops = np.cumsum(heights + 1) - heights
    lengths = rng.choice([overlap, *range(2 * overlap + 1, 100)], 3)
    left = rng.integers(0, 80, 3)
    right = np.minimum(left + lengths, 100 + overlap)
    boxes = np.stack([left, tops, right, tops + heights], axis=1)
    objects = Detections(boxes, rng.permutation(3) / 3, np.zeros(3))
    grid = WindowGrid(100 + overlap, 20, size=20 + overlap, overlap=overlap)
    found, cut = see(objects, grid)
    survivors, cut = suppress_at_once(found, cut, iou_threshold=0.5)
    joined, _ = join_fragments(survivors, cut)
    whole = {tuple(box) for box in objects.boxes.tolist()}
    assert len(grid) == 5
    assert {tuple(box) for box in joined.boxes.tolist()} >= whole
    assert all(any(tuple(box[1::2]) == b[1::2] for b in whole) for box in joined.boxes.tolist())


def test_joining_no_detections_returns_none():
    joined, cut = join_fragments(Detections.empty(), np.zeros((0, 4), bool))
    assert (len(joined), cut.shape) == (0, (0, 4))
