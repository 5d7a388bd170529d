"""What is read of a DataArray: the names of its bands, and its CRS."""

import numpy as np
import pytest
from factories_arrays import Coordinate, DataArray

import geodet
from geodet.api.array_rasters import read_array

RGB = ("red", "green", "blue")


def bands_of(count, band=None, *, dim="band", long_name=None):
    """Read the names of the bands of an array with these coordinates and attributes."""
    coords = {} if band is None else {dim: np.asarray(band)}
    attrs = {} if long_name is None else {"long_name": long_name}
    shape, dims = ((count, 4, 5), (dim, "y", "x")) if count else ((4, 5), ("y", "x"))
    return read_array(DataArray(np.zeros(shape), dims, coords, attrs)).bands


@pytest.mark.parametrize("dtype", ["U", object])
def test_text_in_the_coordinates_of_the_bands_names_them(dtype):
    names = np.array(["blue", "green", "red"], dtype)
    assert bands_of(3, names, dim="variable") == ("blue", "green", "red")
    assert bands_of(3, names, long_name=RGB) == ("blue", "green", "red")
    assert bands_of(0, "nir") == ("nir",)


@pytest.mark.parametrize("names", [RGB, list(RGB), np.array(RGB)])
def test_the_numbers_of_the_bands_choose_their_names(names):
    assert bands_of(3, [1, 2, 3], long_name=names) == RGB
    assert bands_of(3, [3, 2, 1], long_name=names) == ("blue", "green", "red")
    assert bands_of(2, [1, 3], long_name=names) == ("red", "blue")
    assert bands_of(0, 2, long_name=names) == ("green",)


def test_a_band_without_a_name_stays_without_one():
    assert bands_of(3, [1, 2, 3], long_name=("red", None, "blue")) == ("red", "", "blue")


def test_bands_without_numbers_are_named_in_their_order():
    assert bands_of(3, long_name=RGB) == RGB
    assert bands_of(3, [490.0, 560.0, 665.0], long_name=("blue", "green", "red")) == (
        "blue",
        "green",
        "red",
    )
    assert bands_of(1, [2], long_name="green") == ("green",)


@pytest.mark.parametrize(
    ("count", "band"), [(2, None), (4, [1, 2, 3, 4]), (2, [0, 1]), (3, [2, 1, 0]), (0, 7)]
)
def test_names_that_do_not_fit_the_bands_are_left_out(count, band):
    assert bands_of(count, band, long_name=RGB) == ()


def test_one_name_of_several_bands_names_none():
    assert bands_of(3, [1, 2, 3], long_name="reflectance") == ()


def array_with(**coords):
    return DataArray(np.zeros((3, 4, 5)), ("band", "y", "x"), coords)


@pytest.mark.parametrize("place", ["encoding", "attrs"])
def test_the_grid_mapping_says_which_coordinate_has_the_crs(place):
    array = array_with(
        spatial_ref=Coordinate(crs_wkt="EPSG:4326"),
        crs=Coordinate(crs_wkt="EPSG:32633", GeoTransform="100 2 0 500 0 -3"),
    )
    assert read_array(array).crs == "EPSG:4326"
    getattr(array, place)["grid_mapping"] = "crs"
    assert read_array(array).crs == "EPSG:32633"
    assert read_array(array).transform.to_gdal() == (100, 2, 0, 500, 0, -3)


def test_a_grid_mapping_that_is_not_there_gives_no_crs():
    array = array_with(spatial_ref=Coordinate(crs_wkt="EPSG:4326"))
    array.encoding["grid_mapping"] = "crs"
    assert read_array(array).crs is None


@pytest.mark.parametrize("value", [[1, 2], np.array([1, 2]), "none"])
def test_a_fill_value_that_is_no_number_is_refused(value):
    array = array_with()
    array.attrs["_FillValue"] = value
    with pytest.raises(geodet.SceneError, match="the _FillValue of the DataArray is not a number"):
        read_array(array)
