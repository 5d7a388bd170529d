"""Rows of a file of reviews that people drew, moved or changed in QGIS."""

import contextlib
import sqlite3

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from edited_reviews import draw, edit
from factories_rasters import NORTH_UP, TURNED
from pyproj import CRS
from shapely.affinity import rotate, scale, translate

from geodet.errors import VectorError
from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import hulls, oriented_corners
from geodet.geometry.windows import Window
from geodet.reviewing.reviewed_items import ReviewedObject, ReviewedWindow, bounds_of_oriented
from geodet.reviewing.reviews import ReviewFile

UTM = CRS.from_epsg(32633)
PLACE = GeoBox(300, 200, NORTH_UP, UTM)
ELSEWHERE = GeoBox(300, 200, NORTH_UP @ Affine.translation(1000, 0), UTM)
BOX = (10.0, 20.0, 30.5, 40.25)


@pytest.fixture(params=["north up", "turned", "another CRS"])
def geobox(request):
    """Scenes whose pixels are the coordinates of the file in three ways."""
    transform = TURNED if request.param == "turned" else NORTH_UP
    code = 32634 if request.param == "another CRS" else 32633
    return GeoBox(300, 200, transform, CRS.from_epsg(code))


@pytest.fixture
def path(tmp_path):
    """A file in UTM zone 33."""
    ReviewFile(tmp_path / "r.gpkg", "first.tif", PLACE)
    return tmp_path / "r.gpkg"


def opened(path, geobox, scene="a.tif"):
    return ReviewFile(path, scene, geobox)


def reviewed(path, geobox, *, oriented=None):
    """Accept an object and mark a window as done."""
    file = opened(path, geobox)
    box = BOX if oriented is None else bounds_of_oriented(oriented)
    one = ReviewedObject(file.take_id(), 3, "accepted", "tree", 0.75, box, oriented)
    window = ReviewedWindow(file.take_id(), Window(64, 0, 64, 32))
    file.replace([], [one, window])
    return one, window


@pytest.mark.parametrize("columns", [{}, {"scene": "a.tif"}])
def test_an_object_that_was_drawn_has_the_pixels_of_its_place(path, geobox, columns):
    opened(path, geobox)
    draw(path, "labels", geobox, [BOX], label="palm", **columns)
    (found,) = opened(path, geobox).objects.values()
    assert (found.label, found.verdict, found.source, found.score) == ("palm", "added", None, None)
    np.testing.assert_allclose(found.corners_px, corners(BOX), atol=0.01)


def corners(box):
    x1, y1, x2, y2 = box
    return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]


def test_an_object_that_was_drawn_at_an_angle_is_a_rectangle(path):
    turned = (100.0, 80.0, 40.0, 10.0, 0.5)
    opened(path, PLACE)
    draw(path, "labels", PLACE, [(80, 75, 120, 85)], label="ship")
    middle = tuple(PLACE.to_world(np.array([100.0, 80.0])))
    edit(path, "labels", 1, lambda shape: rotate(shape, -0.5, middle, use_radians=True))
    (found,) = opened(path, PLACE).objects.values()
    assert found.oriented_px == pytest.approx(turned, abs=0.002)
    np.testing.assert_allclose(found.box_px, hulls(np.array([turned]))[0], atol=0.005)


def test_an_object_that_was_moved_lies_where_it_was_moved_to(path, geobox):
    one, _ = reviewed(path, geobox)
    metres = geobox.transform.a, geobox.transform.d
    edit(path, "labels", one.id, lambda shape: translate(shape, 12 * metres[0], 12 * metres[1]))
    file = opened(path, geobox)
    (found,) = file.objects.values()
    assert (found.id, found.source, found.verdict) == (one.id, 3, "accepted")
    moved = np.add(BOX, (12, 0, 12, 0))
    atol = 1e-3 if geobox.crs == UTM else 2.0  # the grids of two zones are turned
    np.testing.assert_allclose(found.corners_px, corners(moved), atol=atol)
    before = geopandas.read_file(path, layer="labels").geometry[0]
    file.replace([found], [ReviewedObject(found.id, 3, "changed", "palm", 0.75, *shape_of(found))])
    assert shapely.hausdorff_distance(
        geopandas.read_file(path, layer="labels").geometry[0], before
    ) == pytest.approx(0, abs=0.05)


def shape_of(one):
    return one.box_px, one.oriented_px


def test_a_rectangle_that_was_mirrored_is_mirrored(path):
    oriented = (100.0, 80.0, 40.0, 10.0, 0.5)
    one, _ = reviewed(path, PLACE, oriented=oriented)
    edit(path, "labels", one.id, lambda shape: scale(shape, -1, 1))
    (found,) = opened(path, PLACE).objects.values()
    assert found.oriented_px == pytest.approx((100, 80, 40, 10, -0.5), abs=0.002)
    assert found.oriented_px is not None
    expected = oriented_corners(np.array([(100.0, 80, 40, 10, -0.5)]))[0]
    np.testing.assert_allclose(found.corners_px, expected, atol=0.01)


def test_rows_that_nobody_edited_have_their_exact_pixels(path, geobox):
    one, window = reviewed(path, geobox)
    file = opened(path, geobox)
    assert list(file.objects.values()) == [one]
    assert list(file.windows.values()) == [window]


@pytest.mark.parametrize("columns", [{}, {"scene": "a.tif"}])
def test_a_window_that_was_drawn_has_the_pixels_of_its_place(path, geobox, columns):
    opened(path, geobox)
    draw(path, "windows", geobox, [(-20, 100.3, 63.6, 150)], **columns)
    (found,) = opened(path, geobox).windows.values()
    assert found.window == Window(0, 100, 64, 50)


def test_a_window_that_was_moved_lies_where_it_was_moved_to(path):
    _, window = reviewed(path, PLACE)
    edit(path, "windows", window.id, lambda shape: translate(shape, 64 * NORTH_UP.a, 0))
    (found,) = opened(path, PLACE).windows.values()
    assert found.window == Window(128, 0, 64, 32)
    edit(path, "windows", window.id, lambda shape: translate(shape, 999 * NORTH_UP.a, 0))
    assert opened(path, PLACE).windows == {}


def test_rows_without_a_scene_are_of_those_in_which_they_lie(path):
    reviewed(path, PLACE)
    opened(path, ELSEWHERE, "b.tif")
    draw(path, "labels", ELSEWHERE, [BOX], label="palm")
    draw(path, "windows", ELSEWHERE, [(0, 0, 64, 64)], scene="")
    assert [one.label for one in opened(path, PLACE).objects.values()] == ["tree"]
    assert len(opened(path, PLACE).windows) == 1
    file = opened(path, ELSEWHERE, "b.tif")
    assert [one.label for one in file.objects.values()] == ["palm"]
    assert [one.window for one in file.windows.values()] == [Window(0, 0, 64, 64)]


def test_a_row_without_a_scene_is_given_one_with_a_decision(path):
    opened(path, PLACE)
    draw(path, "labels", PLACE, [BOX], label="palm")
    file = opened(path, PLACE)
    (one,) = file.objects.values()
    file.replace([one], [ReviewedObject(one.id, None, "added", "tree", None, one.box_px)])
    (row,) = geopandas.read_file(path, layer="labels").itertuples()
    assert (row.scene, row.label, row.x1_px) == ("a.tif", "tree", 10)


def test_a_row_without_a_scene_is_of_a_photograph_that_has_the_file_alone(tmp_path):
    geobox, path = GeoBox(300, 200, Affine(1, 0, 0, 0, -1, 0), None), tmp_path / "r.gpkg"
    opened(path, geobox, "a.jpg")
    draw(path, "labels", geobox, [BOX], label="tree")
    assert [one.box_px for one in opened(path, geobox, "a.jpg").objects.values()] == [BOX]
    other = GeoBox(301, 200, geobox.transform, None)
    assert opened(path, other, "b.jpg").objects == {}


def test_a_row_that_was_copied_to_another_layer_is_decided_by_that(path):
    one, _ = reviewed(path, PLACE)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE labels SET verdict = 'rejected'")
    (found,) = opened(path, PLACE).objects.values()
    assert found == one


def test_a_row_without_a_geometry_has_the_pixels_of_its_columns(path):
    one, window = reviewed(path, PLACE)
    edit(path, "labels", one.id, lambda _: None)
    edit(path, "windows", window.id, lambda _: None)
    file = opened(path, PLACE)
    assert (file.objects, file.windows) == ({one.id: one}, {window.id: window})


@pytest.mark.parametrize("layer", ["labels", "windows"])
@pytest.mark.parametrize("scene", ["'a.tif'", "NULL"])
def test_a_row_without_a_place_is_named(path, layer, scene):
    opened(path, PLACE)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(f"INSERT INTO {layer} (fid, scene) VALUES (7, {scene})")
    with pytest.raises(
        VectorError, match=rf"r\.gpkg: the row with fid 7 of the layer {layer} has no place"
    ) as caught:
        opened(path, PLACE)
    first = "col_off" if layer == "windows" else "x1_px"
    assert f"draw it, or fill in scene, {first}, " in caught.value.hint


def test_an_object_without_a_class_is_named(path):
    opened(path, PLACE)
    draw(path, "labels", PLACE, [BOX], verdict="added")
    with pytest.raises(VectorError, match=r"row with fid 1 of the layer labels has no class") as e:
        opened(path, PLACE)
    assert "fill in label" in e.value.hint
