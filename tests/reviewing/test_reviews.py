"""Files of reviews: written at once, whole, and readable by others."""

import contextlib
import sqlite3
import subprocess
import sys

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from factories_rasters import NORTH_UP, TURNED
from full_disk import largest_file
from pyproj import CRS
from shapely import box

from geodet.errors import OutputError
from geodet.files.outputs import check_destination
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.reviewing.reviewed_items import ReviewedObject, ReviewedWindow, bounds_of_oriented
from geodet.reviewing.reviews import ReviewFile, check_review_layers, check_reviews

UTM = CRS.from_epsg(32633)
PLACE = GeoBox(300, 200, NORTH_UP, UTM)


def one(file, verdict="accepted", source=3, sides=(10.0, 20.0, 30.5, 40.25), label="tree"):
    score = None if source is None else 0.75
    return ReviewedObject(file.take_id(), source, verdict, label, score, sides)


def test_decisions_are_there_when_the_file_is_opened_again(tmp_path):
    path = tmp_path / "reviews.gpkg"
    file = ReviewFile(path, "a.tif", PLACE, origin="x")
    kept = [one(file), one(file, "rejected", 4), one(file, "added", None, label="palm")]
    window = ReviewedWindow(file.take_id(), Window(0, 0, 128, 64))
    file.replace([], [*kept, window])
    file.replace([kept[0]], [])
    again = ReviewFile(path, "a.tif", PLACE, origin="x")
    assert set(again.objects.values()) == set(kept[1:])
    assert list(again.windows.values()) == [window]
    assert again.take_id() > window.id


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED])
def test_geopandas_reads_the_objects_where_they_lie(tmp_path, transform):
    geobox = GeoBox(300, 200, transform, UTM)
    file = ReviewFile(tmp_path / "reviews.gpkg", "a.tif", geobox)
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 150, (30, 2))
    boxes = np.hstack([low, low + rng.uniform(1, 50, (30, 2))])
    file.replace([], [one(file, "added", None, tuple(sides)) for sides in boxes.tolist()])
    frame = geopandas.read_file(tmp_path / "reviews.gpkg", layer="labels")
    assert frame.crs == UTM
    found = shapely.get_coordinates(frame.geometry.to_numpy()).reshape(30, 5, 2)
    np.testing.assert_array_equal(found[:, :4], geobox.corners(boxes))


def test_an_oriented_object_is_a_rectangle_and_comes_back(tmp_path):
    turned = (100.0, 80.0, 40.0, 10.0, 0.5)
    path = tmp_path / "r.gpkg"
    file = ReviewFile(path, "a.tif", PLACE)
    kept = ReviewedObject(
        file.take_id(), 3, "accepted", "ship", 0.5, bounds_of_oriented(turned), turned
    )
    file.replace([], [kept, one(file, "added", None)])
    frame = geopandas.read_file(path, layer="labels")
    found = shapely.get_coordinates(frame.geometry.to_numpy()[:1])[:4]
    np.testing.assert_allclose(found, PLACE.to_world(kept.corners_px))
    assert frame["length_px"].tolist()[0] == 40
    assert np.isnan(frame["length_px"].tolist()[1])
    again, drawn = ReviewFile(path, "a.tif", PLACE).objects.values()
    assert again.oriented_px == pytest.approx(turned)
    assert drawn.oriented_px is None


def test_layers_say_what_became_of_an_object(tmp_path):
    file = ReviewFile(tmp_path / "r.gpkg", "a.tif", PLACE)
    verdicts = ("accepted", "changed", "added", "rejected")
    file.replace([], [one(file, verdict, number) for number, verdict in enumerate(verdicts)])
    labels = geopandas.read_file(tmp_path / "r.gpkg", layer="labels")
    assert labels["verdict"].tolist() == ["accepted", "changed", "added"]
    assert labels["label"].tolist() == ["tree"] * 3
    assert len(geopandas.read_file(tmp_path / "r.gpkg", layer="rejected")) == 1
    assert pyogrio.read_info(tmp_path / "r.gpkg", layer="labels")["features"] == 3


def test_a_scene_without_a_crs_is_in_its_own_pixels(tmp_path):
    geobox = GeoBox(300, 200, Affine(1, 0, 0, 0, -1, 0), None)
    file = ReviewFile(tmp_path / "r.gpkg", "photo.jpg", geobox)
    file.replace([], [one(file, "added", None, (10, 20, 30, 40))])
    layer = pyogrio.read_dataframe(tmp_path / "r.gpkg", layer="labels")
    assert layer.geometry[0].bounds == (10, -40, 30, -20)
    assert len(ReviewFile(tmp_path / "r.gpkg", "photo.jpg", geobox).objects) == 1


def test_scenes_share_a_file_and_keep_their_own(tmp_path):
    path = tmp_path / "r.gpkg"
    first = ReviewFile(path, "a.tif", PLACE, origin="x")
    first.replace([], [one(first)])
    second = ReviewFile(path, "b.tif", PLACE, origin="y")
    assert second.objects == {}
    second.replace([], [one(second, label="palm")])
    again = ReviewFile(path, "a.tif", PLACE, origin="x")
    assert [each.label for each in again.objects.values()] == ["tree"]


def test_two_programs_may_review_two_scenes_in_one_file(tmp_path):
    path = tmp_path / "reviews.gpkg"
    files = [ReviewFile(path, name, PLACE) for name in ("a.tif", "b.tif")]
    taken = []
    for column in (0, 64, 128):
        new = [one(file, "added", None) for file in files]
        windows = [ReviewedWindow(file.take_id(), Window(column, 0, 64, 64)) for file in files]
        for file, added, window in zip(files, new, windows, strict=True):
            file.replace([], [added, window])
        taken += [item.id for item in (*new, *windows)]
    files[0].replace([*files[0].objects.values()], [])
    assert len({*taken, files[1].take_id(), files[0].take_id()}) == len(taken) + 2
    assert len(geopandas.read_file(path, layer="labels")) == 3


def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "r.gpkg"
    file = ReviewFile(path, "a.tif", PLACE)
    kept = one(file)
    file.replace([], [kept])
    with pytest.raises(OutputError, match="cannot write reviews"):
        file.replace([kept], [one(file), kept, kept])
    assert file.objects == {kept.id: kept}
    assert set(ReviewFile(path, "a.tif", PLACE).objects.values()) == {kept}


def test_two_programs_on_one_scene_decide_nothing_twice(tmp_path):
    path = tmp_path / "r.gpkg"
    files = [ReviewFile(path, "a.tif", PLACE) for _ in range(2)]
    accepted = one(files[0])
    done = ReviewedWindow(files[0].take_id(), Window(0, 0, 64, 64))
    files[0].replace([], [accepted, done])
    for new in (one(files[1], "rejected"), ReviewedWindow(files[1].take_id(), done.window)):
        with pytest.raises(OutputError, match=r"another program has changed .* a\.tif") as caught:
            files[1].replace([], [new])
        assert "start it again" in caught.value.hint
    again = ReviewFile(path, "a.tif", PLACE)
    assert (again.objects, again.windows) == ({accepted.id: accepted}, {done.id: done})
    again.replace([accepted], [one(again, "rejected")])
    with pytest.raises(OutputError, match="another program has changed"):
        files[0].replace([accepted], [one(files[0], "changed")])
    assert [found.verdict for found in ReviewFile(path, "a.tif", PLACE).objects.values()] == [
        "rejected"
    ]


def test_a_full_disk_is_said_with_the_free_space(tmp_path):
    path = tmp_path / "r.gpkg"
    file = ReviewFile(path, "a.tif", PLACE)
    many = [one(file, source=number) for number in range(300)]
    with (
        largest_file(path.stat().st_size),
        pytest.raises(OutputError, match="cannot write reviews to") as caught,
    ):
        file.replace([], many)
    assert caught.value.hint == f"check the free space and the permissions of {tmp_path}"
    assert ReviewFile(path, "a.tif", PLACE).objects == {}


def test_a_file_that_another_program_writes_to_is_said_to_be_locked(tmp_path, monkeypatch):
    path = tmp_path / "r.gpkg"
    file = ReviewFile(path, "a.tif", PLACE)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k | {"timeout": 0}))
    with contextlib.closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutputError, match="cannot write reviews to") as caught:
            file.take_id()
    assert "QGIS" in caught.value.hint


def test_reviews_of_other_detections_are_refused(tmp_path):
    path = tmp_path / "r.gpkg"
    file = ReviewFile(path, "a.tif", PLACE, origin="x")
    file.replace([], [one(file)])
    with pytest.raises(OutputError, match=r"other detections of a\.tif"):
        ReviewFile(path, "a.tif", PLACE, origin="y")


def test_a_scene_in_another_crs_is_reviewed_in_that_of_the_file(tmp_path):
    path, geobox = tmp_path / "r.gpkg", GeoBox(300, 200, NORTH_UP, CRS.from_epsg(32634))
    ReviewFile(path, "a.tif", PLACE)
    file = ReviewFile(path, "b.tif", geobox)
    file.replace([], [one(file, "added", None, (10, 20, 30, 40))])
    frame = geopandas.read_file(path, layer="labels")
    assert frame.crs == UTM
    found = shapely.get_coordinates(frame.to_crs(32634).geometry.to_numpy())[:4]
    np.testing.assert_allclose(found, geobox.corners(np.array([[10, 20, 30, 40.0]]))[0], atol=1e-4)
    (again,) = ReviewFile(path, "b.tif", geobox).objects.values()
    assert again.box_px == (10, 20, 30, 40)


def test_a_scene_without_a_place_in_the_crs_of_the_reviews_is_refused(tmp_path):
    path = tmp_path / "r.gpkg"
    ReviewFile(path, "a.tif", PLACE)
    moon = CRS.from_user_input("+proj=longlat +R=1737400 +no_defs")
    with pytest.raises(OutputError, match="UTM zone 33N, and the scene in"):
        ReviewFile(path, "a.tif", GeoBox(300, 200, NORTH_UP, moon))
    with pytest.raises(OutputError, match="the scene in no CRS"):
        ReviewFile(path, "a.tif", GeoBox(300, 200, NORTH_UP, None))


def test_another_file_is_refused_and_stays(tmp_path):
    path = tmp_path / "found.gpkg"
    geopandas.GeoDataFrame({"label": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=UTM).to_file(path)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="is not a file of reviews"):
        ReviewFile(path, "a.tif", PLACE)
    assert path.read_bytes() == before
    (tmp_path / "text.gpkg").write_text("no database")
    with pytest.raises(OutputError, match="is not a file of reviews"):
        ReviewFile(tmp_path / "text.gpkg", "a.tif", PLACE)


def test_the_detections_are_never_written_to(tmp_path):
    with pytest.raises(OutputError, match=r"found\.gpkg"):
        check_reviews(tmp_path / "found.gpkg", [tmp_path / "found.gpkg"])
    with pytest.raises(OutputError, match="cannot tell the format"):
        check_reviews(tmp_path / "reviews.geojson", [])


@pytest.mark.parametrize("overwrite", [False, True])
def test_no_output_replaces_decisions(tmp_path, overwrite):
    path = tmp_path / "reviews.gpkg"
    file = ReviewFile(path, "a.tif", PLACE)
    check_destination(path, (".gpkg",), overwrite=True)  # nothing is decided yet
    window = ReviewedWindow(file.take_id(), Window(0, 0, 128, 64))
    file.replace([], [one(file), one(file, "added", None), one(file, "rejected", 4), window])
    counts = "2 labels, 1 rejected object, 1 reviewed window"
    with pytest.raises(
        OutputError, match=rf"reviews\.gpkg contains .* review, .*: {counts}"
    ) as caught:
        check_destination(path, (".gpkg",), overwrite=overwrite)
    for way_out in ("another output", "move or delete", f"--reviewed {path}"):
        assert way_out in caught.value.hint
    check_reviews(path, [])  # is changed in place


def test_an_object_that_was_drawn_in_another_program_is_a_decision(tmp_path):
    path = tmp_path / "reviews.gpkg"
    ReviewFile(path, "a.tif", PLACE)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO labels (label) VALUES ('tree')")
    with pytest.raises(OutputError, match=r": 1 label\n"):
        check_destination(path, (".gpkg",), overwrite=True)


def test_the_database_is_whole(tmp_path):
    path = tmp_path / "r.gpkg"
    file = ReviewFile(path, "a.tif", PLACE)
    file.replace([], [one(file) for _ in range(50)])
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM labels").fetchone() == (50,)


LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_file_that_another_program_has_locked_is_said_to_be_locked(tmp_path):
    path = tmp_path / "r.gpkg"
    ReviewFile(path, "a.tif", PLACE)
    command = [sys.executable, "-c", LOCK, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        match = r"r\.gpkg: another program has locked it"
        with pytest.raises(OutputError, match=match) as refused:
            check_review_layers(path, PLACE)
        other.stdin.close()
    assert refused.value.hint.startswith("save the edits and close it in other programs")
