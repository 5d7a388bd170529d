"""Lines on a stream are those that GDAL writes to a file."""

import io
import json

import numpy as np
import pytest
import shapely
from affine import Affine
from factories_vectors import NORTH_UP, SITE, UTM, found, layer_of, part, write
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from geodet.geometry.boxes import Detections
from geodet.vector.geojson_stream import GeoJsonStream


def stream(*parts, crs=UTM, geometry="box"):
    out = io.StringIO()
    lines = GeoJsonStream(out, layer_of(crs, geometry=geometry))
    for one in parts:
        lines.write(one)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def file_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def assert_same(streamed, written):
    assert [one["properties"] for one in streamed] == [one["properties"] for one in written]
    kinds = [[one["geometry"]["type"] for one in lines] for lines in (streamed, written)]
    assert kinds[0] == kinds[1]
    shapes = [
        shapely.from_geojson([json.dumps(one["geometry"]) for one in lines])
        for lines in (streamed, written)
    ]
    assert shapely.hausdorff_distance(*shapes).max(initial=0) < 2e-9
    assert shapely.is_ccw(shapely.get_exterior_ring(shapely.get_parts(shapes[0]))).all() or (
        kinds[0][0] == "Point"
    )


@pytest.mark.parametrize("geometry", ["box", "centroid"])
@pytest.mark.parametrize("turn", [0, 20])
def test_lines_are_those_of_a_file(tmp_path, geometry, turn):
    source = part(found(30), transform=NORTH_UP @ Affine.rotation(turn))
    written = file_lines(write(tmp_path / "a.geojsonl", source, geometry=geometry))
    assert_same(stream(source, geometry=geometry), written)


@pytest.mark.parametrize("epsg", [4326, 32601, 3832])
def test_what_crosses_the_antimeridian_is_split_as_in_a_file(tmp_path, epsg):
    crs = CRS.from_epsg(epsg)
    origin = {4326: (80, 10, 0.1), 32601: (166016 - 900, 10, 1), 3832: (3339584 - 900, 10, 1)}
    left, top, step = origin[epsg]
    boxes = np.array([[10.0, 0, 20, 10], [895, 0, 1005, 10], [1100, 20, 1110, 30]])
    source = part(
        Detections(boxes, np.ones(3), np.zeros(3, int)),
        crs=crs,
        transform=Affine(step, 0, left, 0, -step, top),
    )
    assert_same(stream(source, crs=crs), file_lines(write(tmp_path / "a.geojsonl", source)))


@given(west=st.floats(-179, 540), width=st.floats(0.01, 90))
def test_parts_lie_within_the_degrees_and_cover_the_whole(west, width):
    box = Detections(np.array([[0.0, 0, width, 2]]), np.ones(1), np.zeros(1, int))
    crs = CRS.from_epsg(4326)
    source = part(box, crs=crs, transform=Affine(1, 0, west, 0, -1, 10))
    (feature,) = stream(source, crs=crs)
    shape = shapely.geometry.shape(feature["geometry"])
    x1, _, x2, _ = shape.bounds
    assert -180 <= x1 <= x2 <= 180
    assert shape.area == pytest.approx(width * 2, abs=1e-6)


@pytest.mark.parametrize("crs", [None, SITE])
def test_what_has_no_place_on_the_earth_keeps_its_coordinates(tmp_path, crs):
    source = part(crs=crs, transform=Affine(1, 0, 0, 0, -1, 0))
    assert_same(stream(source, crs=crs), file_lines(write(tmp_path / "a.geojsonl", source)))


def test_scenes_in_other_crs_are_in_wgs_84_too():
    utm = part(found(3))
    other = part(found(3), crs=CRS.from_epsg(32611), scene="b.tif")
    assert stream(utm, other) == stream(utm) + stream(other, crs=CRS.from_epsg(32611))


def test_nothing_found_writes_no_line():
    assert stream(part(Detections.empty())) == []
