"""Suggested windows: where they lie, who understands them, and what is refused."""

import contextlib
import logging
import sqlite3

import numpy as np
import pyogrio
import pytest
from cli_runner import invoke_fixture  # noqa: F401 - a fixture
from edited_reviews import draw
from factories_models import detections

from geodet.api.detect_frames import detect
from geodet.api.suggestions import suggest
from geodet.errors import ConfigError, OutputError, SceneError, VectorError
from geodet.geometry.windows import Window
from geodet.raster.scene import Scene
from geodet.raster.scene_names import slashed_path
from geodet.reviewing.reviewed_items import ReviewedObject, ReviewedWindow
from geodet.reviewing.reviews import ReviewFile
from geodet.reviewing.suggested_windows import read_reviewed_windows, read_suggestions
from geodet.suggesting.searched_windows import _turn, _turn_back
from geodet.suggesting.suggest import WINDOW_SIDE
from geodet.viewer.review_desk import WINDOW_PX

SMALL = {"chip_size": 32, "device": "cpu"}
NO_SPLIT = ("--set", "tile.val_fraction=0")
OBJECTS = [(x, y, x + 8, y + 8) for x in (6, 40, 72) for y in (6, 44)]


def rows(path, layer="suggestions"):
    return pyogrio.read_dataframe(path, layer=layer)


@pytest.mark.parametrize("rule", ["uncertainty", "disagreement", "rarity"])
def test_windows_lie_apart_and_where_their_pixels_say(rule, make_scene, tiny_model, tmp_path):
    scene = make_scene(width=128, height=96, objects=OBJECTS, rotation=20)
    report = suggest(scene, tmp_path / "s.gpkg", tiny_model, budget=3, by=rule, **SMALL)
    assert report.candidates == 12
    written = rows(tmp_path / "s.gpkg")
    assert written["rank"].tolist() == [1, 2, 3]
    assert written["reason"].tolist() == [one.reason for one in report.windows]
    with Scene(scene) as raster:
        for row, one in zip(written.itertuples(), report.windows, strict=True):
            expected = raster.geobox.crop(one.window).corners(np.array([[0, 0, 32, 32.0]]))[0]
            corners = np.array(row.geometry.exterior.coords)[:4]
            np.testing.assert_allclose(corners, expected, atol=1e-6)
    places = np.array([(one.window.col_off, one.window.row_off) for one in report.windows])
    apart = np.abs(places[:, None] - places[None]).max(axis=-1)
    assert (apart[~np.eye(3, dtype=bool)] > 32).all()


def test_the_same_call_writes_the_same_windows(make_scene, tiny_model, tmp_path):
    scene = make_scene(objects=OBJECTS)
    first, second = (
        suggest(scene, tmp_path / f"{n}.gpkg", tiny_model, budget=2, settings=batch, **SMALL)
        for n, batch in enumerate(({"detect.batch_size": 1}, {"detect.batch_size": 3}))
    )
    assert [one.window for one in first.windows] == [one.window for one in second.windows]


def test_windows_without_data_are_not_suggested(make_scene, tiny_model, tmp_path):
    scene = make_scene(width=96, height=64, nodata=0, holes=[(0, 0, 64, 64)])
    report = suggest(scene, tmp_path / "s.gpkg", tiny_model, budget=9, **SMALL)
    assert {one.window.col_off for one in report.windows} == {64}


def test_only_the_area_of_interest_is_searched(make_scene, tiny_model, tmp_path):
    scene = make_scene(width=96, height=96, pixel_size=0.6, origin=(0.0, 57.6))
    area = (0.0, 38.5, 19.0, 57.6)
    report = suggest(scene, tmp_path / "s.gpkg", tiny_model, bounds=area, budget=9, **SMALL)
    assert [one.window for one in report.windows] == [Window(0, 0, 32, 32)]


def test_a_review_walks_through_the_suggestions_and_tiles_are_cut_of_what_is_done(
    make_scene, make_model, tmp_path, invoke
):
    tiny_model = make_model()
    scene = make_scene(width=128, height=96, objects=OBJECTS)
    path = tmp_path / "s.gpkg"
    report = suggest(scene, path, tiny_model, budget=2, **SMALL)
    with Scene(scene) as raster:
        file = ReviewFile(path, raster.name, raster.geobox)
    assert [one.window for one in read_suggestions(path, "scene.tif", raster.geobox)] == [
        one.window for one in report.windows
    ]
    assert read_suggestions(path, "other.tif", raster.geobox) == []
    window = report.windows[0].window
    box = (window.col_off + 4.0, window.row_off + 4.0, window.col_off + 12.0, window.row_off + 12.0)
    drawn = ReviewedObject(file.take_id(), None, "added", "tree", None, box)
    file.replace([], [drawn, ReviewedWindow(file.take_id(), window)])
    assert read_reviewed_windows(path, ["scene.tif"], [raster.geobox]) == [[window]]
    invoke(
        "tile", scene, "--reviews", path, "-o", tmp_path / "tiles", "--chip-size", "32", *NO_SPLIT
    )
    for command in ("suggest", "detect"):
        kept = invoke(command, scene, "-m", tiny_model, "-o", path, "--overwrite", code=1)
        assert "1 label, 1 reviewed window" in kept.stderr
    more = suggest(scene, tmp_path / "more.gpkg", tiny_model, budget=99, reviewed=path, **SMALL)
    assert window not in [one.window for one in more.windows]
    assert len(more.windows) == 11
    assert sum(1 for _ in (tmp_path / "tiles").rglob("*.tif")) == 1


def test_reviewed_windows_are_those_of_the_scene_at_their_place(make_scene, tiny_model, tmp_path):
    """Scenes of one file name lie in two folders; both are reviewed, each in one of its windows."""
    scenes, path = [], tmp_path / "r.gpkg"
    for number, folder in enumerate(("north", "south")):
        (tmp_path / folder).mkdir()
        origin = (500_000.0, 4_500_000.0 - 200 * number)
        scene = make_scene(f"{folder}/ortho.tif", width=64, height=32, origin=origin, seed=number)
        with Scene(scene) as raster:
            file = ReviewFile(path, slashed_path(str(scene)), raster.geobox)
        file.replace([], [ReviewedWindow(file.take_id(), Window(32 * number, 0, 32, 32))])
        scenes.append(scene)
    for given in (scenes, scenes[1:]):
        output = tmp_path / f"{len(given)}.gpkg"
        report = suggest(given, output, tiny_model, budget=9, reviewed=path, **SMALL)
        left = [Window(32, 0, 32, 32), Window(0, 0, 32, 32)][-len(given) :]
        assert [one.window for one in sorted(report.windows, key=lambda one: one.scene)] == left


def test_detections_in_a_file_suggest_the_windows_that_the_network_would(
    make_scene, tiny_model, tmp_path, caplog
):
    scene = make_scene(width=64, height=32, objects=[(8, 8, 16, 16)])
    low = {"score_threshold": 0.01}
    detect(scene, tiny_model, tmp_path / "low.gpkg", device="cpu", **low)
    detect(scene, tiny_model, tmp_path / "low.parquet", device="cpu", **low)
    windows = {
        suffix: suggest(
            scene,
            tmp_path / f"{suffix}.gpkg",
            tiny_model,
            budget=1,
            detections=tmp_path / f"low.{suffix}",
            **SMALL,
        ).windows
        for suffix in ("gpkg", "parquet")
    }
    assert windows["gpkg"] == windows["parquet"]
    assert "threshold" not in caplog.text
    detect(scene, tiny_model, tmp_path / "usual.gpkg", device="cpu")
    with caplog.at_level(logging.WARNING):
        usual = tmp_path / "usual.gpkg"
        suggest(scene, tmp_path / "u.gpkg", tiny_model, budget=1, detections=usual, **SMALL)
    assert "detect with --score-threshold" in caplog.text


def test_chips_of_a_folder_are_windows(make_scene, tiny_model, tmp_path):
    (tmp_path / "chips").mkdir()
    for number in range(4):
        origin = (500_000.0 + 200 * number, 4_500_000.0)
        make_scene(f"chips/{number}.tif", width=32, height=32, origin=origin, seed=number)
    report = suggest(tmp_path / "chips", tmp_path / "s.gpkg", tiny_model, budget=2, **SMALL)
    assert report.candidates == 4
    assert {one.window for one in report.windows} == {Window(0, 0, 32, 32)}
    assert len({one.scene for one in report.windows}) == 2


def test_scenes_of_two_crss_are_reviewed_and_cut_in_one_file(
    make_scene, make_model, tmp_path, invoke
):
    size = {"width": 64, "height": 32}
    scenes = [make_scene(f"{n}.tif", epsg=n, seed=n, **size) for n in (32633, 32634)]
    path = tmp_path / "s.gpkg"
    report = suggest(scenes, path, make_model(), budget=4, **SMALL)
    assert rows(path).crs.to_epsg() == 32633
    for epsg, scene in zip((32633, 32634), scenes, strict=True):
        with Scene(scene) as raster:
            ends = raster.geobox.corners(np.array([[0, 0, 64, 32.0]]))[0]
            shown = rows(path).query("scene == @raster.name").to_crs(epsg).total_bounds
            np.testing.assert_allclose(shown, [*ends.min(0), *ends.max(0)], atol=1e-3)
            file = ReviewFile(path, raster.name, raster.geobox)
            windows = [one.window for one in report.windows if one.scene == raster.name]
        drawn = ReviewedObject(file.take_id(), None, "added", "tree", None, (8, 8, 20, 20))
        file.replace([], [drawn, *(ReviewedWindow(file.take_id(), one) for one in windows)])
    tiles = tmp_path / "tiles"
    invoke("tile", *scenes, "--reviews", path, "-o", tiles, "--chip-size", "32", *NO_SPLIT)
    assert (
        sum(1 for _ in tiles.rglob("*.tif")) == 4
    )  # two windows of each scene, also the one without


def test_a_scene_that_cannot_be_read_is_left_out_unless_it_is_the_only_one(
    make_scene, tiny_model, tmp_path
):
    make_scene("good.tif")
    (tmp_path / "broken.tif").write_bytes(b"no raster")
    both = [tmp_path / "broken.tif", tmp_path / "good.tif"]
    report = suggest(both, tmp_path / "s.gpkg", tiny_model, budget=1, **SMALL)
    assert list(report.failed) == ["broken.tif"]
    with pytest.raises(SceneError, match="broken"):
        suggest(both[0], tmp_path / "t.gpkg", tiny_model, budget=1, **SMALL)
    assert not (tmp_path / "t.gpkg").exists()


def test_what_cannot_be_suggested_is_refused_with_a_hint(make_scene, tiny_model, tmp_path):
    scene, path = make_scene(), tmp_path / "s.gpkg"
    with pytest.raises(ConfigError, match="budget is 0"):
        suggest(scene, path, tiny_model, budget=0)
    with pytest.raises(ConfigError, match="disagreement cannot be computed"):
        suggest(scene, path, tiny_model, by="disagreement", detections=scene)
    path.write_bytes(b"kept")
    with pytest.raises(OutputError, match="exists already"):
        suggest(scene, path, tiny_model)
    assert path.read_bytes() == b"kept"
    other = make_scene("other.tif", epsg=None)
    with pytest.raises(OutputError, match="1 of 2 scenes have no CRS"):
        suggest([scene, other], tmp_path / "t.gpkg", tiny_model)
    (tmp_path / "none.gpkg").write_bytes(b"no database" * 99)
    with pytest.raises(VectorError, match="cannot read the layer windows"):
        suggest(scene, tmp_path / "t.gpkg", tiny_model, reviewed=tmp_path / "none.gpkg")
    detect(scene, tiny_model, tmp_path / "found.gpkg", device="cpu")
    with pytest.raises(VectorError, match="is not a file of reviews"):
        suggest(scene, tmp_path / "t.gpkg", tiny_model, reviewed=tmp_path / "found.gpkg")
    labels = tmp_path / "labels.csv"
    labels.write_text("label,score,scene,x1_px,y1_px,x2_px,y2_px\ntree,0.5,elsewhere.tif,0,0,9,9\n")
    with pytest.raises(VectorError, match="has no detections in"):
        suggest(scene, tmp_path / "t.gpkg", tiny_model, detections=labels)


def test_the_command_prints_the_windows(make_scene, make_model, tmp_path, invoke):
    scene, path = make_scene(objects=OBJECTS), tmp_path / "s.gpkg"
    options = ("-o", path, "--budget", "1", "--chip-size", "32")
    said = invoke("suggest", scene, "-m", make_model(), *options)
    assert "scene.tif at" in said.stdout
    assert "near the threshold" in said.stdout


def test_a_turned_chip_is_turned_back(make_scene):
    with Scene(make_scene(width=40, height=32)) as scene:
        chip = scene.read(Window(0, 0, 40, 32))
    twice = _turn(_turn(chip))
    np.testing.assert_array_equal(twice.pixels, chip.pixels)
    found = detections([(3, 5, 10, 9)])
    back = _turn_back(_turn_back(found, 40, 32), 40, 32)
    np.testing.assert_allclose(back.boxes, found.boxes)
    np.testing.assert_allclose(_turn_back(found, 40, 32).boxes, [[30, 23, 37, 27]])


def test_windows_are_as_large_as_those_of_the_page():
    assert WINDOW_SIDE == WINDOW_PX


@pytest.mark.parametrize("columns", [{}, {"scene": "a.tif"}])
def test_windows_that_were_drawn_in_qgis_are_reviewed(make_scene, tiny_model, tmp_path, columns):
    scene, path = make_scene("a.tif", width=64, height=32), tmp_path / "r.gpkg"
    other = make_scene("b.tif", width=32, height=32, origin=(510_000.0, 4_500_000.0))
    with Scene(scene) as raster:
        ReviewFile(path, "a.tif", raster.geobox)
        draw(path, "windows", raster.geobox, [(32.2, 0, 64, 31.8)], **columns)
    report = suggest(
        [scene, other], tmp_path / "s.gpkg", tiny_model, budget=9, reviewed=path, **SMALL
    )
    assert sorted((one.scene, one.window) for one in report.windows) == [
        ("a.tif", Window(0, 0, 32, 32)),
        ("b.tif", Window(0, 0, 32, 32)),
    ]


def test_a_reviewed_window_without_a_place_is_named(make_scene, tiny_model, tmp_path):
    scene, path = make_scene(), tmp_path / "r.gpkg"
    with Scene(scene) as raster:
        ReviewFile(path, raster.name, raster.geobox)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO windows (fid, scene) VALUES (7, 'scene.tif')")
    with pytest.raises(VectorError, match="row with fid 7 of the layer windows has no place"):
        suggest(scene, tmp_path / "s.gpkg", tiny_model, budget=1, reviewed=path, **SMALL)
