import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from geodet.training import packed_boxes
from geodet.training.packed_boxes import PackedBoxes

COUNTS = st.lists(st.integers(0, 7), min_size=1, max_size=6)


def chips_of(counts):
    """Boxes that say which chip they are of and which of its boxes they are."""
    return [
        torch.tensor([[chip, place, chip, place] for place in range(count)]).reshape(-1, 4).float()
        for chip, count in enumerate(counts)
    ]


@given(COUNTS)
def test_each_box_knows_its_chip_and_each_chip_its_first_box(counts):
    packed = PackedBoxes(chips_of(counts))
    assert packed.counts == counts
    assert packed.boxes[:, 0].tolist() == packed.chip.tolist()
    place = torch.arange(len(packed.boxes)) - packed.starts[packed.chip]
    assert packed.boxes[:, 1].tolist() == place.tolist()


@given(COUNTS, st.integers(1, 40), st.integers(1, 6), st.integers(0, 5))
def test_each_box_is_in_one_group_with_no_more_pairs_than_fit(counts, pairs, together, anchors):
    seen = []
    before = packed_boxes._MOST_PAIRS, packed_boxes._MOST_CHIPS
    packed_boxes._MOST_PAIRS, packed_boxes._MOST_CHIPS = {"cpu": pairs}, {"cpu": together}
    try:
        packed = PackedBoxes(chips_of(counts))
        order = packed.order.tolist()
        for group in packed.iter_groups(anchors):
            chips = order[group.rows]
            assert len(chips) == len(group.boxes) <= together
            assert group.boxes.shape[:2].numel() * anchors <= max(pairs, anchors)
            for chip, boxes in zip(chips, group.boxes.tolist(), strict=True):
                own = [box for box in boxes if not math.isnan(box[0])]
                assert [box[0] for box in own] == [chip] * len(own)
                assert [box[1] for box in own] == [group.first + i for i in range(len(own))]
                seen += [tuple(box) for box in own]
    finally:
        packed_boxes._MOST_PAIRS, packed_boxes._MOST_CHIPS = before
    assert sorted(order) == list(range(len(counts)))
    assert sorted(seen) == sorted(map(tuple, torch.cat(chips_of(counts)).tolist()))
