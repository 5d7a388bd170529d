"""What a file of reviews holds."""

import contextlib
import sqlite3

import geopandas
from cli_runner import invoke_fixture  # noqa: F401 - a fixture
from edited_reviews import draw, edit
from shapely import Point
from shapely.affinity import translate

from geodet.api.summaries import info
from geodet.geometry.windows import Window
from geodet.raster.scene import Scene
from geodet.reviewing.review_summary import is_review_file
from geodet.reviewing.reviewed_items import ReviewedObject, ReviewedWindow
from geodet.reviewing.reviews import ReviewFile
from geodet.reviewing.suggested_windows import SuggestedWindow, read_suggestions, write_suggestions

WINDOWS = [Window(0, 0, 32, 32), Window(32, 32, 32, 32), Window(64, 0, 32, 32)]


def suggest(path, scene):
    """Write a file that suggests three windows."""
    with Scene(scene) as raster:
        geobox = raster.geobox
    rows = [SuggestedWindow("scene.tif", one, 1.0, 2, "two objects") for one in WINDOWS]
    write_suggestions(path, rows, {"scene.tif": geobox}, geobox.crs)
    return ReviewFile(path, "scene.tif", geobox)


def test_a_file_of_suggestions_is_described(make_scene, tmp_path, invoke):
    path = tmp_path / "s.gpkg"
    suggest(path, make_scene())
    about = info(path)
    assert (about.suggested, about.suggested_reviewed, about.reviewed) == (3, 0, 0)
    assert (about.scenes, about.crs) == ({"scene.tif": 3}, "EPSG:32633")
    printed = invoke("info", "s.gpkg").stdout
    assert "3 windows, 0 reviewed" in printed
    assert "nothing yet" in printed


def test_decisions_are_counted(make_scene, tmp_path, invoke):
    path = tmp_path / "s.gpkg"
    file = suggest(path, make_scene())
    verdicts = [("accepted", "tree"), ("accepted", "palm"), ("added", "tree"), ("rejected", "tree")]
    boxes = [
        ReviewedObject(file.take_id(), number, verdict, label, 0.5, (1.0, 1.0, 9.0, 9.0))
        for number, (verdict, label) in enumerate(verdicts)
    ]
    # One that was suggested, and one that was not.
    done = [ReviewedWindow(file.take_id(), one) for one in (WINDOWS[1], Window(5, 5, 20, 20))]
    file.replace([], [*boxes, *done])
    about = info(path)
    assert (about.suggested, about.suggested_reviewed, about.reviewed) == (3, 1, 2)
    assert about.verdicts == {"accepted": 2, "added": 1, "rejected": 1}
    assert about.classes == {"tree": 2, "palm": 1}
    assert (about.scenes, about.objects) == ({"scene.tif": 4}, 4)
    printed = invoke("info", "s.gpkg").stdout
    assert "3 windows, 1 reviewed" in printed
    assert "2 windows, 4 objects" in printed
    assert "accepted 2, added 1, rejected 1" in printed


def test_what_was_drawn_in_qgis_is_counted(make_scene, tmp_path, invoke):
    path, scene = tmp_path / "s.gpkg", make_scene()
    with Scene(scene) as raster:
        geobox = raster.geobox
    suggest(path, scene)
    draw(path, "windows", geobox, [(0, 0, 9, 9), (9, 0, 18, 9)])
    draw(path, "windows", geobox, [(18, 0, 27, 9)], scene="scene.tif")
    draw(path, "labels", geobox, [(1, 1, 5, 5), (11, 1, 15, 5)], label="tree")
    about = info(path)
    assert (about.suggested, about.suggested_reviewed, about.reviewed) == (3, 0, 3)
    assert about.verdicts == {"added": 2}
    assert about.classes == {"tree": 2}
    assert about.scenes == {"scene.tif": 4, "not named": 2}
    assert "added 2" in invoke("info", "s.gpkg").stdout


def test_windows_that_were_moved_or_copied_in_qgis_are_counted_where_they_lie(make_scene, tmp_path):
    path = tmp_path / "s.gpkg"
    file = suggest(path, make_scene())
    edit(path, "suggestions", 1, lambda shape: translate(shape, 24.1))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        columns = "rank, value, reason, objects, scene, col_off, row_off, width, height"
        copied = f"geom, {columns} FROM suggestions WHERE fid = 2"
        database.execute(f"INSERT INTO suggestions (geom, {columns}) SELECT {copied}")
    edit(path, "suggestions", 4, lambda shape: translate(shape, -18, 6))
    with Scene(tmp_path / "scene.tif") as raster:
        moved = read_suggestions(path, file.scene, raster.geobox)
    assert len(moved) == 4
    file.replace([], [ReviewedWindow(file.take_id(), one.window) for one in moved])
    about = info(path)
    assert (about.suggested, about.suggested_reviewed, about.reviewed) == (4, 4, 4)
    assert about.scenes == {"scene.tif": 4}


def test_only_a_geopackage_with_all_layers_is_a_file_of_reviews(make_scene, tmp_path):
    suggest(tmp_path / "s.gpkg", make_scene())
    assert is_review_file(str(tmp_path / "s.gpkg"))
    assert not is_review_file(f"{tmp_path / 's.gpkg'}|layername=labels")
    geopandas.GeoDataFrame(geometry=[Point(1, 2)], crs=4326).to_file(
        tmp_path / "o.gpkg", layer="labels"
    )
    (tmp_path / "b.gpkg").write_bytes(b"no database" * 99)
    for name in ("o.gpkg", "b.gpkg", "none.gpkg"):
        assert not is_review_file(str(tmp_path / name))
