import numpy as np
import pytest
from affine import Affine
from factories_vectors import CLASSES, FIELDS, NORTH_UP, found, layer_of, part
from pyproj import CRS

from geodet.boxes import Detections
from geodet.errors import OutputError
from geodet.vectors.rows import Rows, iter_slices, to_rows


def test_slices_are_the_whole_in_order():
    whole = part(found(10))
    few = list(iter_slices(whole, 4))
    assert [len(one.detections) for one in few] == [4, 4, 2]
    joined = Detections.concatenate([one.detections for one in few])
    np.testing.assert_array_equal(joined.boxes, whole.detections.boxes)
    assert {one.scene for one in few} == {whole.scene}


def test_nothing_is_one_slice(tmp_path):
    (only,) = iter_slices(part(Detections.empty()), 4)
    rows = to_rows(only, layer_of(tmp_path / "a.gpkg"))
    assert len(rows) == 0
    assert rows.coordinates.shape == (0, 4, 2)
    assert [len(column) for column in rows.columns] == [0] * len(FIELDS)


def test_columns_are_pythons_own_values_and_none(tmp_path):
    rows = to_rows(part(found(2), crs=None), layer_of(tmp_path / "a.gpkg", crs=None))
    assert rows.columns[-1] == [None, None]
    assert {type(value) for column in rows.columns[:-1] for value in column} == {str, float}
    assert set(rows.columns[0]) <= set(CLASSES)


@pytest.mark.parametrize("geometry", ["box", "centroid"])
def test_bounds_hold_the_coordinates(tmp_path, geometry):
    turned = NORTH_UP @ Affine.rotation(30)
    rows = to_rows(part(found(5), transform=turned), layer_of(tmp_path / "a", geometry=geometry))
    low, high = rows.bounds[:, None, :2], rows.bounds[:, None, 2:]
    assert ((low <= rows.coordinates) & (rows.coordinates <= high)).all()


def test_joined_rows_keep_their_order(tmp_path):
    layer = layer_of(tmp_path / "a.gpkg")
    pieces = [to_rows(one, layer) for one in iter_slices(part(found(10)), 3)]
    joined, whole = Rows.concatenate(pieces), to_rows(part(found(10)), layer)
    np.testing.assert_array_equal(joined.coordinates, whole.coordinates)
    assert joined.columns == whole.columns


def test_a_scene_beyond_the_crs_is_an_error(tmp_path):
    far = part(crs=CRS.from_epsg(4326), transform=Affine(1, 0, 0, 0, -1, 1000), scene="b.tif")
    with pytest.raises(OutputError, match=r"b\.tif lies outside of WGS 84 / UTM zone 10N"):
        to_rows(far, layer_of(tmp_path / "a.gpkg"))
