import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from geodet.models.input_values import InputValues, standardise_array, trained_bounds
from geodet.models.inputs import is_whole_mask, standardise, to_device, whole_mask
from geodet.models.torch_engine import stack_tensors

MEAN, STD = (100.0, 50.0), (20.0, 5.0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32, torch.float64])
def test_pixels_are_scaled_band_by_band(dtype):
    pixels = torch.tensor([[[[100, 140]], [[45, 50]]]], dtype=dtype)
    scaled = standardise(pixels, torch.ones(1, 1, 2, dtype=torch.bool), MEAN, STD)
    assert scaled.dtype == torch.float32
    assert scaled.tolist() == [[[[0, 2]], [[-1, 0]]]]


def test_pixels_without_data_become_the_mean():
    pixels = torch.full((2, 2, 3, 3), float("nan"))
    pixels[0] = 120.0
    valid = torch.zeros(2, 3, 3, dtype=torch.bool)
    valid[0, 0, 0] = True
    scaled = standardise(pixels, valid, MEAN, STD)
    assert scaled[0, :, 0, 0].tolist() == [1.0, 14.0]
    scaled[0, :, 0, 0] = 0
    assert (scaled == 0).all()


def test_a_chip_does_not_depend_on_its_neighbours():
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (3, 2, 8, 8)))
    valid = torch.ones(3, 8, 8, dtype=torch.bool)
    together = standardise(pixels, valid, MEAN, STD)
    alone = standardise(pixels[1:2], valid[1:2], MEAN, STD)
    assert torch.equal(together[1:2], alone)


def test_the_memory_is_channels_last():
    scaled = standardise(torch.zeros(2, 2, 8, 8), torch.ones(2, 8, 8, dtype=bool), MEAN, STD)
    assert scaled.is_contiguous(memory_format=torch.channels_last)


def test_integer_statistics_are_divided_as_floats():
    scaled = standardise(torch.tensor([[[[1.5]]]]), torch.ones(1, 1, 1, dtype=torch.bool), [1], [2])
    assert scaled.item() == 0.25


def test_a_nodata_value_that_nobody_declared_becomes_the_mean():
    pixels = torch.full((1, 1, 4, 4), 50.0)
    pixels[0, 0, 0, 0], pixels[0, 0, 1, 1] = -3.4e38, math.inf
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    scaled = standardise(pixels, valid, [40.0], [10.0])
    assert scaled[0, 0, 0, 0] == 0 == scaled[0, 0, 1, 1]
    assert (scaled.sum(), scaled.max()) == (14, 1)


@pytest.mark.parametrize(("std", "wanted"), [(0.01, 0.0), (0.1, 1000.0)])
def test_bytes_are_absurd_only_where_their_band_hardly_varied(std, wanted):
    pixels = torch.full((1, 1, 1, 1), 200, dtype=torch.uint8)
    scaled = standardise(pixels, torch.ones(1, 1, 1, dtype=torch.bool), [100.0], [std])
    assert scaled.item() == pytest.approx(wanted)


def test_values_beyond_the_bounds_are_clipped_band_by_band():
    pixels = torch.tensor([[[[0.0, 90.0, 6_500.0]], [[50.0, 0.0, 6_500.0]]]])
    valid = torch.ones(1, 1, 3, dtype=torch.bool)
    scaled = standardise(pixels, valid, MEAN, STD, low=[80.0, 40.0], high=[140.0, 55.0])
    assert scaled.tolist() == [[[[-1.0, -0.5, 2.0]], [[0.0, -2.0, 1.0]]]]


def test_clipping_keeps_pixels_without_data_at_the_mean():
    pixels = torch.tensor([[[[-3.4e38, math.nan, math.inf, 0.0, 50.0]]]])
    valid = torch.tensor([[[True, True, True, True, False]]])
    scaled = standardise(pixels, valid, [40.0], [10.0], low=[45.0], high=[60.0])
    assert scaled.flatten().tolist() == [0.0, 0.0, 0.0, 0.5, 0.0]


def test_bytes_have_no_bounds_as_training_sees_all_of_them():
    assert trained_bounds("uint8", [1.0], [2.0]) == ((), ())
    assert trained_bounds("uint16", [1.0], [2.0]) == ([1.0], [2.0])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_mask_of_chips_without_holes_costs_a_byte_and_changes_nothing(dtype):
    pixels = torch.tensor([[[[100, 140]], [[45, 50]]]] * 2, dtype=dtype)
    pixels[0, 0, 0, 0] = 0 if dtype == torch.uint8 else -3.4e38
    mask = whole_mask((2, 1, 2))
    assert (mask.shape, mask.dtype, mask.untyped_storage().nbytes()) == ((2, 1, 2), torch.bool, 1)
    dense = torch.ones(2, 1, 2, dtype=torch.bool)
    assert torch.equal(mask, dense)
    assert is_whole_mask(mask)
    assert not is_whole_mask(dense)
    assert not is_whole_mask(torch.ones(1, 1, 1, dtype=torch.bool))
    assert torch.equal(standardise(pixels, mask, MEAN, STD), standardise(pixels, dense, MEAN, STD))
    assert is_whole_mask(to_device(mask, torch.device("cpu")))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
@pytest.mark.parametrize("bounds", [((), ()), ((80.0, 40.0), (140.0, 55.0))], ids=["", "bounds"])
@pytest.mark.parametrize("std", [STD, (0.001, 5.0)], ids=["", "hardly varied"])
def test_numpy_scales_as_torch_does(dtype, bounds, std):
    source = np.random.default_rng(3)
    pixels = source.integers(0, 256, (2, 2, 9, 7)).astype(dtype)
    if dtype == "float32":
        pixels[0, 0, 0, :3] = -3.4e38, math.inf, math.nan
    valid = source.random((2, 9, 7)) < 0.8
    values = InputValues(MEAN, std, *bounds)
    wanted = standardise(torch.from_numpy(pixels), torch.from_numpy(valid), *values)
    found = standardise_array(pixels, valid, values)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted.numpy())


@pytest.mark.parametrize("copiers", [None, ThreadPoolExecutor(1)])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "float32", "float64"])
def test_chips_of_other_types_keep_their_values_beside_bytes(dtype, copiers):
    """Their values would wrap round in a tensor of bytes, or be refused."""
    chips = [np.full((1, 2, 2), 44, "uint8"), np.full((1, 2, 2), 300, dtype)]
    valid = [np.ones((2, 2), np.bool_)] * 2
    for order in (chips, chips[::-1]):
        stacked = stack_tensors(order, valid, copiers=copiers).pixels
        assert stacked[:, 0, 0, 0].tolist() == [chip[0, 0, 0] for chip in order]


def test_chips_of_bytes_are_stacked_as_bytes():
    chips = [np.full((1, 2, 2), value, "uint8") for value in (0, 255)]
    stacked = stack_tensors(chips, [np.ones((2, 2), np.bool_)] * 2).pixels
    assert stacked.dtype == torch.uint8
    assert stacked[:, 0, 0, 0].tolist() == [0, 255]
