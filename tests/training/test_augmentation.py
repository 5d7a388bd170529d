import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.config import AugmentConfig
from geodet.training.augmentation import Crop, share_boxes

NONE = np.zeros((0, 4))


@st.composite
def crops(draw, flips=True):
    width, height, size, seed = (draw(st.integers(1, 60)) for _ in range(4))
    augment = AugmentConfig(flips=flips, scale=draw(st.sampled_from([0.0, 0.2, 0.6])))
    random = np.random.default_rng(seed)
    return width, height, Crop.draw(width, height, NONE, size=size, augment=augment, random=random)


@given(crops())
def test_a_crop_lies_in_its_image_or_the_image_in_it(drawn):
    width, height, crop = drawn
    for start, length in ((crop.column, width), (crop.row, height)):
        assert 0 <= start <= length - crop.side or length - crop.side <= start <= 0


@given(crops())
def test_pixels_and_boxes_go_the_same_way(drawn):
    """Each pixel of an image that numbers its pixels is found where the box of it went."""
    width, height, crop = drawn
    numbers = np.arange(1, width * height + 1).reshape(height, width)
    same = Crop(crop.column, crop.row, crop.side, crop.side, crop.turns, crop.is_mirrored)
    shown = same.turn(same.cut(numbers, beyond="constant"))
    rows, columns = np.nonzero(shown)
    number = shown[rows, columns] - 1
    x, y = number % width, number // width
    moved = same.move(np.stack([x, y, x + 1, y + 1], axis=1).astype(float))
    np.testing.assert_array_equal(moved, np.stack([columns, rows, columns + 1, rows + 1], axis=1))
    inside = np.clip(crop.column + crop.side, 0, width) - max(crop.column, 0)
    assert len(number) == inside * (np.clip(crop.row + crop.side, 0, height) - max(crop.row, 0))


@given(crops())
def test_a_zoom_scales_boxes_exactly(drawn):
    _, _, crop = drawn
    window = [[crop.column, crop.row, crop.column + crop.side, crop.row + crop.side]]
    whole = [[0, 0, crop.size, crop.size]]
    np.testing.assert_allclose(crop.move(np.array(window, float)), whole, atol=1e-9)
    assert crop.move(np.zeros((0, 4))).shape == (0, 4)


def test_a_quarter_turn_moves_a_box_as_computed_by_hand():
    """Counterclockwise, so that the left edge becomes the bottom; then left and right change."""
    crop = Crop(10, 20, 8, 16, turns=1, is_mirrored=True)
    np.testing.assert_array_equal(crop.move(np.array([[10.0, 21, 11, 24]])), [[8, 14, 14, 16]])


def test_beyond_the_image_its_edge_is_repeated():
    crop = Crop(-1, -1, 4, 4)
    values = np.array([[1, 2], [3, 4]])
    wanted = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert crop.cut(values).tolist() == wanted
    assert crop.cut(values, beyond="constant")[0].tolist() == [0, 0, 0, 0]
    assert crop.cut(np.stack([values, values])).shape == (2, 4, 4)


def test_without_quarter_turns_only_left_and_right_change():
    """As in the paper; of two turns and a mirror would come a flip upside down."""
    random, augment = np.random.default_rng(0), AugmentConfig(quarter_turns=False)
    drawn = [Crop.draw(40, 40, NONE, size=32, augment=augment, random=random) for _ in range(40)]
    assert {(crop.turns, crop.is_mirrored) for crop in drawn} == {(0, False), (0, True)}


def test_every_symmetry_and_zoom_is_drawn():
    random = np.random.default_rng(0)
    augment = AugmentConfig(scale=0.25)
    drawn = [Crop.draw(50, 80, NONE, size=20, augment=augment, random=random) for _ in range(400)]
    assert len({(crop.turns, crop.is_mirrored) for crop in drawn}) == 8
    assert {crop.side for crop in drawn} == set(range(16, 26))
    assert {crop.column for crop in drawn} >= set(range(25))
    still = AugmentConfig(scale=0, flips=False)
    one = Crop.draw(20, 20, NONE, size=20, augment=still, random=random)
    assert one == Crop(0, 0, 20, 20)


@given(angle=st.floats(-0.8, 0.8), side=st.integers(2, 30), column=st.integers(0, 30))
def test_a_turned_crop_shows_what_lies_there(angle, side, column):
    """Linear interpolation gives a plane back exactly, so every pixel says where it came from."""
    rows, columns = np.mgrid[:100, :100] + 0.5
    crop = Crop(20 + column, 30, side, side, angle=angle)
    shown = crop.cut(np.stack([columns, rows]).astype(np.float32))  # (2, side, side)
    assert shown.shape == (2, side, side)
    x, y = shown.astype(float).reshape(2, -1)
    moved = crop.move(np.stack([x, y, x, y], axis=1))[:, :2].reshape(side, side, 2)
    wanted = np.mgrid[:side, :side][::-1].transpose(1, 2, 0) + 0.5
    np.testing.assert_allclose(moved, wanted, atol=0.02)  # cv2 interpolates in steps of 1/32


def test_a_turned_box_is_the_bounds_of_its_corners():
    crop = Crop(0, 0, 10, 10, angle=np.pi / 4)
    half = np.sqrt(2)  # of the diamond that a box of side 2 becomes
    wanted = [[5 - half, 5 - half, 5 + half, 5 + half]]
    np.testing.assert_allclose(crop.move(np.array([[4.0, 4, 6, 6]])), wanted)


def test_a_box_around_a_point_turns_with_its_point_and_keeps_its_size():
    crop = Crop(10, 20, 40, 80, turns=1, angle=0.5)  # zoom 2
    box = np.array([[12.0, 30, 16, 36]])
    (x1, y1, x2, y2), (px1, py1, px2, py2) = (
        *crop.move(box, whole=True),
        *crop.move(np.array([[14.0, 33, 14, 33]])),
    )
    np.testing.assert_allclose([(x1 + x2) / 2, (y1 + y2) / 2], [px1, py1])
    np.testing.assert_allclose([px1, py1], [px2, py2])
    np.testing.assert_allclose([x2 - x1, y2 - y1], [12, 8])  # twice as large, a quarter turn


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.bool_])
def test_every_dtype_turns_and_what_is_beyond_the_image_is_not_valid(dtype):
    crop = Crop(0, 0, 8, 8, angle=0.5)
    turned = crop.cut(np.ones((8, 8), dtype), beyond="constant")
    assert turned.dtype == dtype
    assert turned[0, 0] == 0
    assert turned[4, 4] == 1


def test_crops_are_placed_on_objects():
    random = np.random.default_rng(0)
    boxes = np.array([[400.0, 300, 410, 306]])
    shares = {}
    for share in (0.0, 0.5, 1.0):
        augment = AugmentConfig(object_share=share, scale=0)
        drawn = [
            Crop.draw(500, 400, boxes, size=50, augment=augment, random=random) for _ in range(400)
        ]
        seen = [c.column <= 405 <= c.column + 50 and c.row <= 303 <= c.row + 50 for c in drawn]
        shares[share] = sum(seen) / len(seen)
    assert shares[1.0] == 1
    assert shares[0.0] < 0.1
    assert 0.4 < shares[0.5] < 0.65


@pytest.mark.parametrize(
    ("box", "whole", "shown", "is_object"),
    [
        ([2, 2, 6, 6], False, [2, 2, 6, 6], True),
        ([-6, 0, 4, 10], False, [0, 0, 4, 10], True),  # 40 %
        ([-6.5, 0, 3.5, 10], False, [0, 0, 3.5, 10], False),
        ([-1, 0, 0.9, 10], False, [0, 0, 0.9, 10], False),  # not a pixel wide
        ([12, 0, 20, 9], False, [10, 0, 10, 9], False),  # not seen at all
        ([-6, 0, 4, 10], True, [0, 0, 4, 10], False),  # the point is outside
        ([-4, -4, 6, 6], True, [-4, -4, 6, 6], True),  # a quarter would do
    ],
)
def test_boxes_are_cut_and_slivers_are_no_objects(box, whole, shown, is_object):
    boxes, objects = share_boxes(np.array([box], float), (0, 0, 10, 10), whole=whole)
    assert boxes.tolist() == [shown]
    assert objects.tolist() == [is_object]


@pytest.mark.parametrize("whole", [False, True])
def test_a_crop_without_boxes_has_no_objects(whole):
    boxes, objects = share_boxes(np.zeros((0, 4)), (0, 0, 10, 10), whole=whole)
    assert (boxes.shape, objects.shape) == ((0, 4), (0,))
