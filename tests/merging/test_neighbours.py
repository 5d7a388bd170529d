import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.geometry.boxes import pairwise_iou
from geodet.merging.sweeps import Overlap, pairs_between, pairs_within

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


def is_rival(a, b, overlap):
    """Compare all boxes of two sets: (N, M)."""
    area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - low, 0, None).prod(axis=2)
    inside = np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)
    most = overlap.share if overlap.share < 1 else math.inf
    return (pairwise_iou(a, b) > overlap.iou) | (inside > most)


@given(seeds, thresholds)
def test_the_pairs_of_one_set_are_those_of_brute_force(seed, threshold):
    boxes, overlap = make_boxes(seed), Overlap(threshold)
    pairs = sorted(tuple(sorted(pair)) for pair in listed(pairs_within(boxes, overlap)))
    expected = np.argwhere(np.triu(is_rival(boxes, boxes, overlap), 1))
    assert pairs == list(map(tuple, expected.tolist()))


@given(seeds, thresholds, shares)
def test_the_pairs_of_two_sets_are_those_of_brute_force(seed, threshold, share):
    first, second = make_boxes(seed), make_boxes(seed + 1, 30)
    overlap = Overlap(threshold, share)
    pairs = sorted(listed(pairs_between(first, second, overlap)))
    assert pairs == list(map(tuple, np.argwhere(is_rival(first, second, overlap)).tolist()))


@given(seeds, thresholds, st.sampled_from([1e7, -1e7]))
def test_pairs_do_not_change_far_from_the_origin(seed, threshold, far):
    boxes = make_boxes(seed)
    near, moved = (
        sorted(listed(pairs_within(b, Overlap(threshold)))) for b in (boxes, boxes + far)
    )
    assert {frozenset(pair) for pair in near} == {frozenset(pair) for pair in moved}


@given(st.floats(0.01, 1), st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0, 1))
def test_the_reach_bounds_how_far_apart_rivals_are(threshold, width, other, shift):
    distance = shift * (width + other)
    a = np.array([[-width / 2, 0, width / 2, 1]])
    b = np.array([[distance - other / 2, 0, distance + other / 2, 1]])
    overlap = Overlap(threshold)
    if pairwise_iou(a, b).item() > threshold:
        assert distance <= (width + other) / 2 * overlap.reach * (1 + 1e-6) + 1e-9
        assert min(width, other) > max(width, other) * overlap.ratio


def test_a_share_is_of_the_second_box():
    large, small = np.array([[0.0, 0, 10, 10]]), np.array([[8.0, 0, 12, 10]])
    overlap = Overlap(iou=0.3, share=0.4)
    assert listed(pairs_between(large, small, overlap)) == [(0, 0)]  # 20 of 40
    assert listed(pairs_between(small, large, overlap)) == []  # 20 of 100
    assert listed(pairs_between(large, small, Overlap(0.3, share=0.5))) == []


def test_a_few_large_boxes_do_not_make_many_candidates():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 3000, (20_000, 2))
    small = np.hstack([low, low + 10])
    large = np.hstack([np.zeros((50, 2)), rng.uniform(2000, 3000, (50, 2))])
    alone = pairs_within(small, Overlap(0.5)).candidates
    together = pairs_within(np.vstack([small, large]), Overlap(0.5)).candidates
    assert together <= alone + 50 * 50


@pytest.mark.parametrize("count", [0, 1])
def test_no_pairs(count):
    boxes = np.tile([[0.0, 0, 4, 4]], (count, 1))
    pairs = pairs_within(boxes, Overlap(0.0))
    assert (listed(pairs), pairs.candidates) == ([], 0)
    assert listed(pairs_between(boxes, np.zeros((0, 4)), Overlap(0.0))) == []
    assert listed(pairs_between(np.zeros((0, 4)), boxes, Overlap(0.0))) == []
