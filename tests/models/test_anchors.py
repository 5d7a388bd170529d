import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pretended_cuda import pretended_cuda
from torchvision.models.detection._utils import BoxCoder

from geodet.models.anchors import Anchors
from geodet.models.box_coding import decode_boxes, encode_boxes


def centres(boxes):
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def test_anchors_of_two_levels_are_those_computed_by_hand():
    anchors = Anchors(sizes=[12.0, 20.0], scales=[1.0], ratios=[1.0], strides=[4, 8])
    fine, coarse = anchors([(2, 1), (1, 2)])
    assert fine.tolist() == [[-4, -4, 8, 8], [-4, 0, 8, 12]]
    assert coarse.tolist() == [[-6, -6, 14, 14], [2, -6, 22, 14]]


def test_ratios_are_heights_over_widths_and_scales_are_factors_on_the_side():
    anchors = Anchors(sizes=[8.0], scales=[1.0, 2.0], ratios=[0.25, 4.0], strides=[8])
    boxes = anchors([(1, 1)])[0]
    sides = (boxes[:, 2:] - boxes[:, :2]).tolist()
    assert sides == [[16, 4], [32, 8], [4, 16], [8, 32]]
    assert anchors.per_cell == 4


@given(
    size=st.floats(1, 200),
    scales=st.lists(st.floats(0.5, 3), min_size=1, max_size=3),
    ratios=st.lists(st.floats(0.1, 10), min_size=1, max_size=3),
)
def test_the_area_does_not_depend_on_the_ratio(size, scales, ratios):
    boxes = Anchors(sizes=[size], scales=scales, ratios=ratios, strides=[4])([(1, 1)])[0]
    sides = boxes[:, 2:] - boxes[:, :2]
    areas = sides.prod(dim=1).reshape(len(ratios), len(scales))
    wanted = (torch.tensor(scales) * size) ** 2
    torch.testing.assert_close(areas, wanted.expand_as(areas), rtol=1e-4, atol=1e-4)
    shapes = (sides[:, 1] / sides[:, 0]).reshape(len(ratios), len(scales))
    torch.testing.assert_close(
        shapes, torch.tensor(ratios)[:, None].expand_as(shapes), rtol=1e-4, atol=1e-4
    )


@given(height=st.integers(1, 7), width=st.integers(1, 7), stride=st.sampled_from([4, 8, 128]))
def test_the_order_is_rows_then_columns_then_the_anchors_of_the_cell(height, width, stride):
    anchors = Anchors(sizes=[16.0], scales=[1.0, 1.5], ratios=[1.0], strides=[stride])
    boxes = anchors([(height, width)])[0]
    wanted = [
        [(column + 0.5) * stride, (row + 0.5) * stride]
        for row in range(height)
        for column in range(width)
        for _ in range(2)
    ]
    assert centres(boxes).tolist() == wanted
    assert (boxes[:, 2] - boxes[:, 0]).tolist() == [16.0, 24.0] * (height * width)


@pytest.mark.parametrize("size", [1, 4, 61, 64])
def test_cells_cover_the_image_from_edge_to_edge(size):
    stride = 4
    cells = -(-size // stride)
    boxes = Anchors(sizes=[4.0], scales=[1.0], ratios=[1.0], strides=[stride])([(1, cells)])[0]
    assert boxes[0, 0] == 0
    assert size <= boxes[-1, 2] < size + stride


def test_anchors_are_float32_and_no_part_of_the_state():
    anchors = Anchors(sizes=[8.0], scales=[1.0], ratios=[1.0], strides=[4])
    assert anchors([(2, 2)])[0].dtype == torch.float32
    assert anchors.state_dict() == {}


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


def test_deltas_are_those_computed_by_hand():
    anchor = torch.tensor([10.0, 10.0, 30.0, 50.0])
    box = torch.tensor([20.0, 10.0, 60.0, 30.0])
    wanted = torch.tensor([20 / 20, -10 / 40, math.log(2), math.log(0.5)])
    torch.testing.assert_close(encode_boxes(box, anchor), wanted)


def test_zero_deltas_decode_to_the_anchor():
    anchor = torch.tensor([[1.0, 2.0, 5.0, 10.0]])
    assert torch.equal(decode_boxes(torch.zeros(1, 4), anchor), anchor)


def test_leading_dimensions_are_kept():
    anchors = torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 2.0, 8.0, 8.0]]).expand(3, 2, 4)
    boxes = anchors + 1
    assert encode_boxes(boxes, anchors).shape == (3, 2, 4)
    torch.testing.assert_close(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes)
    assert decode_boxes(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)


@pytest.mark.parametrize("value", [100.0, 1e30])
def test_the_decoded_side_is_capped(value):
    deltas = torch.tensor([[0.0, 0.0, value, -value]])
    box = decode_boxes(deltas, torch.tensor([[0.0, 0.0, 16.0, 16.0]]))
    torch.testing.assert_close(box, torch.tensor([[-492.0, 8.0, 508.0, 8.0]]))


def test_anchors_on_a_gpu_are_placed_once_for_a_shape(monkeypatch):
    with pretended_cuda(monkeypatch) as device:
        anchors = Anchors(sizes=[8.0, 16.0], scales=[1.0], ratios=[1.0], strides=[4, 8])
        wanted = anchors([(3, 4), (2, 2)])
        there = anchors.to(device)
        first, again = there([(3, 4), (2, 2)]), there([(3, 4), (2, 2)])
        assert all(one is other for one, other in zip(first, again, strict=True))
        assert all(torch.equal(one.cpu(), on) for one, on in zip(first, wanted, strict=True))
        assert len(there([(1, 1), (1, 1)])[0]) == 1
        assert len(there([(3, 4), (2, 2)])[0]) == 12
