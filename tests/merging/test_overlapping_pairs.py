import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from overlaps import pairwise_iou

from geodet.merging import overlapping_pairs
from geodet.merging.overlapping_pairs import OverlapRule, pairs_between, pairs_within

seeds = st.integers(0, 2**32 - 1)
thresholds = st.sampled_from([0.0, 0.01, 0.2, 1 / 3, 0.5, 0.8, 0.99, 1.0])
shares = st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0, math.inf])


def make_boxes(seed, count=40, *, spread=25.0):
    """Make boxes of sizes from 0 to hundreds, a few of them equal."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, spread, (count, 2))
    sides = rng.integers(0, 9, (count, 2)) * rng.choice([1, 1, 1, 5, 40], (count, 1))
    boxes = np.hstack([low, low + sides]).astype(float)
    return boxes[rng.integers(0, count, count)]


def listed(pairs):
    return [pair for a, b in pairs for pair in zip(a.tolist(), b.tolist(), strict=True)]


def compare_all(a, b, rule):
    """Return which boxes of two sets overlap enough, by brute force: (N, M)."""
    area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - low, 0, None).prod(axis=2)
    inside = np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)
    most = rule.share if rule.share < 1 else math.inf
    return (pairwise_iou(a, b) > rule.iou) | (inside > most)


@given(seeds, thresholds)
def test_the_pairs_of_one_set_are_those_of_brute_force(seed, threshold):
    boxes, rule = make_boxes(seed), OverlapRule(threshold)
    pairs = sorted(tuple(sorted(pair)) for pair in listed(pairs_within(boxes, rule)))
    expected = np.argwhere(np.triu(compare_all(boxes, boxes, rule), 1))
    assert pairs == list(map(tuple, expected.tolist()))


@given(seeds, thresholds, shares)
def test_the_pairs_of_two_sets_are_those_of_brute_force(seed, threshold, share):
    first, second = make_boxes(seed), make_boxes(seed + 1, 30)
    rule = OverlapRule(threshold, share)
    pairs = sorted(listed(pairs_between(first, second, rule)))
    assert pairs == list(map(tuple, np.argwhere(compare_all(first, second, rule)).tolist()))


@given(seeds, thresholds, st.sampled_from([1e7, -1e7]))
def test_pairs_do_not_change_far_from_the_origin(seed, threshold, far):
    boxes = make_boxes(seed)
    near, moved = (
        sorted(listed(pairs_within(b, OverlapRule(threshold)))) for b in (boxes, boxes + far)
    )
    assert {frozenset(pair) for pair in near} == {frozenset(pair) for pair in moved}


@given(st.floats(0.01, 1), st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0, 1))
def test_boxes_of_a_pair_are_no_further_apart_than_the_reach(threshold, width, other, shift):
    distance = shift * (width + other)
    a = np.array([[-width / 2, 0, width / 2, 1]])
    b = np.array([[distance - other / 2, 0, distance + other / 2, 1]])
    rule = OverlapRule(threshold)
    if pairwise_iou(a, b).item() > threshold:
        assert distance <= (width + other) / 2 * rule.reach * (1 + 1e-6) + 1e-9
        assert min(width, other) > max(width, other) * rule.ratio


def test_a_share_is_of_the_second_box():
    large, small = np.array([[0.0, 0, 10, 10]]), np.array([[8.0, 0, 12, 10]])
    rule = OverlapRule(iou=0.3, share=0.4)
    assert listed(pairs_between(large, small, rule)) == [(0, 0)]  # 20 of 40
    assert listed(pairs_between(small, large, rule)) == []  # 20 of 100
    assert listed(pairs_between(large, small, OverlapRule(0.3, share=0.5))) == []


def test_a_few_large_boxes_do_not_make_many_candidates():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 3000, (20_000, 2))
    small = np.hstack([low, low + 10])
    large = np.hstack([np.zeros((50, 2)), rng.uniform(2000, 3000, (50, 2))])
    alone = pairs_within(small, OverlapRule(0.5)).candidates
    together = pairs_within(np.vstack([small, large]), OverlapRule(0.5)).candidates
    assert together <= alone + 50 * 50


@pytest.mark.parametrize("count", [0, 1])
def test_one_box_or_none_has_no_pairs(count):
    boxes = np.tile([[0.0, 0, 4, 4]], (count, 1))
    pairs = pairs_within(boxes, OverlapRule(0.0))
    assert (listed(pairs), pairs.candidates) == ([], 0)
    assert listed(pairs_between(boxes, np.zeros((0, 4)), OverlapRule(0.0))) == []
    assert listed(pairs_between(np.zeros((0, 4)), boxes, OverlapRule(0.0))) == []


@given(seeds, thresholds, st.sampled_from([1, 7, 300]))
def test_boxes_of_all_sizes_and_places_are_paired(seed, threshold, spread):
    rng = np.random.default_rng(seed)
    low = rng.uniform(-50, spread, (60, 2))
    boxes = np.hstack([low, low + 4.0 ** rng.uniform(-3, 4, (60, 2))])
    boxes[::7, [0, 2]] = boxes[::7, [2, 0]]  # without an area: some are the wrong way round
    rule = OverlapRule(threshold)
    pairs = sorted(tuple(sorted(pair)) for pair in listed(pairs_within(boxes, rule)))
    upright = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    expected = np.triu(compare_all(boxes, boxes, rule), 1) & np.outer(upright, upright)
    assert pairs == list(map(tuple, np.argwhere(expected).tolist()))


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_the_size_of_the_parts_does_not_change_the_pairs(monkeypatch, at_once):
    first, second = make_boxes(3), make_boxes(4)
    rule = OverlapRule(0.0)
    whole = listed(pairs_within(first, rule)), listed(pairs_between(first, second, rule))
    monkeypatch.setattr(overlapping_pairs, "_AT_ONCE", at_once)
    assert (listed(pairs_within(first, rule)), listed(pairs_between(first, second, rule))) == whole


def test_parts_are_of_bounded_size(monkeypatch):
    monkeypatch.setattr(overlapping_pairs, "_AT_ONCE", 50)
    boxes = make_boxes(0, 200, spread=400.0)
    parts = [len(a) for a, _ in pairs_within(boxes, OverlapRule(0.0))]
    assert len(parts) > 1
    assert max(parts) <= 50


def test_boxes_that_are_far_apart_are_not_compared():
    """90,000 boxes have 4e9 pairs."""
    x, y = np.meshgrid(np.arange(300.0) * 10, np.arange(300.0) * 10)
    low = np.stack([x.ravel(), y.ravel()], axis=1)
    boxes = np.hstack([low, low + 9])
    assert pairs_within(boxes, OverlapRule(0.5)).candidates == 0
    assert pairs_within(boxes, OverlapRule(0.0)).candidates < 5 * len(boxes)
