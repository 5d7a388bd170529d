import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geodet.models.anchors import Anchors


def centres(boxes):
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def test_two_levels_by_hand():
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
