"""One-to-one matching, against brute force and the dense assignment of scipy."""

import itertools

import numpy as np
import pytest
from factories_models import detections
from hypothesis import given
from hypothesis import strategies as st
from overlaps import pairwise_iou
from scipy.optimize import linear_sum_assignment

import geodet.evaluation.matching
from geodet.config import MatchConfig
from geodet.errors import TilesetError
from geodet.evaluation.matching import (
    MatchPairs,
    candidate_pairs,
    match,
    overlapping_pairs,
    raises_matches,
)
from geodet.geometry.boxes import Detections

BY_IOU = MatchConfig(by="iou", iou=0.5)
BY_DISTANCE = MatchConfig(by="distance", distance_m=6.0)


def pairs_of(entries):
    """Turn (detection, label, cost) rows into pairs."""
    rows = np.array(entries, np.float64).reshape(-1, 3)
    return MatchPairs(rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), rows[:, 2])


@st.composite
def pair_lists(draw, detected, labelled):
    cells = list(itertools.product(range(detected), range(labelled)))
    chosen = draw(st.lists(st.sampled_from(cells), unique=True, max_size=len(cells)))
    costs = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]) | st.floats(0, 1)
    return pairs_of([(d, t, draw(costs)) for d, t in chosen])


def check_one_to_one(pairs, found, truth):
    assert len(set(found.tolist())) == len(found) == len(truth) == len(set(truth.tolist()))
    costs = {(d, t): c for d, t, c in zip(*(p.tolist() for p in pairs), strict=True)}
    return sum(costs[pair] for pair in zip(found.tolist(), truth.tolist(), strict=True))


@given(pair_lists(4, 4))
def test_matching_equals_brute_force(pairs):
    costs = {(d, t): c for d, t, c in zip(*(p.tolist() for p in pairs), strict=True)}
    best = (0, 0.0)
    for order in itertools.permutations(range(4)):
        chosen = [costs[pair] for pair in enumerate(order) if pair in costs]
        best = min(best, (-len(chosen), sum(chosen)))
    found, truth = match(pairs)
    assert len(found) == -best[0]
    assert check_one_to_one(pairs, found, truth) == pytest.approx(best[1])


@given(pair_lists(9, 7))
def test_matching_equals_one_large_assignment(pairs):
    dense = np.full((9, 7), 1000.0)
    dense[pairs.detection, pairs.label] = pairs.cost
    chosen = dense[linear_sum_assignment(dense)]
    found, truth = match(pairs)
    assert len(found) == (chosen < 1000).sum()
    assert check_one_to_one(pairs, found, truth) == pytest.approx(chosen[chosen < 1000].sum())


@given(pair_lists(6, 6), st.randoms(use_true_random=False))
def test_the_number_of_matches_does_not_depend_on_the_order(pairs, random):
    order = list(range(len(pairs.cost)))
    random.shuffle(order)
    shuffled = MatchPairs(*(column[order] for column in pairs))
    assert len(match(shuffled)[0]) == len(match(pairs)[0])


def test_two_expensive_pairs_are_preferred_to_a_cheap_one():
    pairs = pairs_of([(0, 0, 0.0), (0, 1, 1.0), (1, 0, 1.0)])
    found, truth = match(pairs)
    assert sorted(zip(found.tolist(), truth.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_groups_are_solved_separately():
    pairs = pairs_of([(0, 0, 0.2), (0, 1, 0.1), (1, 0, 0.1), (7, 9, 1.0)])
    found, truth = match(pairs)
    matched = sorted(zip(found.tolist(), truth.tolist(), strict=True))
    assert matched == [(0, 1), (1, 0), (7, 9)]


def test_an_object_is_matched_once_at_equal_costs():
    found, _ = match(pairs_of([(d, t, 0.5) for d in range(3) for t in range(2)]))
    assert len(found) == 2


def test_without_pairs_nothing_matches():
    found, truth = match(pairs_of([]))
    assert (found.tolist(), truth.tolist()) == ([], [])


boxes_strategy = st.lists(
    st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 10)] * 2).map(
        lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
    ),
    max_size=8,
).map(lambda rows: np.array(rows, np.float64).reshape(-1, 4))


@given(boxes_strategy, boxes_strategy, st.randoms(use_true_random=False))
def test_pairs_by_overlap_equal_the_definition(found, truth, random):
    names = [np.array([random.randrange(2) for _ in part], np.int64) for part in (found, truth)]
    pairs = candidate_pairs(
        detections(found, None, names[0]), truth, names[1], rule=BY_IOU, gsd=None
    )
    iou = pairwise_iou(found, truth)
    allowed = (iou >= 0.5) & (names[0][:, None] == names[1][None, :])
    assert sorted(zip(*pairs[:2], strict=True)) == sorted(zip(*np.nonzero(allowed), strict=True))
    np.testing.assert_allclose(pairs.cost, 1 - iou[pairs.detection, pairs.label])


@given(boxes_strategy, boxes_strategy, st.sampled_from([0.3, 0.5, 1.0, 2.0]))
def test_pairs_by_distance_equal_the_definition(found, truth, gsd):
    pairs = candidate_pairs(
        detections(found), truth, np.zeros(len(truth), np.int64), rule=BY_DISTANCE, gsd=gsd
    )
    centres = [(part[:, :2] + part[:, 2:]) / 2 for part in (found, truth)]
    metres = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2) * gsd
    allowed = metres <= 6.0
    assert sorted(zip(*pairs[:2], strict=True)) == sorted(zip(*np.nonzero(allowed), strict=True))
    np.testing.assert_allclose(pairs.cost, metres[pairs.detection, pairs.label] / 6, atol=1e-12)


def test_equal_centres_are_a_pair_by_distance():
    box = [[5.0, 5, 9, 9]]
    pairs = candidate_pairs(
        detections(box), np.array(box), np.array([0]), rule=BY_DISTANCE, gsd=0.5
    )
    assert pairs.cost.tolist() == [0.0]


@pytest.mark.parametrize(("gsd", "matches"), [(0.59, 1), (0.6, 1), (0.61, 0)])
def test_the_distance_is_in_metres(gsd, matches):
    near = np.array([[0.0, 0, 4, 4]])
    away = detections(near + np.array([10, 0, 10, 0]))
    pairs = candidate_pairs(away, near, np.array([0]), rule=BY_DISTANCE, gsd=gsd)
    assert len(pairs.cost) == matches


def test_the_distance_is_in_the_steps_of_each_direction():
    box = np.array([[0.0, 0, 4, 4]])
    found = detections([[10.0, 0, 14, 4], [0, 10, 4, 14]], [0.9, 0.8], [0, 0])
    steps = np.array([[0.0, 0.3], [0.9, 0.0]])  # columns run north, rows run east
    pairs = candidate_pairs(found, box, np.array([0]), rule=BY_DISTANCE, gsd=steps)
    assert (pairs.detection.tolist(), pairs.cost.tolist()) == ([1], pytest.approx([0.5]))


def test_an_overlap_at_the_threshold_matches():
    half = detections([[0, 0, 10, 5]])
    pairs = candidate_pairs(
        half, np.array([[0.0, 0, 10, 10]]), np.array([0]), rule=BY_IOU, gsd=None
    )
    assert pairs.cost.tolist() == [0.5]


def test_matching_by_distance_without_a_gsd_is_refused():
    box = np.array([[0.0, 0, 4, 4]])
    with pytest.raises(
        TilesetError, match="the metres per pixel of an image are unknown"
    ) as caught:
        candidate_pairs(detections(box), box, np.array([0]), rule=BY_DISTANCE, gsd=None)
    assert "data.gsd" in caught.value.hint


@pytest.mark.parametrize("rule", [BY_IOU, BY_DISTANCE])
def test_boxes_of_different_classes_are_no_pair(rule):
    box = np.array([[0.0, 0, 4, 4]])
    pairs = candidate_pairs(detections(box, [0.9], [1]), box, np.array([0]), rule=rule, gsd=0.3)
    assert len(pairs.cost) == 0


@pytest.mark.parametrize("rule", [BY_IOU, BY_DISTANCE])
def test_without_detections_or_objects_there_are_no_pairs(rule):
    boxes = np.array([[0.0, 0, 4, 4]])
    for found, truth in ((Detections.empty(), boxes), (detections(boxes), np.zeros((0, 4)))):
        labels = np.zeros(len(truth), np.int64)
        assert len(candidate_pairs(found, truth, labels, rule=rule, gsd=0.5).cost) == 0


def test_boxes_without_overlap_are_no_pair():
    apart = overlapping_pairs(np.array([[0.0, 0, 2, 2]]), np.array([[2.0, 0, 4, 2]]), 1e-9)
    assert len(apart.cost) == 0


@given(pair_lists(7, 6), st.lists(st.integers(0, 5), min_size=7, max_size=7))
def test_the_matches_at_every_threshold_are_counted_at_once(pairs, steps):
    scores = np.array(steps, np.float32) / 10
    raised = raises_matches(pairs, scores)
    for threshold in np.unique(scores):
        kept = scores >= threshold
        most = len(match(pairs.select(kept[pairs.detection]))[0])
        assert (raised & kept).sum() == most


def test_a_detection_of_higher_score_changes_its_object_for_one_of_lower_score():
    pairs = pairs_of([(0, 0, 0.0), (0, 1, 0.5), (1, 0, 0.1), (2, 0, 0.1)])
    assert raises_matches(pairs, np.float32([0.9, 0.8, 0.7])).tolist() == [True, True, False]


def test_detections_without_pairs_raise_nothing():
    assert raises_matches(pairs_of([(1, 0, 0.0)]), np.float32([0.9, 0.1])).tolist() == [False, True]
    assert raises_matches(pairs_of([]), np.zeros(0, np.float32)).tolist() == []


@given(pair_lists(9, 7), st.integers(1, 12))
def test_matching_does_not_depend_on_the_size_of_the_parts(pairs, chunk):
    together = match(pairs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geodet.evaluation.matching, "_CHUNK", chunk)
        apart = match(pairs)
    assert len(apart[0]) == len(together[0])
    assert check_one_to_one(pairs, *apart) == pytest.approx(check_one_to_one(pairs, *together))


@given(pair_lists(9, 7))
def test_very_large_groups_have_as_many_matches_as_possible(pairs):
    most = len(match(pairs)[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geodet.evaluation.matching, "_LARGEST", 0)
        found, truth = match(pairs)
    assert len(found) == most
    check_one_to_one(pairs, found, truth)
