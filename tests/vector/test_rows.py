import numpy as np
import pyarrow as pa
import pytest
import shapely
from affine import Affine
from factories_vectors import CLASSES, FIELDS, NORTH_UP, UTM, found, layer_of, part
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyproj import CRS

from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geopackage.wkb_encoding import pack_wkb
from geodet.vector.arrow_rows import to_arrow
from geodet.vector.rows import Rows, iter_slices, to_rows


def test_slices_together_are_the_whole_in_order():
    whole = part(found(10))
    few = list(iter_slices(whole, 4))
    assert [len(one.detections) for one in few] == [4, 4, 2]
    joined = Detections.concatenate([one.detections for one in few])
    np.testing.assert_array_equal(joined.boxes, whole.detections.boxes)
    assert {one.scene for one in few} == {whole.scene}


def test_no_detections_are_one_empty_slice():
    (only,) = iter_slices(part(Detections.empty()), 4)
    rows = to_rows(only, layer_of())
    assert len(rows) == 0
    assert rows.coordinates.shape == (0, 4, 2)
    assert [len(column) for column in rows.columns] == [0] * len(FIELDS)


def test_columns_are_python_values_and_none():
    rows = to_rows(part(found(2), crs=None), layer_of(None))
    assert rows.columns[-1] == [None, None]
    assert {type(value) for column in rows.columns[:-1] for value in column} == {str, float}
    assert set(rows.columns[0]) <= set(CLASSES)


@pytest.mark.parametrize("geometry", ["box", "centroid"])
def test_bounds_hold_the_coordinates(geometry):
    turned = NORTH_UP @ Affine.rotation(30)
    rows = to_rows(part(found(5), transform=turned), layer_of(geometry=geometry))
    low, high = rows.bounds[:, None, :2], rows.bounds[:, None, 2:]
    assert ((low <= rows.coordinates) & (rows.coordinates <= high)).all()


def test_joined_rows_keep_their_order():
    pieces = [to_rows(one, layer_of()) for one in iter_slices(part(found(10)), 3)]
    joined, whole = Rows.concatenate(pieces), to_rows(part(found(10)), layer_of())
    np.testing.assert_array_equal(joined.coordinates, whole.coordinates)
    assert joined.columns == whole.columns


def test_a_scene_beyond_the_crs_is_an_error():
    far = part(crs=CRS.from_epsg(4326), transform=Affine(1, 0, 0, 0, -1, 1000), scene="b.tif")
    with pytest.raises(OutputError, match=r"b\.tif lies where WGS 84 / UTM zone 10N"):
        to_rows(far, layer_of())


def rows_of(*, count=20, crs=UTM, geometry="box", scene="größe.tif"):
    return to_rows(part(found(count), scene=scene, crs=crs), layer_of(crs, geometry=geometry))


@pytest.mark.parametrize("geometry", ["box", "centroid"])
def test_a_batch_has_the_values_of_the_rows(geometry):
    rows = rows_of(geometry=geometry)
    batch = to_arrow(rows, "shape")
    batch.validate(full=True)
    assert batch.schema.names == [*FIELDS, "shape"]
    assert [column.to_pylist() for column in batch.columns[:-1]] == rows.columns
    shapes = shapely.from_wkb(batch["shape"].to_pylist())
    expected = rows.coordinates
    if geometry == "box":
        expected = np.concatenate([expected, expected[:, :1]], axis=1)
    np.testing.assert_array_equal(shapely.get_coordinates(shapes), expected.reshape(-1, 2))


def test_unknown_areas_are_null():
    rows = rows_of(count=11, crs=None)
    rows.fields["area_m2"][[0, 9]] = 5.0, 7.0
    areas = to_arrow(rows, "geom")["area_m2"]
    assert areas.to_pylist() == [5.0, *[None] * 8, 7.0, None]
    assert areas.null_count == 9


def test_no_rows_are_an_empty_batch():
    rows = to_rows(part(Detections.empty()), layer_of())
    batch = to_arrow(rows, "geom")
    batch.validate(full=True)
    assert (batch.num_rows, batch.num_columns) == (0, len(FIELDS) + 1)


def test_the_batch_outlives_the_rows():
    expected = rows_of().columns
    table = pa.Table.from_batches([to_arrow(rows_of(), "geom")])
    assert [column.to_pylist() for column in table.columns[:-1]] == expected


numbers = st.floats(-1e8, 1e8, allow_nan=False)


@given(
    corners=arrays(
        np.float64, st.tuples(st.integers(0, 5), st.just(4), st.just(2)), elements=numbers
    )
)
def test_polygons_are_those_of_shapely(corners):
    closed = np.concatenate([corners, corners[:, :1]], axis=1)
    expected = shapely.to_wkb(shapely.polygons(closed), byte_order=1).tolist()
    assert [row.tobytes() for row in pack_wkb(corners)] == expected


@given(
    points=arrays(
        np.float64, st.tuples(st.integers(0, 5), st.just(1), st.just(2)), elements=numbers
    )
)
def test_points_are_those_of_shapely(points):
    expected = shapely.to_wkb(shapely.points(points[:, 0]), byte_order=1).tolist()
    assert [row.tobytes() for row in pack_wkb(points)] == expected
