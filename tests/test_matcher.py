import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from geodet.models.matcher import BACKGROUND, IGNORED, IouMatcher

MATCHER = IouMatcher(0.5, 0.4)
NONE = torch.zeros(0, 4)


def box_tensors(least, most):
    """Boxes with whole coordinates, so that ties are common."""
    box = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2).map(
        lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
    )
    return st.lists(box, min_size=least, max_size=most).map(
        lambda rows: torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
    )


def define(anchors, boxes, ignored, positive, negative):
    """Say anchor by anchor what the matcher should do."""
    iou = [[overlap(anchor, box) for box in boxes.tolist()] for anchor in anchors.tolist()]
    best_of = [max(column, default=0.0) for column in zip(*iou, strict=True)]
    matches = []
    for anchor, row in zip(anchors.tolist(), iou, strict=True):
        best = max(row, default=0.0)
        is_low_quality = any(v == top > 0 for v, top in zip(row, best_of, strict=True))
        x, y = (anchor[0] + anchor[2]) / 2, (anchor[1] + anchor[3]) / 2
        if row and (best >= positive or is_low_quality):
            matches.append(row.index(best))
        elif (row and best >= negative) or any(
            x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in ignored.tolist()
        ):
            matches.append(IGNORED)
        else:
            matches.append(BACKGROUND)
    return matches


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return torch.tensor(width * height / (areas - width * height)).item()


@given(
    anchors=box_tensors(1, 8),
    boxes=box_tensors(0, 4),
    ignored=box_tensors(0, 2),
    thresholds=st.sampled_from([(0.5, 0.4), (0.5, 0.5), (0.7, 0.3), (1.0, 0.1)]),
)
def test_it_does_what_the_definition_says(anchors, boxes, ignored, thresholds):
    matches = IouMatcher(*thresholds)(anchors, boxes, ignored)
    assert matches.dtype == torch.int64
    assert matches.tolist() == define(anchors, boxes, ignored, *thresholds)


@given(anchors=box_tensors(1, 10), boxes=box_tensors(1, 5))
def test_it_equals_torchvision(anchors, boxes):
    iou = box_iou(boxes, anchors)
    # Torchvision lets an object that overlaps nothing claim every anchor; here it gets none.
    boxes = boxes[iou.max(dim=1).values > 0]
    if len(boxes):
        wanted = Matcher(0.5, 0.4, allow_low_quality_matches=True)(box_iou(boxes, anchors))
        assert MATCHER(anchors, boxes, NONE).tolist() == wanted.tolist()


def strips(*starts, width=10):
    """Boxes of one row, 10 px high."""
    return torch.tensor([[start, 0.0, start + width, 10.0] for start in starts])


@pytest.mark.parametrize(
    ("shift", "wanted"),
    [(3.0, 0), (4.0, IGNORED), (5.0, BACKGROUND)],  # overlaps 0.54, 0.43 and 0.33
)
def test_the_band_between_the_thresholds_is_ignored(shift, wanted):
    anchors = strips(0.0, shift)
    assert MATCHER(anchors, strips(0.0), NONE).tolist() == [0, wanted]


def test_an_overlap_at_a_threshold_belongs_to_the_upper_side():
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 4]])
    assert MATCHER(anchors, strips(0.0), NONE).tolist() == [0, 0, IGNORED]


def test_a_small_object_gets_its_best_anchors_however_little_they_overlap():
    anchors = strips(0.0, 10.0, 20.0)
    tiny = torch.tensor([[9.0, 4.0, 11.0, 6.0]])
    assert MATCHER(anchors, tiny, NONE).tolist() == [0, 0, BACKGROUND]


def test_an_object_off_all_anchors_gets_none():
    far = torch.tensor([[500.0, 0.0, 510.0, 10.0]])
    assert MATCHER(strips(0.0, 10.0), far, NONE).tolist() == [BACKGROUND, BACKGROUND]


def test_an_anchor_that_is_best_for_two_objects_goes_to_the_one_that_it_overlaps_more():
    assert MATCHER(strips(0.0), strips(-4.0, 3.0), NONE).tolist() == [1]
    assert MATCHER(strips(0.0), strips(3.0, -4.0), NONE).tolist() == [0]


def test_of_two_equal_overlaps_the_first_object_counts():
    assert MATCHER(strips(0.0), strips(-2.0, 2.0), NONE).tolist() == [0]


def test_without_objects_all_is_background():
    assert MATCHER(strips(0.0, 10.0), NONE, NONE).tolist() == [BACKGROUND, BACKGROUND]


def test_ignored_regions_take_anchors_by_their_centre():
    region = torch.tensor([[12.0, 0.0, 40.0, 10.0]])
    matches = MATCHER(strips(0.0, 10.0, 20.0), strips(20.0), region)
    assert matches.tolist() == [BACKGROUND, IGNORED, 0]
    assert MATCHER(strips(0.0, 10.0), NONE, region).tolist() == [BACKGROUND, IGNORED]
