import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from geodet.raster.resampling import AxisWeights, resample

LENGTHS = st.integers(1, 60)


def dense(axis):
    """The weights as a matrix: (stop - start, pixels needed)."""
    matrix = np.zeros((len(axis.taps), axis.end - axis.first), np.float32)
    np.add.at(matrix, (np.arange(len(matrix))[:, None], axis.taps), axis.shares)
    return matrix


def by_hand(length, size, place):
    """Average or interpolate a ramp of squares at one place of the grid, on a fine ruler."""
    values = np.arange(length, dtype=float) ** 2
    step = length / size
    if step < 1:
        return np.interp((place + 0.5) * step, np.arange(length) + 0.5, values)
    ruler = place * step + (np.arange(5040) + 0.5) / 5040 * step
    return values[np.minimum(ruler.astype(int), length - 1)].mean()


@given(LENGTHS, LENGTHS)
def test_weights_are_the_shares_of_the_pixels_that_are_covered(length, size):
    axis = AxisWeights.between(length, size, 0, size)
    weights = dense(axis)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert (weights >= 0).all()
    values = np.arange(axis.first, axis.end, dtype=float) ** 2
    expected = [by_hand(length, size, place) for place in range(size)]
    np.testing.assert_allclose(weights @ values, expected, rtol=1e-3, atol=1e-3)


@given(LENGTHS, LENGTHS, st.data())
def test_weights_do_not_depend_on_the_window(length, size, data):
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    whole = AxisWeights.between(length, size, 0, size)
    part = AxisWeights.between(length, size, start, stop)
    assert whole.first <= part.first < part.end <= whole.end
    columns = slice(part.first - whole.first, part.end - whole.first)
    rows = dense(whole)[start:stop]
    np.testing.assert_array_equal(rows[:, columns], dense(part))
    assert rows.sum() == pytest.approx(rows[:, columns].sum())


@given(st.integers(1, 30), st.integers(1, 30))
def test_no_pixel_of_weight_zero_is_read(start, count):
    axis = AxisWeights.between(64, 64, start, start + count)
    assert (axis.first, axis.end) == (start, start + count)
    np.testing.assert_array_equal(dense(axis), np.eye(count))


def test_pixels_without_data_have_no_weight():
    pixels = np.array([[[10, 30], [50, 255]], [[1, 3], [255, 255]]], np.uint8)
    data = np.array([[[1, 1], [1, 0]], [[1, 1], [0, 0]]], bool)
    axis = AxisWeights.between(2, 1, 0, 1)
    mixed, valid = resample(pixels, data, axis, axis)
    assert mixed.ravel().tolist() == [30, 2]
    assert valid.tolist() == [[True]]
    _, valid = resample(pixels[:1], np.eye(2, dtype=bool)[None] & (pixels[:1] < 20), axis, axis)
    assert valid.tolist() == [[False]]  # a quarter is too little


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_the_dtype_is_kept_and_integers_are_rounded(dtype):
    pixels = np.array([[[-3, -2]]] if dtype != "uint8" else [[[2, 3]]], dtype)
    data = np.ones((1, 1, 2), bool)
    columns, rows = AxisWeights.between(2, 1, 0, 1), AxisWeights.between(1, 1, 0, 1)
    mixed, _ = resample(pixels, data, columns, rows)
    assert mixed.dtype == np.dtype(dtype)
    assert mixed.item() == {"uint8": 3, "int16": -2, "float32": -2.5}[dtype]


def test_resampling_weighs_rows_and_columns():
    pixels = np.random.default_rng(0).normal(size=(2, 7, 11)).astype(np.float32)
    columns, rows = AxisWeights.between(11, 4, 1, 4), AxisWeights.between(7, 9, 2, 8)
    part = pixels[:, rows.first : rows.end, columns.first : columns.end]
    mixed, valid = resample(part, np.ones((1, *part.shape[1:]), bool), columns, rows)
    expected = np.einsum("ry,cyx,kx->crk", dense(rows), part, dense(columns))
    np.testing.assert_allclose(mixed, expected, rtol=1e-5, atol=1e-6)
    assert valid.shape == mixed.shape[1:] == (6, 3)


@pytest.mark.parametrize(("length", "size"), [(96, 64), (64, 96), (480, 100), (70, 70), (128, 32)])
def test_mixed_rows_are_those_of_a_sparse_matrix(length, size):
    """To the last bit: the terms are added in the order of the pixels."""
    for start, stop in ((0, size), (3, size - 3)):
        axis = AxisWeights.between(length, size, start, stop)
        pixels = np.random.default_rng(0).normal(size=(axis.end - axis.first, 37))
        pixels = pixels.astype(np.float32)
        expected = csr_array(dense(axis)) @ pixels
        inner = slice(1, -1)  # at an edge that is interpolated a pixel comes twice
        np.testing.assert_array_equal(axis.apply(pixels)[inner], expected[inner])
        np.testing.assert_allclose(axis.apply(pixels), expected, rtol=1e-5, atol=1e-6)
