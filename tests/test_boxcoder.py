import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder

from geodet.models.boxcoder import decode_boxes, encode_boxes

ORACLE = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))


def box_tensors(count=5):
    """Boxes in a large chip with sides of 1 to 500 px."""
    corner, side = st.floats(-200, 2000), st.floats(1, 500)
    box = st.tuples(corner, corner, side, side).map(
        lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
    )
    return st.lists(box, min_size=count, max_size=count).map(torch.tensor)


@given(box_tensors(), box_tensors())
def test_decoding_undoes_encoding(boxes, anchors):
    sides = (anchors[:, 2:] - anchors[:, :2]).repeat(1, 2)
    wanted = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    inside = (wanted / sides <= 1000 / 16).all(dim=1)  # beyond it the correction is capped
    decoded = decode_boxes(encode_boxes(boxes, anchors), anchors)
    torch.testing.assert_close(decoded[inside], boxes[inside], rtol=1e-4, atol=0.02)


@given(box_tensors(), box_tensors())
def test_encoding_equals_torchvision(boxes, anchors):
    encoded = encode_boxes(boxes.double(), anchors.double())
    torch.testing.assert_close(encoded, ORACLE.encode_single(boxes.double(), anchors.double()))


@given(box_tensors(), st.lists(st.floats(-6, 6), min_size=20, max_size=20))
def test_decoding_equals_torchvision(anchors, numbers):
    deltas = torch.tensor(numbers).reshape(5, 4).double()
    decoded = decode_boxes(deltas, anchors.double())
    torch.testing.assert_close(decoded, ORACLE.decode_single(deltas, anchors.double()))


def test_by_hand():
    anchor = torch.tensor([10.0, 10.0, 30.0, 50.0])
    box = torch.tensor([20.0, 10.0, 60.0, 30.0])
    wanted = torch.tensor([20 / 20, -10 / 40, math.log(2), math.log(0.5)])
    torch.testing.assert_close(encode_boxes(box, anchor), wanted)


def test_no_correction_gives_the_anchor():
    anchor = torch.tensor([[1.0, 2.0, 5.0, 10.0]])
    assert torch.equal(decode_boxes(torch.zeros(1, 4), anchor), anchor)


def test_leading_dimensions_pass_through():
    anchors = torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 2.0, 8.0, 8.0]]).expand(3, 2, 4)
    boxes = anchors + 1
    assert encode_boxes(boxes, anchors).shape == (3, 2, 4)
    torch.testing.assert_close(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes)
    assert decode_boxes(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)


@pytest.mark.parametrize("value", [100.0, 1e30])
def test_the_correction_of_a_side_is_capped(value):
    deltas = torch.tensor([[0.0, 0.0, value, -value]])
    box = decode_boxes(deltas, torch.tensor([[0.0, 0.0, 16.0, 16.0]]))
    torch.testing.assert_close(box, torch.tensor([[-492.0, 8.0, 508.0, 8.0]]))
