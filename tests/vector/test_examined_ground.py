"""The ground that was examined, as a file has it: places on it, and pieces of it in another CRS."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from factories_vectors import part, write, write_searched
from pyproj import CRS, Transformer

from geodet.vector.examined_ground import ExaminedGround, find_examined_ground
from geodet.vector.provenance import EXAMINED

UTM = CRS.from_epsg(32633)
X, Y = 500_000.0, 5_000_000.0


def ground_of(shape, crs=UTM):
    return ExaminedGround(Path("found.gpkg"), shape, crs)


@pytest.mark.parametrize("epsg", [32633, 4326, 3857, 3035])
def test_places_in_any_crs_are_on_the_ground_or_not(epsg):
    hole = shapely.box(X + 20, Y + 20, X + 40, Y + 40)
    ground = ground_of(shapely.box(X, Y, X + 100, Y + 100).difference(hole))
    xy = np.array([[X + 10, Y + 10], [X + 30, Y + 30], [X + 99.9, Y + 50], [X + 100.1, Y + 50]])
    moved = np.stack(Transformer.from_crs(UTM, epsg, always_xy=True).transform(*xy.T), axis=-1)
    places = np.vstack([moved, [[np.nan, 0.0]]])
    there = ground.has_examined(places, CRS.from_epsg(epsg))
    assert there.tolist() == [True, False, True, False, False]


def test_nothing_was_examined_where_no_scene_had_data():
    ground = ground_of(shapely.Polygon())
    assert ground.has_examined(np.array([[X, Y]]), UTM).tolist() == [False]
    assert (
        ground.explain_apart(Path("any.gpkg"), "labels") == "none of the searched scenes has data"
    )


def test_places_across_the_antimeridian_are_on_the_ground():
    wgs84 = CRS.from_epsg(4326)
    ground = ground_of(shapely.box(179.9, 0, 180.1, 1), wgs84)
    xy = np.array([[179.95, 0.5], [-179.95, 0.5], [-179.8, 0.5]])
    assert [ground.has_examined(one[None], wgs84)[0] for one in xy] == [True, True, False]


def test_pieces_have_few_vertices_and_the_area_of_the_ground():
    coast = shapely.Point(X, Y).buffer(1000, quad_segs=2000)
    pieces = ground_of(coast).pieces_in(UTM, np.array(coast.bounds))
    assert shapely.get_num_coordinates(pieces).max() <= 256
    assert shapely.area(pieces).sum() == pytest.approx(coast.area, rel=1e-9)


def test_a_file_of_another_program_does_not_say_it(tmp_path):
    path = tmp_path / "other.geojson"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    assert find_examined_ground(path) is None


WEST, EAST = shapely.box(X, Y, X + 50, Y + 50), shapely.box(X + 50, Y, X + 99, Y + 50)
DIFFER = "its models searched different areas"


@pytest.mark.parametrize(
    ("runs", "is_told"),
    [
        ({("m", "a"): WEST, ("n", "a"): WEST}, False),
        ({("m", "a"): WEST, ("m", "b"): EAST}, False),
        ({("m", "a"): WEST, ("m", "b"): EAST, ("n", "c"): WEST.union(EAST)}, False),
        ({("m", "a"): WEST, ("m", "b"): EAST, ("n", "b"): EAST}, True),
        ({("m", "a"): WEST, ("n", "b"): shapely.Polygon()}, True),
    ],
)
def test_models_that_searched_different_ground_in_one_file_are_warned_of(
    tmp_path, caplog, runs, is_told
):
    for (model, scene), ground in runs.items():
        path = write_searched(tmp_path / "found.gpkg", scene, ground, model)
    assert not find_examined_ground(path).shape.is_empty
    assert (f"found.gpkg: {DIFFER}" in caplog.text) == is_told
    caplog.clear()
    find_examined_ground(Path(f"{path}|layername=detections"))
    assert (f"found.gpkg|layername=detections: {DIFFER}" in caplog.text) == is_told


@pytest.mark.parametrize(("ground", "is_told"), [(WEST, False), (EAST, True)])
def test_the_ground_that_an_earlier_version_wrote_is_of_another_model(
    tmp_path, caplog, ground, is_told
):
    about = {"model_sha256": "m", EXAMINED: WEST.wkt}
    path = write(tmp_path / "found.gpkg", part(), metadata=about)
    write_searched(path, "b", ground, "n")
    find_examined_ground(path)
    assert (DIFFER in caplog.text) == is_told
