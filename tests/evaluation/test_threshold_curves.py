import numpy as np
import pytest
from factories_models import EMPTY, detections
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from geodet.config import MatchConfig
from geodet.evaluation.threshold_curves import (
    Comparison,
    MatchCounts,
    best_counts,
    count_matches,
    trace_curve,
)
from geodet.geometry.boxes import Detections

BY_IOU = MatchConfig(by="iou", iou=0.5)
BY_DISTANCE = MatchConfig(by="distance", distance_m=6.0)


def compare(found, truth, labels=None, *, ignored=EMPTY, rule=BY_IOU, gsd=None):
    truth = np.array(truth, np.float64).reshape(-1, 4)
    names = np.zeros(len(truth), np.int64) if labels is None else np.array(labels)
    return Comparison.of(
        found, truth, names, ignored=np.array(ignored, np.float64), rule=rule, gsd=gsd
    )


TRUTH = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]]


def one_chip():
    """Two matches, a second detection of the first object, a false positive, and two misses."""
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [20, 1, 30, 11], [80, 80, 90, 90]]
    return compare(detections(boxes, [0.9, 0.8, 0.6, 0.4]), TRUTH)


def test_precision_recall_and_f1_equal_those_computed_by_hand():
    scores = count_matches([one_chip()], 0.3)
    assert scores == MatchCounts(0.3, 2, 4, 4)
    assert (scores.precision, scores.recall, scores.f1) == (0.5, 0.5, 0.5)
    scores = count_matches([one_chip()], 0.6)
    assert scores == MatchCounts(0.6, 2, 3, 4)  # a score at the threshold counts
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.f1 == pytest.approx(4 / 7)
    assert count_matches([one_chip()], 0.95) == MatchCounts(0.95, 0, 0, 4)


def test_counts_are_summed_over_the_chips():
    empty_chip = compare(detections([[0, 0, 4, 4]], [0.7]), [])
    silent_chip = compare(Detections.empty(), TRUTH[:1])
    assert count_matches([one_chip(), empty_chip, silent_chip], 0.5) == MatchCounts(0.5, 2, 4, 5)


def test_f1_is_the_harmonic_mean():
    scores = MatchCounts(0.5, 3, 4, 10)
    wanted = 2 * scores.precision * scores.recall / (scores.precision + scores.recall)
    assert scores.f1 == pytest.approx(wanted)


def test_detections_in_ignored_regions_do_not_count():
    found = detections([[0, 0, 10, 10], [80, 80, 90, 90]], [0.9, 0.9])
    assert count_matches([compare(found, TRUTH)], 0.5) == MatchCounts(0.5, 1, 2, 4)
    assert count_matches([compare(found, TRUTH, ignored=[[70, 70, 99, 99]])], 0.5) == MatchCounts(
        0.5, 1, 1, 4
    )
    assert count_matches([compare(found, TRUTH, ignored=[[86, 70, 99, 99]])], 0.5).detected == 2


def test_labelled_objects_in_ignored_regions_are_found():
    everywhere = [[-50, -50, 99, 99]]
    found = detections([*TRUTH[:3], TRUTH[0], [80, 80, 90, 90]], [0.9, 0.8, 0.7, 0.6, 0.95])
    result = compare(found, TRUTH, ignored=everywhere)
    assert count_matches([result], 0.5) == MatchCounts(0.5, 3, 3, 4)
    assert count_matches([result], 0.75) == MatchCounts(0.75, 2, 2, 4)
    assert trace_curve([result]).thresholds.tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert best_counts([result]).precision == 1.0


def test_a_detection_in_an_ignored_region_makes_no_other_wrong():
    # Both may match the object. The stronger one, in the region, does so until the other counts.
    found = detections([[-3, 0, 7, 10], [0, 0, 10, 10]], [0.9, 0.6])
    result = compare(found, TRUTH[:1], ignored=[[-9, -9, 3, 19]])
    assert count_matches([result], 0.8) == MatchCounts(0.8, 1, 1, 1)
    assert count_matches([result], 0.5) == MatchCounts(0.5, 1, 1, 1)


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.25]))
def test_with_ignored_regions_counts_are_those_of_two_largest_matchings(seed, step):
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 20, (30, 2))
    boxes = np.hstack([corners, corners + random.uniform(6, 9, (30, 2))])
    scores = random.random(20)
    if step:
        scores = (scores / step).round() * step
    found = detections(boxes[10:], scores)
    rule = MatchConfig(by="iou", iou=0.2)
    result = compare(found, boxes[:12], ignored=[[5, 5, 15, 30]], rule=rule)
    inside = np.array([5 <= x <= 15 and 5 <= y <= 30 for x, y in found.centres])
    curve = trace_curve([result])
    assert (np.diff(curve.matched) >= 0).all()
    for threshold in {0.0, *scores.tolist()}:
        kept = found.scores >= np.float32(threshold)
        every, outside = (
            count_matches([compare(found.select(k), boxes[:12], rule=rule)], 0.0)
            for k in (kept, kept & ~inside)
        )
        wrong = outside.detected - outside.matched
        expected = MatchCounts(threshold, every.matched, every.matched + wrong, 12)
        assert curve.at(threshold) == expected
        _, hit, counted = result.match_kept(kept)
        assert (len(hit), counted.sum()) == (expected.matched, expected.detected)


def test_a_detection_below_the_threshold_takes_no_match():
    found = detections([[0, 2, 10, 12], [0, 0, 10, 10]], [0.9, 0.3])
    result = compare(found, TRUTH[:1])
    assert count_matches([result], 0.5) == MatchCounts(0.5, 1, 1, 1)
    assert count_matches([result], 0.2) == MatchCounts(0.2, 1, 2, 1)


def test_the_best_threshold_has_the_best_f1():
    best = best_counts([one_chip()])
    every = [count_matches([one_chip()], t) for t in np.arange(1, 50) / 50]
    assert best.f1 == max(scores.f1 for scores in every) == pytest.approx(4 / 7)
    assert best.threshold == 0.5  # between the false detection at 0.4 and the hit at 0.6


chips = st.lists(
    st.tuples(st.sampled_from([0.12, 0.3, 0.5, 0.77, 0.771]), st.booleans()), max_size=6
)


def chip_of(rows):
    boxes = [
        TRUTH[i % 4] if hit else [200 + 20 * i, 0, 210 + 20 * i, 9]
        for i, (_, hit) in enumerate(rows)
    ]
    return compare(detections(boxes, [s for s, _ in rows]), TRUTH)


@given(chips, st.sampled_from([0.0, 0.05, 0.4]))
def test_no_threshold_is_better_than_the_best(rows, lowest):
    result = chip_of(rows)
    best = best_counts([result], lowest=lowest)
    assert best == count_matches([result], best.threshold)
    assert best.threshold >= lowest
    every = [count_matches([result], t).f1 for t in [s for s, _ in rows if s >= lowest]]
    assert best.f1 >= max(every, default=0.0) - 0.001


def test_of_equally_good_thresholds_the_lower_is_best():
    boxes = [
        TRUTH[0],
        TRUTH[1],
        *([[100 + 20 * i, 0, 110 + 20 * i, 9] for i in range(3)]),
        TRUTH[2],
    ]
    result = compare(detections(boxes, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), TRUTH[:3])
    high, low = count_matches([result], 0.85), count_matches([result], 0.4)
    assert high.f1 == 0.5
    assert low.f1 == pytest.approx(6 / 9)
    assert best_counts([result]).f1 == count_matches([result], 0.8).f1 == 0.8
    tied = compare(detections([TRUTH[0], boxes[2], TRUTH[1]], [0.9, 0.6, 0.2]), TRUTH[:1])
    assert best_counts([tied]).threshold == 0.75  # not below 0.6, which would add a false one
    twice = compare(detections([TRUTH[0], *boxes[2:4], TRUTH[1]], [0.9, 0.6, 0.5, 0.2]), TRUTH[:2])
    assert count_matches([twice], 0.7).f1 == count_matches([twice], 0.1).f1 == pytest.approx(2 / 3)
    assert best_counts([twice]) == MatchCounts(0.1, 2, 4, 2)


@pytest.mark.parametrize("score", [0.1, 0.3, 0.360516, 0.7, 0.9, 0.000001, 1.0])
def test_the_best_threshold_is_not_above_the_only_score_of_a_file(score):
    """float32 of 0.1 and of 0.360516 is more: such a threshold would lose the object."""
    result = compare(detections(TRUTH[:1], [score]), TRUTH[:1])
    assert best_counts([result], lowest=score).threshold == score


crowded = st.lists(
    st.tuples(
        st.sampled_from([0.05, 0.3, 0.360516, 0.5, 0.7, 0.123456]),
        st.integers(0, 4),  # millionths above it
        st.integers(-45, 45),  # hundredths of a millionth, which are not written
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(crowded)
def test_the_best_threshold_keeps_of_a_file_what_its_figures_count(rows):
    written = np.array([round(base + n * 1e-6, 6) for base, n, _, _ in rows])
    result = chip_of([(score, row[-1]) for score, row in zip(written, rows, strict=True)])
    best = best_counts([result], lowest=written.min())
    assert (written >= best.threshold).sum() == best.detected


@given(crowded)
def test_a_best_threshold_counts_scores_in_memory_as_those_that_are_written(rows):
    scores = np.float32([base + n * 1e-6 + part * 1e-8 for base, n, part, _ in rows])
    result = chip_of([(score, row[-1]) for score, row in zip(scores, rows, strict=True)])
    best = best_counts([result], lowest=0.04)
    assert (scores >= np.float32(best.threshold)).sum() == best.detected
    assert (scores.astype(np.float64).round(6) >= best.threshold).sum() == best.detected


def test_the_best_threshold_keeps_doubles_that_float32_rounds_up():
    scores = np.array([0.7, 0.7 - 1e-12, 0.7 - 2e-6])
    result = compare(detections([TRUTH[0], TRUTH[1], [99, 0, 109, 10]], scores), TRUTH[:2])
    best = best_counts([result])
    assert (scores >= best.threshold).tolist() == [True, True, False]
    assert best.f1 == 1


def test_the_best_threshold_is_in_the_middle_of_a_plateau():
    # 1000 hits, one of them a little below 0.5, others spread over no score between 0.5 and 0.9
    count = 1000
    boxes = np.zeros((count, 4)) + np.arange(count)[:, None] * 20 + [0, 0, 10, 10]
    scores = np.full(count, 0.9)
    scores[0], scores[1] = 0.5, 0.3
    false = detections([[-50, 0, -40, 10]], [0.3])
    found = Detections.concatenate([detections(boxes, scores), false])
    best = best_counts([compare(found, boxes)])
    assert best.threshold == 0.45  # 0 to 0.9 is flat to a thousandth: no edge of it is better
    assert best.f1 > 0.998


def test_the_curve_counts_at_every_score():
    curve = trace_curve([one_chip()])
    assert curve.thresholds.tolist() == pytest.approx([0.9, 0.8, 0.6, 0.4])
    assert (curve.matched.tolist(), curve.detected.tolist()) == ([1, 1, 2, 2], [1, 2, 3, 4])
    assert curve.labelled == 4
    for row, threshold in enumerate([0.9, 0.8, 0.6, 0.4]):
        at = curve.at(threshold)
        figures = curve.precision[row], curve.recall[row], curve.f1[row]
        assert figures == pytest.approx((at.precision, at.recall, at.f1))


@given(chips, chips, st.sampled_from([0.0, 0.12, 0.2, 0.5, 0.771, 1.0]))
def test_the_curve_of_all_chips_is_the_sum_of_their_curves(first, second, threshold):
    results = [chip_of(first), chip_of(second)]
    parts = [count_matches([result], threshold) for result in results]
    total = trace_curve(results).at(threshold)
    for count in ("matched", "detected", "labelled"):
        assert getattr(total, count) == sum(getattr(part, count) for part in parts)


def test_a_curve_can_be_of_one_class():
    found = detections(TRUTH[:3], [0.9, 0.8, 0.7], [0, 1, 1])
    result = compare(found, TRUTH, [0, 1, 0, 1])
    assert trace_curve([result], label=0).at(0.0) == MatchCounts(0.0, 1, 1, 2)
    assert trace_curve([result], label=1).at(0.0) == MatchCounts(0.0, 1, 2, 2)
    assert trace_curve([result], label=7).at(0.0) == MatchCounts(0.0, 0, 0, 0)


@pytest.mark.parametrize("results", [[], [compare(Detections.empty(), [])]])
def test_without_detections_and_objects_all_counts_are_zero(results):
    scores = count_matches(results, 0.5)
    assert (scores.precision, scores.recall, scores.f1) == (0.0, 0.0, 0.0)
    assert best_counts(results).f1 == 0.0


@pytest.mark.parametrize("rule", [BY_IOU, BY_DISTANCE])
def test_without_detections_or_objects_nothing_matches(rule):
    for found, truth in ((Detections.empty(), TRUTH), (detections(TRUTH), [])):
        result = compare(found, truth, rule=rule, gsd=0.5)
        assert count_matches([result], 0.0) == MatchCounts(0.0, 0, len(found), len(truth))


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_the_interval_of_f1_is_wilsons_of_the_share_of_true_positives(hits, wrong, missed):
    counts = MatchCounts(0.5, hits, hits + wrong, hits + missed)
    low, high = counts.f1_interval
    assert low <= counts.f1 + 1e-9
    assert counts.f1 <= high + 1e-9
    if hits + wrong + missed == 0:
        assert (low, high) == (0, 1)
        return
    ends = binomtest(hits, hits + wrong + missed).proportion_ci(method="wilson")
    expected = [2 * end / (1 + end) for end in (ends.low, ends.high)]
    np.testing.assert_allclose([low, high], expected, atol=1e-6)
