"""The confusion matrix: its sums are the counts of the evaluation."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geodet.config import MatchConfig
from geodet.evaluation.confusion import count_confusions
from geodet.evaluation.measures import EvaluatedImage, judge_images, measure
from geodet.geometry.boxes import Detections

CLASSES = ("car", "bus", "van")


def image(found, truth, gsd=None):
    """Return an image of detections (x, score, label) and objects (x, label) 10 px wide."""
    boxes = np.array([[x, 0, x + 10, 10] for x, _, _ in found], float).reshape(-1, 4)
    objects = np.array([[x, 0, x + 10, 10] for x, _ in truth], float).reshape(-1, 4)
    detections = Detections(boxes, [s for _, s, _ in found], [c for *_, c in found])
    labels = np.array([c for _, c in truth], int)
    return EvaluatedImage("a", detections, objects, labels, np.zeros((0, 4)), gsd)


def confusions(images, rule=None, threshold=0.5):
    rule = rule or MatchConfig()
    evaluation = measure(images, CLASSES, rule, threshold=threshold)
    gsds = [one.gsd for one in images]
    return evaluation, count_confusions(judge_images(evaluation), gsds, 3, rule)


def test_confusions_are_counted_by_hand():
    found = [(0, 0.9, 0), (20, 0.9, 0), (40, 0.8, 2), (60, 0.7, 1), (80, 0.3, 1)]
    truth = [(0, 0), (20, 1), (42, 2), (80, 1), (100, 0)]
    _, counts = confusions([image(found, truth)])
    assert counts.tolist() == [[1, 0, 0, 1], [1, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]]


def test_a_right_class_wins_over_a_better_overlap_of_another():
    _, counts = confusions([image([(0, 0.9, 1), (2, 0.6, 0)], [(0, 0)])])
    assert counts.tolist() == [[1, 0, 0, 0], [0] * 4, [0] * 4, [0, 1, 0, 0]]


def test_distances_match_other_classes_as_well():
    rule = MatchConfig(by="distance", distance_m=6)
    _, counts = confusions([image([(0, 0.9, 1)], [(11, 0)], gsd=0.5)], rule)
    assert counts[0, 1] == 1
    _, counts = confusions([image([(0, 0.9, 1)], [(13, 0)], gsd=0.5)], rule)
    assert (counts[0, 3], counts[3, 1]) == (1, 1)


PLACES = st.integers(0, 60)
FOUND = st.lists(st.tuples(PLACES, st.floats(0.125, 1, width=32), st.integers(0, 2)), max_size=9)
TRUTH = st.lists(st.tuples(PLACES, st.integers(0, 2)), max_size=9)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(FOUND, TRUTH), min_size=1, max_size=3))
def test_rows_and_columns_add_up_to_the_counts_of_each_class(pairs):
    evaluation, counts = confusions([image(*pair) for pair in pairs])
    scores = [one.scores for one in evaluation.by_class.values()]
    assert counts[:3].sum(axis=1).tolist() == [one.labelled for one in scores]
    assert counts[:, :3].sum(axis=0).tolist() == [one.detected for one in scores]
    assert counts.diagonal()[:3].tolist() == [one.matched for one in scores]
    assert counts[3, 3] == 0
