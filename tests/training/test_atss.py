import statistics

import pytest
import torch
from factories_training import for_one_chip
from hypothesis import assume, given
from hypothesis import strategies as st

from geodet.models.anchors import Anchors
from geodet.training.assigners import BACKGROUND, IGNORED, AtssAssigner

NONE = torch.zeros(0, 4)


def place_anchors(side=32, scales=(1.0,)):
    anchors = Anchors(sizes=[6.0, 12.0], scales=scales, ratios=[1.0], strides=[4, 8])
    return anchors([(side // 4, side // 4), (side // 8, side // 8)])


def box_tensors(most):
    """Boxes in quarters of a pixel, so that distances and their ties are exact."""
    quarter = st.integers(0, 128).map(lambda n: n / 4)
    side = st.integers(4, 80).map(lambda n: n / 4)
    box = st.tuples(quarter, quarter, side, side).map(
        lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
    )
    return st.lists(box, max_size=most).map(
        lambda rows: torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
    )


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (areas - width * height)


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def away(a, b):
    return sum((p - q) ** 2 for p, q in zip(centre(a), centre(b), strict=True))


def define(levels, boxes, count):
    """Go through algorithm 1 of the paper object by object: the matches, and how clear they are."""
    anchors = torch.cat(levels).tolist()
    matches, most, margin = [BACKGROUND] * len(anchors), [-1.0] * len(anchors), 1.0
    for number, box in enumerate(boxes.tolist()):
        candidates, offset = [], 0
        for level in levels:
            order = sorted(range(len(level)), key=lambda i: away(box, level[i].tolist()))
            candidates += [i + offset for i in order[:count]]
            offset += len(level)
        ious = {i: overlap(anchors[i], box) for i in candidates}
        threshold = statistics.mean(ious.values()) + statistics.stdev(ious.values())
        for i, iou in ious.items():
            x, y = centre(anchors[i])
            if not (box[0] < x < box[2] and box[1] < y < box[3]):
                continue
            margin = min(margin, abs(iou - threshold))
            if iou >= threshold and iou > most[i]:
                margin = min(margin, iou - most[i])
                matches[i], most[i] = number, iou
    return matches, margin


@given(boxes=box_tensors(6), count=st.sampled_from([2, 9, 200]))
def test_atss_equals_a_loop_over_the_objects(boxes, count):
    levels = place_anchors()
    wanted, margin = define(levels, boxes, count)
    assume(margin > 1e-5)  # nearer than that rounding decides
    matches = for_one_chip(AtssAssigner(count))(levels, boxes, NONE)
    assert matches.dtype == torch.int64
    assert matches.tolist() == wanted


def test_candidates_above_mean_plus_deviation_are_positive():
    # Overlaps 1/4, 1 and 1/4 have the mean 0.5 and the deviation 0.433: only the second passes.
    anchors = torch.tensor([[-6.0, 0, 4, 10], [0, 0, 10, 10], [6, 0, 16, 10], [90, 0, 100, 10]])
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    assert for_one_chip(AtssAssigner(3))([anchors], box, NONE).tolist() == [-1, 0, -1, -1]
    # With the far one the threshold is 0.375 + 0.434 instead.
    assert for_one_chip(AtssAssigner(9))([anchors], box, NONE).tolist() == [-1, 0, -1, -1]


def test_candidates_of_equal_overlap_are_all_positive():
    """A large object that holds small anchors of one level."""
    anchors = place_anchors()[0]
    box = torch.tensor([[3.1, 3.1, 28.9, 28.9]])
    matches = for_one_chip(AtssAssigner(9))([anchors], box, NONE)
    assert (matches == 0).sum() == 9


def test_each_level_gives_its_candidates():
    near = torch.tensor([[0.0, 0.0, 10.0, 10.0], [2.5, 0.0, 12.5, 10.0]])
    far = near + 50
    # Overlaps 1, 0.6, 0 and 0: their mean is 0.4 and their deviation 0.49.
    assert for_one_chip(AtssAssigner(2))([near, far], near[:1], NONE).tolist() == [0, -1, -1, -1]
    # The two nearest of all, 1 and 0.6: 0.8 and 0.28, which nothing reaches.
    assert (
        for_one_chip(AtssAssigner(2))([torch.cat([near, far])], near[:1], NONE).tolist() == [-1] * 4
    )


def test_anchors_with_their_centre_outside_are_background():
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    assert (
        for_one_chip(AtssAssigner(9))([anchors], torch.tensor([[5.1, 0.0, 9.0, 10.0]]), NONE)[0]
        == BACKGROUND
    )
    assert (
        for_one_chip(AtssAssigner(9))([anchors], torch.tensor([[4.9, 0.0, 9.0, 10.0]]), NONE)[0]
        == 0
    )


def test_an_anchor_that_two_objects_want_learns_the_one_that_it_overlaps_more():
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    boxes = torch.tensor([[0.0, 0.0, 10.0, 7.0], [0.0, 0.0, 10.0, 9.0], [0.0, 0.0, 10.0, 8.0]])
    assert for_one_chip(AtssAssigner(9))([anchors], boxes, NONE).tolist() == [1]
    assert for_one_chip(AtssAssigner(9))([anchors], boxes.flip(0), NONE).tolist() == [1]


@pytest.mark.parametrize("cells", [1, 4])
def test_cells_with_several_anchors_are_candidates_as_a_whole(cells):
    levels = place_anchors(scales=(1.0, 1.5, 2.0))[:1]
    box = torch.tensor([[8.5, 8.5, 27.5, 27.5]])
    matches = for_one_chip(AtssAssigner(3 * cells))(levels, box, NONE)
    chosen = torch.nonzero(matches == 0)[:, 0]
    assert (chosen % 3 == 2).all()  # of each cell the largest
    assert len(chosen) == cells


def test_ignored_regions_take_anchors_that_are_not_positive():
    levels = place_anchors()
    box = torch.tensor([[8.0, 8.0, 16.0, 16.0]])
    plain = for_one_chip(AtssAssigner(9))(levels, box, NONE)
    matches = for_one_chip(AtssAssigner(9))(levels, box, torch.tensor([[0.0, 0.0, 64.0, 64.0]]))
    assert torch.equal(matches >= 0, plain >= 0)
    assert (plain == BACKGROUND).any()
    assert (matches[plain == BACKGROUND] == IGNORED).all()
