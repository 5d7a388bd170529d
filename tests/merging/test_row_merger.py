import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from overlaps import suppress_at_once

from geodet.geometry.boxes import Detections
from geodet.geometry.windows import WindowGrid
from geodet.merging.fragments import JoinRule, cut_sides, join_fragments
from geodet.merging.merger import RowMerger, suppress
from geodet.merging.suppression import SuppressionRule

seeds = st.integers(0, 2**32 - 1)
thresholds = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.8, 1.0])


def as_rows(found):
    table = np.hstack([found.boxes, found.scores[:, None], found.labels[:, None]])
    return sorted(tuple(row) for row in table.tolist())


def make_rows(seed, *, rows=6, count=12, step=4, spread=14):
    """Make detections of rows of windows: each begins a step below the one before."""
    rng = np.random.default_rng(seed)
    made = []
    for row in range(rows):
        low = np.stack(
            [rng.integers(0, spread, count), row * step + rng.integers(0, 6, count)], axis=1
        )
        boxes = np.hstack([low, low + rng.integers(1, 7, (count, 2))])
        scores = rng.integers(1, 6, count) / 5
        made.append((row * step, Detections(boxes, scores, rng.integers(0, 2, count))))
    return made


def merge_rows(made, merger, seed=0):
    rng = np.random.default_rng(seed)
    parts = []
    for row, found in made:
        if rng.random() < 0.8:  # or later, with the next one
            parts.append(merger.settle(row))
        split = rng.integers(0, 2, len(found)).astype(bool)
        merger.add(found.select(split))
        merger.add(found.select(~split))
    return [*parts, merger.finish()]


@given(seeds, thresholds)
def test_the_parts_together_are_what_suppression_gives_at_once(seed, threshold):
    made = make_rows(seed)
    parts = merge_rows(made, RowMerger(SuppressionRule(threshold)), seed)
    whole = suppress(Detections.concatenate([f for _, f in made]), iou_threshold=threshold)
    assert as_rows(Detections.concatenate(parts)) == as_rows(whole)


def make_windows(seed, *, count=14, size=20, overlap=6, strip=0):
    """Make detections of windows, many of which their windows cut."""
    rng = np.random.default_rng(seed)
    grid = WindowGrid(44, 60, size=size, overlap=overlap, strip_columns=strip)
    low = np.stack([rng.integers(0, 44, count), rng.integers(0, 60, count)], axis=1)
    objects = np.hstack([low, low + rng.integers(2, 40, (count, 2))]).astype(float)
    labels = rng.integers(0, 2, count)
    made = []
    for window in grid:
        seen = objects + rng.integers(-1, 2, objects.shape)
        bounds = np.array([window.col_off, window.row_off, window.col_end, window.row_end])
        seen = np.hstack([np.maximum(seen[:, :2], bounds[:2]), np.minimum(seen[:, 2:], bounds[2:])])
        there = (seen[:, 2:] > seen[:, :2] + 1).all(axis=1)
        found = Detections(seen, rng.integers(1, 6, count) / 5, labels).select(there)
        cut = cut_sides(found, window, width=44, height=60)
        made.append((window, found, cut))
    return made


@settings(max_examples=60)
@given(seeds, thresholds, st.sampled_from([0.2, 0.5, 1.0]), st.booleans(), st.integers(0, 2))
def test_the_parts_together_are_what_seams_and_joining_give_at_once(
    seed, iou, inside, joins, strip
):
    made, join = make_windows(seed, strip=strip), JoinRule() if joins else None
    merger = RowMerger(SuppressionRule(iou, inside), join)
    parts, lefts = [], sorted({window.col_off for window, _, _ in made})
    for window, found, cut in made:
        here = lefts.index(window.col_off)
        if strip and here % strip == 0:
            beside = lefts[here + strip] if here + strip < len(lefts) else math.inf
            parts.append(merger.settle(window.row_off, (window.col_off, beside)))
        elif not strip:
            parts.append(merger.settle(window.row_off))
        merger.add(found, cut)
    parts.append(merger.finish())
    found = Detections.concatenate([found for _, found, _ in made])
    cut = np.concatenate([cut for _, _, cut in made])
    whole, cut = suppress_at_once(found, cut, iou_threshold=iou, inside_threshold=inside)
    expected = join_fragments(whole, cut, rule=join)[0] if joins else whole
    assert as_rows(Detections.concatenate(parts)) == as_rows(expected)
    assert len(merger) == 0


def test_joining_does_happen_across_rows():
    """One object over three rows of windows, in a place where the others are complete."""
    merger = RowMerger(SuppressionRule(0.5, 0.5), JoinRule())
    sizes = []
    for row in (0, 14, 28):
        sizes.append(len(merger.settle(row)))
        cut = np.array([[False, row > 0, False, row < 28], [False] * 4])
        boxes = [[5, row, 12, row + 20], [30, row + 5, 34, row + 9]]
        merger.add(Detections(boxes, [0.1 * row / 14 + 0.5, 0.9], [0, 0]), cut)
    last = merger.finish()
    assert sizes == [0, 1, 1]
    assert as_rows(last)[0][:4] == (5, 0, 12, 48)
    assert as_rows(last)[0][4] == pytest.approx(0.7)


def test_settled_detections_are_returned_and_the_others_held():
    """A stronger box that reaches below the row holds its rival, and that its own, but no more."""
    merger = RowMerger(SuppressionRule(0.3))
    chain = [[0, 6, 4, 12], [0, 3, 4, 9], [0, 0, 4, 6]]  # IoU 1/3, from the lowest upwards
    apart = [[9, 0, 13, 6]]
    merger.add(Detections([*chain, *apart], [0.9, 0.8, 0.7, 0.6], [0] * 4))
    assert as_rows(merger.settle(10))[0][:4] == (9, 0, 13, 6)
    assert len(merger) == 3
    merger.add(Detections([[0, 10, 4, 12]], [0.95], [0]))  # beats the lowest one, IoU 1/3
    assert [row[1] for row in as_rows(merger.finish())] == [3, 10]


def test_memory_is_bounded_in_a_long_scene():
    merger, most = RowMerger(SuppressionRule(0.4)), 0
    for row, found in make_rows(1, rows=100, step=8, spread=200):
        merger.settle(row)
        merger.add(found)
        most = max(most, len(merger))
    assert most < 4 * 12


def test_each_part_is_ranked():
    merger = RowMerger(SuppressionRule(0.7))
    for _, found in make_rows(4):
        merger.add(found)
    part = merger.settle(12)
    assert len(part) > 3
    np.testing.assert_array_equal(part.boxes, part.ranked().boxes)


def test_a_box_above_the_settled_row_is_an_error():
    merger = RowMerger(SuppressionRule(0.5))
    merger.settle(8)
    merger.settle(3)  # a weaker promise does not take the stronger one back
    with pytest.raises(ValueError, match=r"row 7\.5, where row 8 .* is settled"):
        merger.add(Detections([[0, 7.5, 4, 9]], [0.5], [0]))


def test_what_reaches_into_the_next_strip_waits_for_it():
    """Complete boxes at a seam are rivals of those of the next strip, wherever it begins."""
    merger = RowMerger(SuppressionRule(0.3))
    merger.settle(0, (-math.inf, 20))
    merger.add(
        Detections([[0, 0, 4, 4], [18, 0, 22, 4], [1, 9, 5, 12]], [0.75, 0.5, 0.625], [0] * 3)
    )
    assert as_rows(merger.settle(8, (-math.inf, 20))) == [(0, 0, 4, 4, 0.75, 0)]
    assert as_rows(merger.settle(0, (20, math.inf))) == [(1, 9, 5, 12, 0.625, 0)]
    with pytest.raises(ValueError, match="column 19, row 30"):
        merger.add(Detections([[19, 30, 24, 40]], [0.5], [0]))
    merger.add(Detections([[20, 0, 22.5, 4]], [0.75], [0]))
    assert as_rows(merger.finish()) == [(20, 0, 22.5, 4, 0.75, 0)]


def test_merging_no_detections_returns_none():
    merger = RowMerger(SuppressionRule(0.5), JoinRule())
    merger.add(Detections.empty())
    assert [len(merger.settle(5)), len(merger.finish()), len(merger)] == [0, 0, 0]
