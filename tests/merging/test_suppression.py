import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from overlaps import pairwise_iou

from geodet.geometry.boxes import Detections
from geodet.merging import suppression
from geodet.merging.suppression import BoxState, SuppressionRule, suppression_states

seeds = st.integers(0, 2**32 - 1)
rules = st.builds(
    SuppressionRule, st.sampled_from([0.0, 0.2, 0.5, 0.8]), st.sampled_from([0.1, 0.5, 0.9, np.inf])
)


def make_ranked(seed, count=20, *, spread=12, classes=2):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, spread, (count, 2))
    boxes = np.hstack([low, low + rng.integers(1, 9, (count, 2))])
    scores = rng.integers(1, 6, count) / 5
    found = Detections(boxes, scores, rng.integers(0, classes, count)).ranked()
    return found, rng.random((count, 4)) < 0.15, rng.random(count) < 0.2


def none_of(count):
    return np.zeros((count, 4), bool), np.zeros(count, bool)


def decide_slowly(found, cut, rule, waits):
    """Decide box by box: first the complete ones, then the cut ones, each by their ranks."""
    is_cut, iou = cut.any(axis=1), pairwise_iou(found.boxes, found.boxes)
    low = np.maximum(found.boxes[:, None, :2], found.boxes[None, :, :2])
    high = np.minimum(found.boxes[:, None, 2:], found.boxes[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=2) / pairwise_area(found.boxes)[None]
    states = {}
    for row in sorted(range(len(found)), key=lambda row: (is_cut[row], row)):
        met = {
            state
            for other, state in states.items()
            if found.labels[other] == found.labels[row]
            and (
                iou[other, row] > rule.iou_threshold
                or (is_cut[row] > is_cut[other] and inside[other, row] > rule.inside_threshold)
            )
        }
        waiting = waits[row] or BoxState.WAITING in met
        states[row] = BoxState.WAITING if waiting else BoxState.KEPT
        if BoxState.KEPT in met:
            states[row] = BoxState.DROPPED
    return [states[row] for row in range(len(found))]


def pairwise_area(boxes):
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


@given(seeds, rules)
def test_decisions_are_those_of_the_definition(seed, rule):
    found, cut, waits = make_ranked(seed)
    assert suppression_states(found, cut, rule, waits).tolist() == decide_slowly(
        found, cut, rule, waits
    )


@given(seeds, rules, st.integers(0, 3))
def test_halves_and_chains_decide_the_same(seed, rule, rounds):
    found, cut, waits = make_ranked(seed, spread=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suppression, "_FEW", 2)
        patch.setattr(suppression, "_CROWD", 1)
        patch.setattr(suppression, "_ROUNDS", rounds)
        states = suppression_states(found, cut, rule, waits)
    assert states.tolist() == decide_slowly(found, cut, rule, waits)


@given(seeds, rules)
def test_no_box_waits_where_none_must(seed, rule):
    found, cut, _ = make_ranked(seed)
    assert BoxState.WAITING not in suppression_states(found, cut, rule, np.zeros(len(found), bool))


@given(seeds, rules, seeds)
def test_decided_states_do_not_depend_on_the_boxes_that_wait(seed, rule, fate):
    """A box that waits is gone later, or it is not: the decided ones are as they were."""
    found, cut, waits = make_ranked(seed)
    before = suppression_states(found, cut, rule, waits)
    gone = waits & (np.random.default_rng(fate).random(len(found)) < 0.5)
    left = np.flatnonzero(~gone)
    after = suppression_states(found.select(left), cut[left], rule, np.zeros(len(left), bool))
    decided = before[left] != BoxState.WAITING
    np.testing.assert_array_equal(after[decided], before[left][decided])


def test_a_chain_of_boxes_waits_for_its_first():
    """Each box only beats the next: by hand."""
    x = np.arange(5.0)
    boxes = np.stack([x, 0 * x, x + 3, 0 * x + 1], axis=1)  # IoU 1/2, then 1/5
    found = Detections(boxes, 1 - x / 10, np.zeros(5))
    cut, waits = none_of(5)
    rule = SuppressionRule(0.4)
    assert suppression_states(found, cut, rule, waits).tolist() == [0, 1, 0, 1, 0]
    waits[0] = True
    assert suppression_states(found, cut, rule, waits).tolist() == [2, 2, 2, 2, 2]
    waits[:] = [False, False, False, True, False]
    assert suppression_states(found, cut, rule, waits).tolist() == [
        0,
        1,
        0,
        1,
        0,
    ]  # also dropped


def test_no_boxes_have_no_states():
    cut, waits = none_of(0)
    assert suppression_states(Detections.empty(), cut, SuppressionRule(0.5), waits).tolist() == []
