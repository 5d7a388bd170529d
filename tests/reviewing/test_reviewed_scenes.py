"""Scenes that share a file name keep their reviews apart, and a scene that was moved keeps its."""

import contextlib
import multiprocessing
import shutil
import sqlite3

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely.affinity
from affine import Affine
from factories_rasters import NORTH_UP, TURNED
from pyproj import CRS

from geodet.errors import OutputError
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.raster.scene_names import slashed_path
from geodet.reviewing.reviewed_items import ReviewedObject, ReviewedWindow
from geodet.reviewing.reviewed_scenes import enter_scene, find_scenes, locked_review
from geodet.reviewing.reviews import ReviewFile
from geodet.reviewing.suggested_windows import SuggestedWindow, write_suggestions

UTM = CRS.from_epsg(32633)
NORTH = GeoBox(300, 200, NORTH_UP, UTM)
SOUTH = GeoBox(300, 200, Affine.translation(0, -500) @ NORTH_UP, UTM)
OTHER_PLACES = {
    "elsewhere": SOUTH,
    "turned": GeoBox(300, 200, TURNED, UTM),
    "resampled": GeoBox(150, 100, NORTH_UP @ Affine.scale(2), UTM),
    "larger": GeoBox(301, 200, NORTH_UP, UTM),
    "in another zone": GeoBox(300, 200, NORTH_UP, CRS.from_epsg(32634)),
    "a pixel aside": GeoBox(300, 200, NORTH_UP @ Affine.translation(1, 0), UTM),
}


def decide(file, number=0):
    new = ReviewedObject(file.take_id(), number, "accepted", "tree", 0.5, (10, 20, 30, 40))
    done = ReviewedWindow(file.take_id(), Window(64 * number, 0, 64, 64))
    file.replace([], [new, done])
    return new, done


def write_years(folder):
    """Write two files of one name; return their paths as the program names them."""
    files = [folder / year / "tile.tif" for year in ("2018", "2020")]
    for file in files:
        file.parent.mkdir()
        file.write_text(file.parent.name)
    return [slashed_path(str(file)) for file in files]


def forget_places(path):
    """Make a file as an earlier version wrote it."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE scenes")
        database.execute("DELETE FROM gpkg_contents WHERE table_name = 'scenes'")


@pytest.mark.parametrize(
    ("place", "is_old"),
    [(place, False) for place in OTHER_PLACES]
    # rows alone do not say how large their scene is
    + [(place, True) for place in OTHER_PLACES if place != "larger"],
)
def test_a_scene_of_the_same_name_at_another_place_has_its_own_reviews(tmp_path, place, is_old):
    path = tmp_path / "r.gpkg"
    first = ReviewFile(path, "work/north/ortho.tif", NORTH, origin="x")
    decided = decide(first)
    if is_old:
        forget_places(path)
    second = ReviewFile(path, "work/south/ortho.tif", OTHER_PLACES[place], origin="y")
    assert (second.objects, second.windows) == ({}, {})
    decide(second)
    assert (first.scene, second.scene) == ("ortho.tif", "south/ortho.tif")
    again = ReviewFile(path, "work/north/ortho.tif", NORTH, origin="x")
    assert [*again.objects.values(), *again.windows.values()] == [*decided]
    assert ReviewFile(path, "work/south/ortho.tif", OTHER_PLACES[place], origin="y").objects


def test_scenes_are_kept_apart_before_anything_is_decided(tmp_path):
    files = [
        ReviewFile(tmp_path / "r.gpkg", f"{name}/ortho.tif", place)
        for name, place in (("north", NORTH), ("south", SOUTH))
    ]
    for file in files:
        decide(file)
    assert [len(file.objects) for file in files] == [1, 1]
    assert files[0].scene != files[1].scene


@pytest.mark.parametrize("is_old", [False, True])
def test_a_scene_that_was_moved_keeps_its_reviews(tmp_path, is_old):
    path = tmp_path / "r.gpkg"
    for name, place in (("north", NORTH), ("south", SOUTH)):
        decide(ReviewFile(path, f"{name}/ortho.tif", place))
    if is_old:
        forget_places(path)
    # written anew, by a program that rounds
    moved = GeoBox(300, 200, Affine.translation(1e-6, 0) @ SOUTH.transform, UTM)
    assert ReviewFile(path, "new/disk/ortho.tif", moved).scene == "south/ortho.tif"
    assert ReviewFile(path, "ortho.tif", NORTH).scene == "ortho.tif"


def test_rows_that_were_moved_in_a_gis_are_still_of_their_scene(tmp_path):
    path = tmp_path / "r.gpkg"
    file = ReviewFile(path, "ortho.tif", NORTH)
    for number in range(3):
        decide(file, number)
    frame = geopandas.read_file(path, layer="labels")
    frame.loc[0, "geometry"] = shapely.affinity.translate(frame.geometry[0], 50, 7)
    pyogrio.write_dataframe(frame, path, layer="labels")  # with envelopes, as QGIS writes
    forget_places(path)
    assert len(ReviewFile(path, "ortho.tif", NORTH).windows) == 3


def test_a_file_that_is_edited_again_and_again_gets_a_name_each_time(tmp_path):
    places = [GeoBox(300 + size, 200, NORTH_UP, UTM) for size in range(4)]
    files = [ReviewFile(tmp_path / "r.gpkg", "a/ortho.tif", place) for place in places]
    names = [file.scene for file in files]
    assert names == ["ortho.tif", "a/ortho.tif", "2/a/ortho.tif", "3/a/ortho.tif"]
    again = [ReviewFile(tmp_path / "r.gpkg", "a/ortho.tif", place) for place in places]
    assert [file.scene for file in again] == names


def test_photographs_of_one_name_and_different_sizes_are_told_apart(tmp_path):
    own = Affine(1, 0, 0, 0, -1, 0)
    files = [
        ReviewFile(tmp_path / "r.gpkg", f"{name}/DSC_1.jpg", GeoBox(size, 200, own, None))
        for name, size in (("a", 300), ("b", 400))
    ]
    assert [file.scene for file in files] == ["DSC_1.jpg", "b/DSC_1.jpg"]


@pytest.mark.parametrize("place", [NORTH, GeoBox(300, 200, Affine(1, 0, 0, 0, -1, 0), None)])
def test_two_years_of_one_tile_have_their_own_reviews(tmp_path, place):
    path, tiles = tmp_path / "r.gpkg", write_years(tmp_path)
    first, second = (ReviewFile(path, tile, place) for tile in tiles)
    assert (first.scene, second.scene) == ("tile.tif", "2020/tile.tif")
    decided = decide(first)
    again = [ReviewFile(path, tile, place) for tile in tiles]
    assert [[*one.objects.values(), *one.windows.values()] for one in again] == [[*decided], []]


def test_a_copy_of_a_scene_has_its_reviews(tmp_path):
    path, tiles = tmp_path / "r.gpkg", write_years(tmp_path)
    ReviewFile(path, tiles[0], NORTH)
    shutil.copyfile(tmp_path / "2018" / "tile.tif", tmp_path / "2020" / "tile.tif")
    assert ReviewFile(path, tiles[1], NORTH).scene == "tile.tif"


def test_the_reviews_of_one_year_are_not_those_of_another(tmp_path):
    path, tiles = tmp_path / "r.gpkg", write_years(tmp_path)
    ReviewFile(path, tiles[0], NORTH)
    both, options = [NORTH, NORTH], {"any_size": True, "any_name": True}
    assert find_scenes(path, tiles, both, **options) == ["tile.tif", None]
    renamed = tiles[1].replace("tile.tif", "tile_2020.tif")
    assert find_scenes(path, [tiles[0], renamed], both, **options) == ["tile.tif", None]
    # of the reviewed scene there may be another version, and resampled ones
    assert find_scenes(path, tiles[1:], [NORTH], **options) == ["tile.tif"]
    coarse = OTHER_PLACES["resampled"]
    assert find_scenes(path, tiles, [NORTH, coarse], **options) == ["tile.tif"] * 2


def test_files_of_earlier_versions_take_the_files_of_scenes(tmp_path):
    path, tiles = tmp_path / "r.gpkg", write_years(tmp_path)
    ReviewFile(path, tiles[0], NORTH)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE scenes DROP COLUMN path")
    names = [ReviewFile(path, tile, NORTH).scene for tile in tiles]
    assert names == ["tile.tif", "2020/tile.tif"]


def test_a_scene_has_the_name_under_which_windows_were_suggested(tmp_path):
    path, geoboxes = tmp_path / "r.gpkg", {"north/ortho.tif": NORTH, "south/ortho.tif": SOUTH}
    suggested = [SuggestedWindow(name, Window(8, 0, 64, 32), 1.0, 2, "doubt") for name in geoboxes]
    write_suggestions(path, suggested, geoboxes, UTM)
    for name, geobox in geoboxes.items():
        assert ReviewFile(path, f"home/{name}", geobox).scene == name


def test_programs_list_the_table_of_scenes_and_the_file_is_whole(tmp_path):
    path = tmp_path / "r.gpkg"
    ReviewFile(path, "ortho.tif", NORTH)
    frame = pyogrio.read_dataframe(path, layer="scenes")
    assert frame[["scene", "width", "height"]].iloc[0].tolist() == ["ortho.tif", 300, 200]
    assert "scenes" in pyogrio.list_layers(path)[:, 0]


def test_a_scene_is_found_by_its_place_where_that_is_wished(tmp_path):
    path = tmp_path / "r.gpkg"
    ReviewFile(path, "ortho.tif", NORTH)
    ReviewFile(path, "b.tif", SOUTH)
    coarse = OTHER_PLACES["resampled"]
    assert find_scenes(path, ["ortho.tif", "c.tif"], [coarse, SOUTH]) == [None, None]
    assert find_scenes(path, ["ortho.tif"], [coarse], any_size=True) == ["ortho.tif"]
    assert find_scenes(path, ["c.tif"], [SOUTH], any_name=True) == ["b.tif"]


def hold(path, held, end):
    with locked_review(path, "here/ortho.tif", NORTH):
        held.set()
        end.wait(30)


def test_a_scene_is_reviewed_by_one_program_at_a_time(tmp_path):
    path, context = tmp_path / "r.gpkg", multiprocessing.get_context("spawn")
    held, end = context.Event(), context.Event()
    other = context.Process(target=hold, args=(path, held, end))
    other.start()
    try:
        assert held.wait(60)
        with (
            pytest.raises(
                OutputError, match=rf"ortho\.tif is being reviewed .*process {other.pid}"
            ) as caught,
            locked_review(path, "there/ortho.tif", NORTH),
        ):
            pass
        assert "Ctrl-C; it may run in another terminal" in caught.value.hint
        for name, place in (("south/ortho.tif", SOUTH), ("b.tif", NORTH)):
            with locked_review(path, name, place):
                pass
    finally:
        other.kill()
        other.join()
    with locked_review(path, "there/ortho.tif", NORTH):  # the dead process locks nothing
        pass
    assert list(tmp_path.iterdir()) == []


def test_places_are_the_same_to_half_a_pixel():
    rng = np.random.default_rng(0)
    for shift in rng.uniform(-0.4, 0.4, (20, 2)).tolist():
        near = GeoBox(300, 200, NORTH_UP @ Affine.translation(*shift), UTM)
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            database.execute(
                "CREATE TABLE gpkg_contents (table_name UNIQUE, data_type, identifier)"
            )
            assert enter_scene(database, "a/o.tif", NORTH, UTM) == "o.tif"
            assert enter_scene(database, "b/o.tif", near, UTM) == "o.tif"
