import itertools

import numpy as np
import pytest
from factories_models import EMPTY, detections
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from geodet.boxes import Detections, pairwise_iou
from geodet.config import MatchConfig
from geodet.errors import TilesetError
from geodet.metrics import ChipResult, Pairs, Scores, best_scores, candidate_pairs, match, score

BY_IOU = MatchConfig(by="iou", iou=0.5)
BY_DISTANCE = MatchConfig(by="distance", distance_m=6.0)


def pairs_of(entries):
    """Turn (detection, label, cost) rows into pairs."""
    rows = np.array(entries, np.float64).reshape(-1, 3)
    return Pairs(rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), rows[:, 2])


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
def test_as_many_as_possible_and_then_the_cheapest_by_brute_force(pairs):
    costs = {(d, t): c for d, t, c in zip(*(p.tolist() for p in pairs), strict=True)}
    best = (0, 0.0)
    for order in itertools.permutations(range(4)):
        chosen = [costs[pair] for pair in enumerate(order) if pair in costs]
        best = min(best, (-len(chosen), sum(chosen)))
    found, truth = match(pairs)
    assert len(found) == -best[0]
    assert check_one_to_one(pairs, found, truth) == pytest.approx(best[1])


@given(pair_lists(9, 7))
def test_it_equals_one_large_assignment(pairs):
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
    shuffled = Pairs(*(column[order] for column in pairs))
    assert len(match(shuffled)[0]) == len(match(pairs)[0])


def test_a_cheap_pair_gives_way_to_two_dear_ones():
    pairs = pairs_of([(0, 0, 0.0), (0, 1, 1.0), (1, 0, 1.0)])
    found, truth = match(pairs)
    assert sorted(zip(found.tolist(), truth.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_groups_are_solved_apart():
    pairs = pairs_of([(0, 0, 0.2), (0, 1, 0.1), (1, 0, 0.1), (7, 9, 1.0)])
    found, truth = match(pairs)
    matched = sorted(zip(found.tolist(), truth.tolist(), strict=True))
    assert matched == [(0, 1), (1, 0), (7, 9)]


def test_equal_costs_match_once():
    found, _ = match(pairs_of([(d, t, 0.5) for d in range(3) for t in range(2)]))
    assert len(found) == 2


def test_no_pairs_match_nothing():
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


def test_a_perfect_hit_is_a_pair_by_distance():
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


def test_an_overlap_at_the_threshold_matches():
    half = detections([[0, 0, 10, 5]])
    pairs = candidate_pairs(
        half, np.array([[0.0, 0, 10, 10]]), np.array([0]), rule=BY_IOU, gsd=None
    )
    assert pairs.cost.tolist() == [0.5]


def test_metres_need_a_gsd():
    box = np.array([[0.0, 0, 4, 4]])
    with pytest.raises(TilesetError, match="needs the metres per pixel") as caught:
        candidate_pairs(detections(box), box, np.array([0]), rule=BY_DISTANCE, gsd=None)
    assert "data.gsd" in caught.value.hint


@pytest.mark.parametrize("rule", [BY_IOU, BY_DISTANCE])
def test_classes_never_mix(rule):
    box = np.array([[0.0, 0, 4, 4]])
    pairs = candidate_pairs(detections(box, [0.9], [1]), box, np.array([0]), rule=rule, gsd=0.3)
    assert len(pairs.cost) == 0


def compare(found, truth, labels=None, *, ignored=EMPTY, rule=BY_IOU, gsd=None):
    truth = np.array(truth, np.float64).reshape(-1, 4)
    names = np.zeros(len(truth), np.int64) if labels is None else np.array(labels)
    return ChipResult.compare(
        found, truth, names, ignored=np.array(ignored, np.float64), rule=rule, gsd=gsd
    )


TRUTH = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]]


def one_chip():
    """Two hits, a second detection of the first object, a false one; two objects are missed."""
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [20, 1, 30, 11], [80, 80, 90, 90]]
    return compare(detections(boxes, [0.9, 0.8, 0.6, 0.4]), TRUTH)


def test_precision_recall_and_f1_by_hand():
    scores = score([one_chip()], 0.3)
    assert scores == Scores(0.3, 2, 4, 4)
    assert (scores.precision, scores.recall, scores.f1) == (0.5, 0.5, 0.5)
    scores = score([one_chip()], 0.6)
    assert scores == Scores(0.6, 2, 3, 4)  # a score at the threshold counts
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.f1 == pytest.approx(4 / 7)
    assert score([one_chip()], 0.95) == Scores(0.95, 0, 0, 4)


def test_chips_are_summed():
    empty_chip = compare(detections([[0, 0, 4, 4]], [0.7]), [])
    silent_chip = compare(Detections.empty(), TRUTH[:1])
    assert score([one_chip(), empty_chip, silent_chip], 0.5) == Scores(0.5, 2, 4, 5)


def test_f1_is_the_harmonic_mean():
    scores = Scores(0.5, 3, 4, 10)
    wanted = 2 * scores.precision * scores.recall / (scores.precision + scores.recall)
    assert scores.f1 == pytest.approx(wanted)


def test_detections_in_ignored_regions_do_not_count():
    found = detections([[0, 0, 10, 10], [80, 80, 90, 90]], [0.9, 0.9])
    assert score([compare(found, TRUTH)], 0.5) == Scores(0.5, 1, 2, 4)
    assert score([compare(found, TRUTH, ignored=[[70, 70, 99, 99]])], 0.5) == Scores(0.5, 1, 1, 4)
    assert score([compare(found, TRUTH, ignored=[[86, 70, 99, 99]])], 0.5).detected == 2


def test_a_weak_detection_does_not_take_the_match_of_a_strong_one():
    found = detections([[0, 2, 10, 12], [0, 0, 10, 10]], [0.9, 0.3])
    result = compare(found, TRUTH[:1])
    assert score([result], 0.5) == Scores(0.5, 1, 1, 1)
    assert score([result], 0.2) == Scores(0.2, 1, 2, 1)


def test_the_best_threshold_has_the_best_f1():
    best = best_scores([one_chip()])
    every = [score([one_chip()], t) for t in np.arange(1, 50) / 50]
    assert best.f1 == max(scores.f1 for scores in every) == pytest.approx(4 / 7)
    assert best.threshold == 0.42  # the first above the false detection at 0.4


@given(st.lists(st.tuples(st.sampled_from([0.12, 0.3, 0.5, 0.77]), st.booleans()), max_size=6))
def test_the_best_threshold_is_the_lowest_of_the_best(rows):
    boxes = [
        TRUTH[i % 4] if hit else [200 + 20 * i, 0, 210 + 20 * i, 9]
        for i, (_, hit) in enumerate(rows)
    ]
    result = compare(detections(boxes, [s for s, _ in rows]), TRUTH)
    best = best_scores([result], step=0.1)
    every = [score([result], round(t / 10, 6)) for t in range(1, 10)]
    assert best == max(every, key=lambda s: (s.f1, -s.threshold))


@pytest.mark.parametrize("results", [[], [compare(Detections.empty(), [])]])
def test_nothing_at_all_scores_zero(results):
    scores = score(results, 0.5)
    assert (scores.precision, scores.recall, scores.f1) == (0.0, 0.0, 0.0)
    assert best_scores(results).f1 == 0.0


@pytest.mark.parametrize("rule", [BY_IOU, BY_DISTANCE])
def test_empty_sides_have_no_pairs(rule):
    for found, truth in ((Detections.empty(), TRUTH), (detections(TRUTH), [])):
        result = compare(found, truth, rule=rule, gsd=0.5)
        assert len(result.pairs.cost) == 0
        assert (len(result.scores), result.objects) == (len(found), len(truth))
