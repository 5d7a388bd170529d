import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from geodet.detection.chip_reading import SMALLEST_PX, is_uniform, local_contrast
from geodet.geometry.windows import Window
from geodet.raster.chip import Chip

DTYPES = ["uint8", "uint16", "int16", "float32"]


def make_chip(pixels, valid=None):
    _, height, width = pixels.shape
    valid = np.ones((height, width), bool) if valid is None else valid
    return Chip(Window(0, 0, width, height), pixels, valid)


def ground(bands=3, height=64, width=64, level=100, dtype="uint8"):
    return np.full((bands, height, width), level, dtype)


@st.composite
def objects(draw, shape=(50, 61)):
    height, width = (draw(st.integers(SMALLEST_PX, 30)) for _ in shape)
    top = draw(st.integers(0, shape[0] - height))
    left = draw(st.integers(0, shape[1] - width))
    return slice(top, top + height), slice(left, left + width)


@given(objects(), st.integers(0, 2), st.sampled_from(DTYPES), st.sampled_from([-21, 21]))
def test_an_object_of_five_pixels_anywhere_prevents_the_skip(place, band, dtype, difference):
    pixels = ground(height=50, width=61, dtype=dtype)
    assert is_uniform(make_chip(pixels), [20, 20, 20], contrast=0.0)
    pixels[(band, *place)] += np.array(difference).astype(dtype)
    assert not is_uniform(make_chip(pixels), [20, 20, 20], contrast=1.0)
    assert is_uniform(make_chip(pixels), [20, 20, 20], contrast=1.1)


@given(objects(), st.integers(0, 999))
def test_an_object_beside_a_hole_prevents_the_skip(place, seed):
    """As long as two pixels of ground are left around the object, so that it has an outline."""
    rng = np.random.default_rng(seed)
    pixels = ground(height=50, width=61)
    valid = np.zeros((50, 61), bool)
    rows, columns = place
    around = (
        slice(max(rows.start - 9, 0), rows.stop + 9),
        slice(max(columns.start - 9, 0), columns.stop + 9),
    )
    valid[around] = True
    pixels[:, ~valid] = rng.integers(0, 256, (3, int((~valid).sum())))
    assert is_uniform(make_chip(pixels.copy(), valid), [1, 1, 1], contrast=0.0)
    pixels[(slice(None), *place)] = 140
    assert not is_uniform(make_chip(pixels, valid), [1, 1, 1], contrast=39)


def measure_slowly(chip):
    """Compare the means of all pairs of blocks two apart, block by block."""
    _, height, width = chip.pixels.shape
    means = {}
    for row in range(height // 3):
        for column in range(width // 3):
            block = slice(3 * row, 3 * row + 3), slice(3 * column, 3 * column + 3)
            inside = chip.pixels[(slice(None), *block)][:, chip.valid[block]].astype(float)
            if inside.size:
                means[row, column] = inside.mean(axis=1)
    pairs = [
        abs(means[row, column] - means[other])
        for row, column in means
        for other in [(row + 2, column), (row, column + 2)]
        if other in means
    ]
    return np.max([np.zeros(len(chip.pixels)), *pairs], axis=0)


@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from(DTYPES),
    st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    st.integers(0, 999),
)
def test_contrast_is_measured_between_blocks_two_apart(height, width, dtype, holes, seed):
    rng = np.random.default_rng(seed)
    top = 255 if dtype == "uint8" else 30_000
    pixels = rng.integers(0, top + 1, (2, height, width)).astype(dtype)
    chip = make_chip(pixels, rng.random((height, width)) >= holes)
    np.testing.assert_allclose(local_contrast(chip), measure_slowly(chip), rtol=1e-4, atol=0.01)


@given(st.integers(0, 999), st.sampled_from([-9999.0, np.nan, np.inf, 3e38]))
def test_pixels_without_data_have_no_contrast(seed, fill):
    rng = np.random.default_rng(seed)
    valid = rng.random((40, 40)) > 0.4
    pixels = ground(height=40, width=40, dtype="float32")
    pixels[:, ~valid] = fill
    assert is_uniform(make_chip(pixels, valid), [1, 1, 1], contrast=0.0)


@given(st.integers(1, 40), st.floats(0.1, 2))
def test_a_slope_is_featureless(height, slope):
    """The whole range is large and what an object would change is not."""
    ramp = np.arange(300, dtype=np.float32) * np.float32(slope)
    chip = make_chip(np.broadcast_to(ramp, (1, height, 300)).copy())
    assume(height >= 3)
    assert local_contrast(chip)[0] == pytest.approx(6 * slope, rel=1e-3)


def test_noise_of_single_pixels_counts_less_than_an_object():
    noise = np.random.default_rng(0).normal(100, 3, (3, 512, 512)).round().astype(np.uint8)
    assert (np.ptp(noise, axis=(1, 2)) > 25).all()
    assert is_uniform(make_chip(noise), [50, 50, 50], contrast=0.2)
    noise[:, 100:105, 200:205] += 25
    assert not is_uniform(make_chip(noise), [50, 50, 50], contrast=0.2)


def test_fill_that_the_file_does_not_declare_is_featureless_and_its_edge_is_not():
    fill = np.float32(np.finfo(np.float32).min)
    pixels = np.full((3, 40, 40), fill)
    assert is_uniform(make_chip(pixels), [1, 1, 1], contrast=0.5)
    pixels[:, :20] = 7
    assert not is_uniform(make_chip(pixels), [1, 1, 1], contrast=0.5)


def test_a_chip_without_data_is_uniform():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 30, 30)).astype(np.uint8)
    assert is_uniform(make_chip(pixels, np.zeros((30, 30), bool)), [1, 1, 1], contrast=0.0)
    assert not is_uniform(make_chip(pixels), [1, 1, 1], contrast=0.0)
