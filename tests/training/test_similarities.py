import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou

from geodet.training.assigners import iou_of_pairs, overlap_similarity, wasserstein_similarity


def box_tensors(least, most):
    """Boxes with whole coordinates, so that ties are common."""
    box = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2).map(
        lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
    )
    return st.lists(box, min_size=least, max_size=most).map(
        lambda rows: torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
    )


@given(box_tensors(0, 8), box_tensors(0, 8))
def test_overlaps_equal_torchvision_to_the_bit(a, b):
    assert torch.equal(overlap_similarity(a, b), box_iou(a, b))
    count = min(len(a), len(b))
    assert torch.equal(iou_of_pairs(a[:count], b[:count]), box_iou(a, b).diagonal()[:count])


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
