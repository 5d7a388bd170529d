import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodet.previews.imagery import to_image
from geodet.scene import Chip
from geodet.windows import Window


def chip(pixels, valid=None):
    pixels = np.asarray(pixels)
    height, width = pixels.shape[1:]
    valid = np.ones((height, width), bool) if valid is None else valid
    return Chip(Window(0, 0, width, height), pixels, valid)


def shown(pixels, valid=None, max_side=2048):
    return np.asarray(to_image(chip(pixels, valid), max_side))


def bytes_of(seed, bands=3, height=600, width=700):
    return np.random.default_rng(seed).integers(0, 256, (bands, height, width), np.uint8)


@pytest.mark.parametrize(
    ("bands", "used"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (5, [0, 1, 2])]
)
def test_bytes_are_shown_as_they_are(bands, used):
    pixels = bytes_of(0, bands)
    np.testing.assert_array_equal(shown(pixels), pixels[used].transpose(1, 2, 0))


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 1500))
def test_a_small_image_grows_by_a_whole_factor(width, height, max_side):
    longest = max(width, height)
    rows, columns = shown(bytes_of(1, 1, height, width), max_side=max_side).shape[:2]
    assert (columns % width, rows % height) == (0, 0)
    assert columns // width == rows // height
    factor = columns // width
    assert factor == 1 or factor * longest <= min(1024, max_side)
    assert (factor + 1) * longest > min(1024, max_side)


def test_an_enlarged_pixel_stays_at_its_place():
    pixels = np.zeros((1, 30, 40), np.uint8)
    pixels[0, 7, 12] = 255
    image = shown(pixels)[..., 0].astype(float)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    factor = image.shape[1] / 40
    assert (image * columns).sum() / image.sum() == pytest.approx(12.5 * factor, abs=0.02 * factor)
    assert (image * rows).sum() / image.sum() == pytest.approx(7.5 * factor, abs=0.02 * factor)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "uint32", "float32", "float64"])
def test_the_middle_of_the_values_fills_the_range(dtype):
    """Of 0, 1 ... 100 the percentiles 2 and 98 are 2 and 98: by hand."""
    ramp = np.tile(np.arange(101), (600, 10)).astype(dtype)[None]
    image = shown(ramp)[0, :101, 0]
    expected = (np.clip(np.arange(101) - 2, 0, 96) / 96 * 255).round()
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("outside", [-9999.0, np.nan, np.inf])
def test_what_has_no_data_does_not_change_the_stretch(outside):
    pixels = np.random.default_rng(0).normal(5, 2, (3, 600, 600))
    valid = np.ones((600, 600), bool)
    valid[:300] = False
    filled = pixels.copy()
    filled[:, :300] = outside
    np.testing.assert_array_equal(shown(filled, valid)[300:], shown(pixels[:, 300:])[:300, :600])


def test_each_band_is_stretched_by_itself():
    ramp = np.linspace(0, 1, 600 * 600).reshape(600, 600)
    image = shown(np.stack([ramp, 1000 * ramp - 7, 3 - ramp])).astype(int)
    np.testing.assert_allclose(image[..., 0], image[..., 1], atol=1)
    np.testing.assert_allclose(image[..., 0], 255 - image[..., 2], atol=1)


@pytest.mark.parametrize("value", [0.0, 7.5, -3e30])
def test_one_value_everywhere_is_no_division_by_zero(value):
    assert (shown(np.full((1, 600, 600), value)) == 0).all()


def test_checkers_lie_where_there_is_no_data_and_nowhere_else():
    valid = np.random.default_rng(0).random((20, 30)) < 0.5
    image = shown(np.zeros((1, 20, 30), np.uint8), valid)[..., 0]
    factor = image.shape[1] // 30
    checked = np.kron(~valid, np.ones((factor, factor), bool))
    assert (image[checked] >= 222).all()
    assert (image[~checked] == 0).all()


def test_without_any_data_all_is_checkers():
    image = shown(np.full((3, 600, 600), np.nan), np.zeros((600, 600), bool))
    assert sorted(np.unique(image)) == [222, 240]
