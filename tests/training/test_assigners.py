from functools import partial

import pytest
import torch
from factories_training import for_one_chip
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from geodet.models.anchors import Anchors
from geodet.training import assigners, packed_boxes
from geodet.training.assigners import (
    BACKGROUND,
    IGNORED,
    AtssAssigner,
    ThresholdAssigner,
    _begin_matches,
    _broadcast_iou,
    overlap_similarity,
    wasserstein_similarity,
)
from geodet.training.packed_boxes import PackedBoxes

IOU = for_one_chip(ThresholdAssigner(0.5, 0.4))
NONE = torch.zeros(0, 4)


def box_tensors(least, most):
    """Boxes with whole coordinates, so that ties are common."""
    box = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2).map(
        lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
    )
    return st.lists(box, min_size=least, max_size=most).map(
        lambda rows: torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
    )


def define(anchors, boxes, ignored, positive, negative, low_quality=True, similarity=None):
    """Compute anchor by anchor what the assigner should do."""
    compare = similarity or overlap
    iou = [[compare(anchor, box) for box in boxes.tolist()] for anchor in anchors.tolist()]
    best_of = [max(column, default=0.0) for column in zip(*iou, strict=True)]
    matches = []
    for anchor, row in zip(anchors.tolist(), iou, strict=True):
        best = max(row, default=0.0)
        is_low_quality = any(v == top > 0 for v, top in zip(row, best_of, strict=True))
        x, y = (anchor[0] + anchor[2]) / 2, (anchor[1] + anchor[3]) / 2
        if row and (best >= positive or (low_quality and is_low_quality)):
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
    low_quality=st.booleans(),
)
def test_thresholds_assign_as_the_definition_says(anchors, boxes, ignored, thresholds, low_quality):
    assign = for_one_chip(ThresholdAssigner(*thresholds, low_quality))
    matches = assign([anchors], boxes, ignored)
    assert matches.dtype == torch.int64
    assert matches.tolist() == define(anchors, boxes, ignored, *thresholds, low_quality)


@given(anchors=box_tensors(1, 8), boxes=box_tensors(0, 4), low_quality=st.booleans())
def test_the_wasserstein_distance_assigns_by_the_same_rule(anchors, boxes, low_quality):
    similarity = partial(wasserstein_similarity, constant=6.0)
    assign = for_one_chip(ThresholdAssigner(0.5, 0.4, low_quality, similarity))
    wanted = define(anchors, boxes, NONE, 0.5, 0.4, low_quality, partial(gaussian, constant=6.0))
    assert assign([anchors], boxes, NONE).tolist() == wanted


def gaussian(a, b, *, constant):
    """Write out equations 5 and 8 of the paper on the distance, in the precision of tensors."""
    mean = [(a[i] + a[i + 2] - b[i] - b[i + 2]) / 2 for i in (0, 1)]
    side = [(a[i + 2] - a[i] - b[i + 2] + b[i]) / 2 for i in (0, 1)]
    squared = torch.tensor(sum(v * v for v in (*mean, *side)))
    return torch.exp(-squared.sqrt() / constant).item()


@given(anchors=box_tensors(1, 10), boxes=box_tensors(1, 5))
def test_thresholds_assign_as_torchvisions_matcher_does(anchors, boxes):
    iou = box_iou(boxes, anchors)
    # Torchvision lets an object that overlaps nothing claim every anchor; here it gets none.
    boxes = boxes[iou.max(dim=1).values > 0]
    if len(boxes):
        wanted = Matcher(0.5, 0.4, allow_low_quality_matches=True)(box_iou(boxes, anchors))
        assert IOU([anchors], boxes, NONE).tolist() == wanted.tolist()


def strips(*starts, width=10):
    """Boxes of one row, 10 px high."""
    return torch.tensor([[start, 0.0, start + width, 10.0] for start in starts])


@pytest.mark.parametrize(
    ("shift", "wanted"),
    [(3.0, 0), (4.0, IGNORED), (5.0, BACKGROUND)],  # overlaps 0.54, 0.43 and 0.33
)
def test_the_band_between_the_thresholds_is_ignored(shift, wanted):
    anchors = strips(0.0, shift)
    assert IOU([anchors], strips(0.0), NONE).tolist() == [0, wanted]


def test_an_overlap_at_a_threshold_belongs_to_the_upper_side():
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 4]])
    assert IOU([anchors], strips(0.0), NONE).tolist() == [0, 0, IGNORED]


def test_a_small_object_gets_its_best_anchors_however_little_they_overlap():
    anchors = strips(0.0, 10.0, 20.0)
    tiny = torch.tensor([[9.0, 4.0, 11.0, 6.0]])
    assert IOU([anchors], tiny, NONE).tolist() == [0, 0, BACKGROUND]


def test_an_object_that_no_anchor_overlaps_gets_none():
    far = torch.tensor([[500.0, 0.0, 510.0, 10.0]])
    assert IOU([strips(0.0, 10.0)], far, NONE).tolist() == [BACKGROUND, BACKGROUND]


def test_an_anchor_that_is_best_for_two_objects_goes_to_the_one_that_it_overlaps_more():
    assert IOU([strips(0.0)], strips(-4.0, 3.0), NONE).tolist() == [1]
    assert IOU([strips(0.0)], strips(3.0, -4.0), NONE).tolist() == [0]


def test_of_two_equal_overlaps_the_first_object_counts():
    assert IOU([strips(0.0)], strips(-2.0, 2.0), NONE).tolist() == [0]


def test_without_objects_all_is_background():
    assert IOU([strips(0.0, 10.0)], NONE, NONE).tolist() == [BACKGROUND, BACKGROUND]


def test_ignored_regions_take_anchors_by_their_centre():
    region = torch.tensor([[12.0, 0.0, 40.0, 10.0]])
    matches = IOU([strips(0.0, 10.0, 20.0)], strips(20.0), region)
    assert matches.tolist() == [BACKGROUND, IGNORED, 0]
    assert IOU([strips(0.0, 10.0)], NONE, region).tolist() == [BACKGROUND, IGNORED]


def test_levels_are_one_list_of_anchors():
    anchors = strips(0.0, 4.0, 20.0, 26.0)
    boxes = strips(1.0, 22.0)
    whole = IOU([anchors], boxes, NONE)
    assert torch.equal(IOU([anchors[:1], anchors[1:3], anchors[3:]], boxes, NONE), whole)
    assert torch.equal(IOU([anchors, NONE], boxes, NONE), whole)


def test_without_low_quality_matches_a_small_object_gets_none():
    tiny = torch.tensor([[9.0, 4.0, 11.0, 6.0]])
    plain = for_one_chip(ThresholdAssigner(0.5, 0.4, low_quality=False))
    assert plain([strips(0.0, 10.0)], tiny, NONE).tolist() == [BACKGROUND, BACKGROUND]
    assert plain([strips(0.0, 10.0)], strips(1.0), NONE).tolist() == [0, BACKGROUND]


OF_BATCHES = {
    "iou": ThresholdAssigner(0.5, 0.4),
    "nwd": ThresholdAssigner(0.5, 0.4, True, partial(wasserstein_similarity, constant=12.8)),
    "atss": AtssAssigner(9),
}
ASSIGNERS = {name: for_one_chip(assigner) for name, assigner in OF_BATCHES.items()}


def scatter(count, side, *, seed=0):
    """Place boxes of 3 to 33 px at random places of a square chip."""
    random = torch.Generator().manual_seed(seed)
    centre = torch.rand((count, 2), generator=random) * side
    half = torch.rand((count, 2), generator=random) * 15 + 1.5
    return torch.cat([centre - half, centre + half], dim=1)


def place_anchors(side):
    anchors = Anchors(sizes=[8.0, 16.0], scales=[1.0], ratios=[1.0], strides=[4, 8])
    return anchors([(side // 4, side // 4), (side // 8, side // 8)])


@pytest.mark.parametrize("name", ASSIGNERS)
@pytest.mark.parametrize("pairs", [1, 1000, 7777])
def test_chunks_change_nothing(monkeypatch, name, pairs):
    levels, boxes, regions = place_anchors(64), scatter(60, 64), scatter(9, 64, seed=1)
    whole = ASSIGNERS[name](levels, boxes, regions)
    monkeypatch.setattr(packed_boxes, "_MOST_PAIRS", {"cpu": pairs})
    assert torch.equal(ASSIGNERS[name](levels, boxes, regions), whole)
    assert (whole >= 0).any()
    assert (whole == IGNORED).any()


@pytest.mark.parametrize("name", ASSIGNERS)
def test_5000_objects_in_a_chip_are_compared_in_parts(monkeypatch, name):
    levels, boxes = place_anchors(128), scatter(5000, 128)
    monkeypatch.setattr(packed_boxes, "_MOST_PAIRS", {"cpu": 2**17})
    sizes = []
    compare = packed_boxes.boxes_at_once

    def count(device, anchors):
        sizes.append(compare(device, anchors) * anchors)
        return compare(device, anchors)

    for module in (packed_boxes, assigners):
        monkeypatch.setattr(module, "boxes_at_once", count)
    found = ASSIGNERS[name](levels, boxes, NONE)
    assert max(sizes) <= 2**17 < len(boxes) * len(found) / 40
    assert found.shape == (32 * 32 + 16 * 16,)
    assert len(found[found >= 0].unique()) > 500


@pytest.mark.parametrize("name", ASSIGNERS)
def test_chips_without_anchors_or_objects_are_assigned(name):
    assign, anchors, region = ASSIGNERS[name], strips(0.0, 10.0), strips(0.0)
    assert assign([NONE], NONE, NONE).tolist() == []
    assert assign([NONE, NONE], strips(0.0), region).tolist() == []
    assert assign([anchors], NONE, NONE).tolist() == [BACKGROUND, BACKGROUND]
    assert assign([anchors], NONE, region).tolist() == [IGNORED, BACKGROUND]
    assert assign([NONE, anchors[:1]], strips(0.0), NONE).tolist() == [0]


@pytest.mark.parametrize("name", ASSIGNERS)
@pytest.mark.parametrize("pairs", [1, 2**22])
def test_of_two_equal_objects_the_first_counts(monkeypatch, name, pairs):
    monkeypatch.setattr(packed_boxes, "_MOST_PAIRS", {"cpu": pairs})
    anchors = strips(0.0, 9.0, 40.0, 60.0)
    found = ASSIGNERS[name]([anchors], strips(0.0, 0.0), NONE)
    assert found[0] == 0
    assert 1 not in found


def cells(count):
    """Anchors of 4 px, centred at 2, 6, 10, ..."""
    return torch.tensor([[4.0 * i, 0.0, 4.0 * i + 4, 4.0] for i in range(count)]).reshape(-1, 4)


def regions(*boxes):
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


def begin_matches(anchors, ignored):
    return _begin_matches(anchors, PackedBoxes([ignored]))[0]


@pytest.mark.parametrize("pairs", [1, 2, 100])
def test_anchors_centred_in_a_region_are_ignored(monkeypatch, pairs):
    monkeypatch.setattr(packed_boxes, "_MOST_PAIRS", {"cpu": pairs})
    begun = begin_matches(cells(5), regions([0, 0, 3, 3], [6, 0, 13, 2], [30, 0, 40, 4]))
    assert begun.dtype == torch.int64
    assert begun.tolist() == [IGNORED, IGNORED, IGNORED, BACKGROUND, BACKGROUND]


def test_without_regions_all_is_background():
    assert begin_matches(cells(2), regions()).tolist() == [BACKGROUND, BACKGROUND]
    assert begin_matches(cells(0), regions()).tolist() == []
    assert begin_matches(cells(0), regions([0, 0, 9, 9])).tolist() == []


@given(box_tensors(0, 8), box_tensors(0, 8))
def test_overlaps_equal_torchvision_to_the_bit(a, b):
    assert torch.equal(overlap_similarity(a, b), box_iou(a, b))
    count = min(len(a), len(b))
    assert torch.equal(_broadcast_iou(a[:count], b[:count]), box_iou(a, b).diagonal()[:count])


def test_the_wasserstein_distance_by_hand():
    box = torch.tensor([[0.0, 0.0, 8.0, 4.0]])
    # Centres (4, 2), (7, 6) and (4, 2); half sides (4, 2), (4, 2) and (1, 6).
    others = torch.tensor([[3.0, 4.0, 11.0, 8.0], [3.0, -4.0, 5.0, 8.0], [0.0, 0.0, 8.0, 4.0]])
    found = wasserstein_similarity(box, others, constant=10.0)
    torch.testing.assert_close(found, torch.tensor([[-0.5, -0.5, 0.0]]).exp())


def test_tiny_boxes_that_do_not_touch_are_still_alike():
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [4.0, 0.0, 8.0, 4.0], [40.0, 0.0, 44.0, 4.0]])
    near, far = wasserstein_similarity(boxes[:1], boxes[1:], constant=12.8)[0].tolist()
    assert overlap_similarity(boxes[:1], boxes[1:]).tolist() == [[0.0, 0.0]]
    assert near > 0.7
    assert 0 < far < 0.05


@pytest.mark.parametrize("name", OF_BATCHES)
@pytest.mark.parametrize("chips_at_once", [1, 2, 100])
@pytest.mark.parametrize("pairs", [1, 9000, 2**22])
def test_a_batch_is_assigned_as_its_chips_are(monkeypatch, name, chips_at_once, pairs):
    levels = place_anchors(64)
    boxes = [scatter(count, 64, seed=count) for count in (3, 0, 40, 3, 1, 0)]
    regions = [scatter(count, 64, seed=9) for count in (0, 2, 5, 1, 0, 0)]
    alone = [ASSIGNERS[name](levels, *of) for of in zip(boxes, regions, strict=True)]
    monkeypatch.setattr(packed_boxes, "_MOST_CHIPS", {"cpu": chips_at_once})
    monkeypatch.setattr(packed_boxes, "_MOST_PAIRS", {"cpu": pairs})
    together = OF_BATCHES[name](levels, PackedBoxes(boxes), PackedBoxes(regions))
    assert torch.equal(together, torch.stack(alone))
    assert len({tuple(row.tolist()) for row in together}) > 4
