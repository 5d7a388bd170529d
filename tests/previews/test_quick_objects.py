"""Objects that are read by their vertices alone, against those that are read as geometries."""

import struct

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import oriented_corners
from geodet.previews import views
from geodet.previews.views import read_objects
from geodet.raster.geotiff import write_raster
from geodet.raster.scene import Scene
from geodet.vector.arrow_shapes import read_shape_layer

BOX = st.tuples(st.integers(-30, 90), st.integers(-30, 90), st.integers(1, 20), st.integers(1, 20))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Write a scene under a sheared transform, once; yield it open."""
    path = tmp_path_factory.mktemp("scenes") / "a.tif"
    place = Affine(0.5, 0.1, 1_700_000, 0.1, -0.5, 5_000_000)
    geobox = GeoBox(64, 64, place, CRS.from_epsg(3857))
    write_raster(path, np.zeros((3, 64, 64), np.uint8), geobox)
    with Scene(path) as opened:
        yield opened


def frame_of(scene, boxes, kind, epsg):
    corners = scene.geobox.corners(np.array([[x, y, x + w, y + h] for x, y, w, h in boxes], float))
    shapes = shapely.points(corners[:, 0]) if kind == "points" else shapely.polygons(corners)
    if kind == "turned":
        rows = [[x, y, w + 21, h, (n % 5 - 2) / 2] for n, (x, y, w, h) in enumerate(boxes, 1)]
        shapes = shapely.polygons(scene.geobox.to_world(oriented_corners(np.array(rows, float))))
    if kind == "mixed":
        shapes[0] = shapely.buffer(shapes[0], 1)
    count = len(boxes)
    frame = geopandas.GeoDataFrame(
        {
            "class": [("tree", "palm", "tree ")[n % 3] for n in range(count)],
            "score": np.linspace(0, 1, count),
            "note": [None if n % 2 else f"n{n}" for n in range(count)],
        },
        geometry=shapes,
        crs=scene.geobox.crs,
    )
    return frame if epsg is None else frame.to_crs(epsg)


@settings(max_examples=12)
@given(
    boxes=st.lists(BOX, min_size=1, max_size=8),
    kind=st.sampled_from(["boxes", "turned", "points", "mixed"]),
    epsg=st.sampled_from([None, 4326]),
    end=st.sampled_from([".gpkg", ".fgb", ".geojson", ".parquet"]),
)
def test_vertices_alone_give_the_same_objects(scene, tmp_path, boxes, kind, epsg, end):
    path = tmp_path / f"found{end}"
    path.unlink(missing_ok=True)
    frame = frame_of(scene, boxes, kind, epsg)
    frame.to_parquet(path) if end == ".parquet" else frame.to_file(path)
    assert read_shape_layer(path) is not None
    found, expected = read_objects(path, scene), views._read_others(path, scene, "score")
    np.testing.assert_allclose(found.detections.boxes, expected.detections.boxes, atol=1e-9)
    np.testing.assert_array_equal(found.detections.scores, expected.detections.scores)
    np.testing.assert_array_equal(found.detections.labels, expected.detections.labels)
    assert found.classes == expected.classes
    assert (found.detections.oriented is None) == (expected.detections.oriented is None)
    if kind == "turned":
        turned = found.detections.oriented, expected.detections.oriented
        np.testing.assert_allclose(*turned, atol=1e-6)
        assert np.abs(turned[0][:, 4]).max() > 0.1
    notes = [note if isinstance(note, str) else None for note in expected.attributes["note"]]
    assert found.attributes["note"].to_pylist() == notes


PARTS = shapely.MultiPoint([(0, 0), (1, 1)])


@pytest.mark.parametrize("shape", [None, PARTS, shapely.Point()])
def test_an_odd_shape_is_left_to_the_other_reader(tmp_path, shape):
    shapes = [shapely.Point(1, 2), shape]
    geopandas.GeoDataFrame(geometry=shapes, crs=4326).to_file(tmp_path / "odd.gpkg")
    assert read_shape_layer(tmp_path / "odd.gpkg") is None


def curve_of(polygon):
    """Return the circle through the corners of a square, as well-known binary."""
    ring = shapely.get_coordinates(polygon)
    return struct.pack("<BIIBII", 1, 10, 1, 1, 8, len(ring)) + ring.astype("<f8").tobytes()


def test_curves_are_read_as_polygons(scene, tmp_path):
    path = tmp_path / "curves.gpkg"
    square = shapely.polygons(scene.geobox.corners(np.array([[10.0, 20, 30, 40]])))[0]
    pyogrio.raw.write(
        path,
        np.array([curve_of(square)], object),
        field_data=[np.array(["tree"], object)],
        fields=["class"],
        geometry_type="Unknown",
        crs="EPSG:3857",
    )
    found = read_objects(path, scene).detections
    assert found.boxes.shape == (1, 4)
    assert found.centres == pytest.approx(np.array([[20, 30]]), abs=0.05)
    assert found.boxes[0, 2] - found.boxes[0, 0] > 25  # the square is 20 px wide
