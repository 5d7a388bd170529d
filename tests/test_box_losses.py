import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geodet.models.box_losses import giou_loss, l1_loss, smooth_l1_loss
from geodet.models.boxcoder import encode_boxes

LOSSES = [giou_loss, l1_loss, smooth_l1_loss]


def box_tensors(count=3):
    corner, side = st.floats(-50, 50), st.floats(1, 40)
    box = st.tuples(corner, corner, side, side).map(
        lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
    )
    return st.lists(box, min_size=count, max_size=count).map(
        lambda rows: torch.tensor(rows, dtype=torch.float64)
    )


def generalised(a, b):
    """Write out algorithm 1 of the paper."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return width * height / union - (hull - union) / hull


def test_smooth_l1_by_hand():
    anchors = boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    # Quadratic below 1/9: 0.1^2 * 9 / 2; linear above: 1 - 1/18 and 2 - 1/18.
    loss = smooth_l1_loss(torch.tensor([[0.1, 1.0, -2.0, 0.0]]), anchors, boxes)
    assert loss.item() == pytest.approx(0.045 + 1 - 1 / 18 + 2 - 1 / 18)


def test_l1_by_hand():
    # The object is a quarter of the anchor's side to the right, and twice as high.
    anchors, boxes = torch.tensor([[0.0, 0, 8, 8]]), torch.tensor([[2.0, -4, 10, 12]])
    loss = l1_loss(torch.tensor([[1.0, 0.5, -2.0, 0.0]]), anchors, boxes)
    assert loss.item() == pytest.approx(0.75 + 0.5 + 2 + math.log(2))


def test_giou_by_hand():
    anchors = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 4.0]])
    boxes = torch.tensor([[2.0, 0.0, 6.0, 4.0], [8.0, 0.0, 12.0, 4.0]])
    # Overlap 8 of 24 in a hull of 24; none, and the union of 32 in a hull of 48.
    loss = giou_loss(torch.zeros(2, 4), anchors, boxes)
    assert loss.item() == pytest.approx((1 - 8 / 24) + (1 + 16 / 48), rel=1e-5)


@given(box_tensors(), box_tensors(), box_tensors())
def test_giou_equals_its_definition(found, anchors, boxes):
    loss = giou_loss(encode_boxes(found, anchors), anchors, boxes)
    pairs = zip(found.tolist(), boxes.tolist(), strict=True)
    assert loss.item() == pytest.approx(sum(1 - generalised(a, b) for a, b in pairs), abs=1e-5)


@pytest.mark.parametrize("loss_of", LOSSES)
@given(anchors=box_tensors(), boxes=box_tensors())
def test_right_corrections_cost_nothing(loss_of, anchors, boxes):
    assert loss_of(encode_boxes(boxes, anchors), anchors, boxes).item() == pytest.approx(
        0, abs=1e-5
    )


@pytest.mark.parametrize("loss_of", LOSSES)
def test_a_step_down_the_slope_helps(loss_of):
    anchors, boxes = torch.tensor([[0.0, 0, 8, 8]]), torch.tensor([[20.0, -4, 30, 12]])
    deltas = torch.zeros(1, 4, requires_grad=True)
    loss = loss_of(deltas, anchors, boxes)  # apart, where the plain overlap would have no slope
    loss.backward()
    assert loss_of(deltas - 0.1 * deltas.grad, anchors, boxes) < loss


@pytest.mark.parametrize("loss_of", LOSSES)
def test_without_positives_the_sum_is_zero(loss_of):
    deltas = torch.zeros(0, 4, requires_grad=True)
    loss = loss_of(deltas, torch.zeros(0, 4), torch.zeros(0, 4))
    assert loss == 0
    loss.backward()
    assert deltas.grad.shape == (0, 4)


def test_wild_corrections_have_a_finite_giou():
    deltas = torch.tensor([[1e6, -1e6, 1e9, -1e9]], requires_grad=True)
    box = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    loss = giou_loss(deltas, box, box)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(deltas.grad).all()
