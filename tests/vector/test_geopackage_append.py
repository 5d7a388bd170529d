"""Rows are added to a GeoPackage in one transaction, beside what other programs write there."""

import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from factories_vectors import (
    SITE,
    UTM,
    check_index,
    found,
    litter,
    open_layer,
    part,
    read,
    write,
)
from pyproj import CRS

from geodet.errors import OutputError
from geodet.files import databases
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.merging.appended import drop_weaker
from geodet.vector.not_examined import NOT_EXAMINED, SkippedArea, not_examined_path
from geodet.vector.rows import Appending
from geodet.vector.stored_rows import add_geometry_functions

MODEL = "model_sha256"
SECOND = part(found(4, 9), scene="b.tif")
NEW = Appending()
DROP = Appending(drop=partial(drop_weaker, iou_threshold=0.5))


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "found.gpkg", part(found(5)))


@pytest.fixture(autouse=True)
def short_wait(monkeypatch):
    monkeypatch.setattr(databases, "_WAIT_S", 0.4)


def append(path, *parts, **options):
    appending = options.pop("appending", Appending())
    return write(path, *(parts or (SECOND,)), append=appending, **options)


def scenes(path):
    return read(path)["scene"].tolist()


# Beside other programs


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_what_another_program_commits_meanwhile_stays(path, tmp_path, mode):
    with closing(sqlite3.connect(path, isolation_level=None)) as qgis:
        qgis.execute(f"PRAGMA journal_mode = {mode}").fetchall()
        with open_layer(path, append=Appending()) as writer:
            writer.write(SECOND)
            qgis.execute("DELETE FROM detections WHERE rowid = 5")
            qgis.execute("UPDATE gpkg_contents SET description = 'seen' WHERE srs_id > 0")
        seen = qgis.execute("SELECT count(*) FROM detections").fetchone()
        about = qgis.execute("SELECT description FROM gpkg_contents").fetchall()
    assert (seen, about) == ((8,), [("seen",), ("Styles of the layers, for QGIS",)])
    assert scenes(path) == ["a.tif"] * 4 + ["b.tif"] * 4
    assert check_index(path) == "ok"
    assert not litter(tmp_path)


HOLD = """
    import sqlite3, sys
    database = sqlite3.connect(sys.argv[1], isolation_level=None)
    database.execute(f"PRAGMA journal_mode = {sys.argv[2]}").fetchall()
    database.execute("BEGIN IMMEDIATE")
    database.execute("DELETE FROM detections WHERE rowid = 1")
    print("held", flush=True)
    sys.stdin.readline()
    database.execute("COMMIT")
"""


def run_child(code, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_file_that_another_program_keeps_locked_is_left_and_the_program_named(path, mode):
    with run_child(HOLD, path, mode) as child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match=r"found\.gpkg is locked: .*has not rel") as caught:
            append(path)
        child.communicate("go\n")
    if sys.platform == "linux":
        assert f"(process {child.pid})" in str(caught.value)
    assert "QGIS" in caught.value.hint
    assert scenes(path) == ["a.tif"] * 4
    append(path)
    assert scenes(path) == ["a.tif"] * 4 + ["b.tif"] * 4


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_short_lock_is_waited_for_and_what_was_committed_stays(path, monkeypatch, caplog, mode):
    monkeypatch.setattr(databases, "_WAIT_S", 20)
    with run_child(HOLD, path, mode) as child:
        assert child.stdout.readline() == "held\n"
        timer = threading.Timer(0.3, child.communicate, ["go\n"])
        timer.start()
        append(path)
        timer.join()
    assert "waiting for another program" in caplog.text
    assert len(scenes(path)) == 8


def test_a_file_that_is_being_read_is_waited_for(path, tmp_path):
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM detections").fetchone()
        with pytest.raises(OutputError, match="is locked"):
            append(path)
        reader.execute("ROLLBACK")
        assert reader.execute("SELECT count(*) FROM detections").fetchone() == (5,)
    assert not litter(tmp_path)
    assert len(scenes(append(path))) == 9


APPEND = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from factories_vectors import found, part, write
    from geodet.vector import geopackage_append
    from geodet.vector.rows import Appending
    if sys.argv[4]:
        step = getattr(geopackage_append, sys.argv[4])
        def die(*arguments, **options):
            step(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)
        setattr(geopackage_append, sys.argv[4], die)
    write(Path(sys.argv[2]), part(found(4000, 9), scene=sys.argv[3]), append=Appending())
"""
TESTS = Path(__file__).parents[1]


def test_two_programs_that_append_at_once_both_add_their_rows(path):
    """Here they take no lock on the output, as runs of detect do: the database is enough."""
    children = [run_child(APPEND, TESTS, path, name, "") for name in ("b.tif", "c.tif", "d.tif")]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    for child in children:
        child.communicate()
    assert sorted(scenes(path)) == ["a.tif"] * 5 + [n for n in "bcd" for n in [f"{n}.tif"] * 4000]
    assert check_index(path) == "ok"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
@pytest.mark.parametrize("step", ["_insert", "_store_metadata", "add_style"])
def test_a_program_that_dies_in_the_transaction_leaves_the_rows_of_before(path, step):
    before = read(path)
    with run_child(APPEND, TESTS, path, "b.tif", step) as child:
        assert child.wait(60) == -signal.SIGKILL
    append(path, part(found(2), scene="c.tif"))
    assert read(path)[:5].equals(before)
    assert scenes(path)[5:] == ["c.tif"] * 2
    assert check_index(path) == "ok"


def test_a_file_that_may_not_be_written_to_is_refused_at_once(path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write to every file
    with pytest.raises(OutputError, match=r"found\.gpkg is read-only"):
        open_layer(path, append=Appending())


# Runs and scenes


@pytest.mark.parametrize("is_new", [True, False])
def test_a_run_that_goes_on_after_it_had_appended_does_not_append_again(tmp_path, caplog, is_new):
    path = tmp_path / "found.gpkg"
    if not is_new:
        write(path, part(found(5)))
    run = Appending(run="0a1b", scenes=("b.tif",))
    append(path, appending=run)
    count = len(read(path))
    with caplog.at_level("INFO"):
        append(path, appending=run)
    assert len(read(path)) == count
    assert "already has the rows of this run" in caplog.text
    with pytest.raises(OutputError, match=r"contains detections of b\.tif already"):
        append(path, appending=Appending(run="2c3d", scenes=("b.tif",)))


def test_a_scene_that_is_there_is_refused_before_its_rows_come(path):
    known = Appending(scenes=("x.tif", "a.tif"))
    with pytest.raises(OutputError, match=r"contains detections of a\.tif already") as caught:
        open_layer(path, append=known)
    assert "--replace-scene" in caught.value.hint
    with pytest.raises(OutputError, match=r"contains detections of a\.tif already"):
        append(path, part(found(2)))
    assert len(read(path)) == 5


def test_a_scene_is_replaced_where_asked(path, tmp_path):
    append(path)
    new = part(found(3, 7))
    append(path, new, appending=Appending(scenes=("a.tif",), replace_scenes=True))
    assert scenes(path) == ["b.tif"] * 4 + ["a.tif"] * 3
    frame = read(path)
    np.testing.assert_array_equal(frame[4:]["x1_px"], new.detections.boxes[:, 0])
    assert pyogrio.read_info(path, layer="detections")["features"] == 7
    assert check_index(path) == "ok"
    assert not litter(tmp_path)


def test_a_scene_of_which_nothing_is_replaced_is_warned_of(path, caplog):
    """Its name in the file may have a folder before it: the old rows stay."""
    appending = Appending(scenes=("a.tif", "x.tif"), replace_scenes=True)
    append(path, part(found(1), scene="x.tif"), appending=appending)
    assert "contains no rows of x.tif: nothing is replaced" in caplog.text


def test_a_replaced_scene_without_objects_is_emptied(path):
    append(path, part(found(0)), appending=Appending(scenes=("a.tif",), replace_scenes=True))
    assert len(read(path)) == 0


def left_out_of(path):
    """Return the scenes of the areas that were not examined: of the layer, and beside the file."""
    beside = not_examined_path(path)
    layer = geopandas.read_file(path, layer=NOT_EXAMINED)
    return sorted(layer["scene"]), (
        sorted(geopandas.read_file(beside)["scene"]) if beside.exists() else []
    )


def leave_out(path, one, *areas, model="m", appending=NEW):
    """Write or append a scene that a model has searched but for some areas."""
    with open_layer(path, metadata={"model_sha256": model}, append=appending) as writer:
        writer.write(one)
        window = Window(0, 0, 10, 10)
        writer.note_not_examined(
            [SkippedArea(name, one.geobox, window, "damaged") for name in areas]
        )


def test_the_areas_of_a_scene_without_rows_that_is_searched_again_are_forgotten(tmp_path):
    path = tmp_path / "found.gpkg"
    leave_out(path, SECOND, "a.tif", "x.tif")
    leave_out(path, part(found(3), scene="a.tif"))
    assert left_out_of(path) == (["x.tif"], [])
    with pytest.raises(OutputError, match=r"contains detections of a\.tif already"):
        leave_out(path, part(found(3), scene="a.tif"))
    assert left_out_of(path) == (["x.tif"], [])


@pytest.mark.parametrize("replacing", [False, True])
def test_the_areas_that_one_model_left_out_are_not_forgotten_by_another(tmp_path, replacing):
    path = tmp_path / "found.gpkg"
    leave_out(path, SECOND, "b.tif")
    again = Appending(scenes=("b.tif",), replace_scenes=replacing)
    leave_out(path, SECOND, model="n", appending=again)
    assert left_out_of(path) == (["b.tif"], [])
    again = Appending(scenes=("b.tif",), replace_scenes=True)
    leave_out(path, SECOND, appending=again)
    assert left_out_of(path) == ([], [])


def test_the_areas_beside_a_file_are_kept_by_model(tmp_path):
    path = write(tmp_path / "found.gpkg", part(found(3), scene="z.tif"))
    for model in "mn":
        leave_out(path, SECOND, "b.tif", model=model)
    again = Appending(scenes=("b.tif",), replace_scenes=True)
    leave_out(path, SECOND, model="m", appending=again)
    assert geopandas.read_file(not_examined_path(path))[MODEL].tolist() == ["n"]
    leave_out(path, SECOND, "b.tif", model="n", appending=again)
    assert geopandas.read_file(not_examined_path(path))[MODEL].tolist() == ["n"]
    leave_out(path, SECOND, model="n", appending=again)
    assert not not_examined_path(path).exists()


def test_areas_beside_a_file_of_an_earlier_version_are_those_of_any_model(path):
    leave_out(path, SECOND, "b.tif")
    beside = not_examined_path(path)
    content = json.loads(beside.read_text())
    assert content["features"][0]["properties"].pop(MODEL) == "m"
    beside.write_text(json.dumps(content))
    leave_out(path, part(found(3), scene="c.tif"), "c.tif", model="n")
    areas = geopandas.read_file(beside)
    assert areas["scene"].tolist() == ["b.tif", "c.tif"]
    assert areas[MODEL].isna().tolist() == [True, False]
    leave_out(path, SECOND, model="n")
    assert geopandas.read_file(beside)["scene"].tolist() == ["c.tif"]


# Duplicates


def boxes(*rows, scores):
    return Detections(rows, scores, np.zeros(len(rows)))


ONE = boxes((10, 10, 20, 20), (50, 50, 60, 60), (80, 80, 90, 90), scores=[0.5, 0.5, 0.5])
OTHER = boxes((10, 11, 20, 21), (50, 49, 60, 59), (200, 20, 210, 30), scores=[0.9, 0.3, 0.4])


@pytest.mark.parametrize("geometry", ["box", "centroid"])
@pytest.mark.parametrize("crs", [UTM, CRS.from_epsg(2227), SITE, CRS.from_epsg(4326)])
def test_an_object_that_both_runs_found_is_kept_once_with_the_higher_score(
    tmp_path, geometry, crs, caplog
):
    step = 1e-5 if crs.is_geographic else 0.5
    placed = {"crs": crs, "transform": Affine(step, 0, 10, 0, -step, 0.1)}
    if crs is SITE and geometry == "centroid":
        pytest.skip("the size of boxes around points is not known without a place on the ground")
    path = write(tmp_path / "found.gpkg", part(ONE, **placed), geometry=geometry)
    with caplog.at_level("INFO"):
        append(path, part(OTHER, scene="b.tif", **placed), geometry=geometry, appending=DROP)
    frame = read(path)
    expected = [("a.tif", 50), ("a.tif", 80), ("b.tif", 10), ("b.tif", 200)]
    assert list(zip(frame["scene"], frame["x1_px"], strict=True)) == expected
    assert "1 were found again with lower scores and 1 with higher" in caplog.text
    assert check_index(path) == "ok"


def test_rows_that_became_curves_are_kept_and_not_compared(tmp_path):
    path = write(tmp_path / "found.gpkg", part(ONE))
    with closing(sqlite3.connect(path)) as database:
        add_geometry_functions(database)
        database.execute("PRAGMA trusted_schema = ON")
        stored = database.execute("SELECT geom FROM detections WHERE fid = 1").fetchone()[0]
        ring = stored[-80:]
        curve = stored[:-93] + struct.pack("<BIIBII", 1, 10, 1, 1, 8, 5) + ring
        database.execute("UPDATE detections SET geom = ? WHERE fid = 1", (curve,))
        database.commit()
    append(path, part(OTHER, scene="b.tif"), appending=DROP)
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT scene, x1_px FROM detections ORDER BY fid").fetchall()
    assert rows == [("a.tif", 10), ("a.tif", 50), ("a.tif", 80), ("b.tif", 10), ("b.tif", 200)]


@pytest.mark.parametrize("typed", ["'good'", "NULL"])
def test_rows_whose_score_is_no_number_are_weaker_than_others(tmp_path, typed):
    """SQLite keeps a text in a column of numbers."""
    path = write(tmp_path / "found.gpkg", part(ONE))
    with closing(sqlite3.connect(path)) as database, database:
        add_geometry_functions(database)
        database.execute(f"UPDATE detections SET score = {typed}")
    append(path, part(OTHER, scene="b.tif"), appending=DROP)
    assert scenes(path) == ["a.tif"] + ["b.tif"] * 3
    assert check_index(path) == "ok"


def test_tilted_boxes_are_compared_by_their_own_shapes(tmp_path):
    tilted = {"transform": Affine(0.5, 0.5, 600000, 0.5, -0.5, 4000000)}
    path = write(tmp_path / "found.gpkg", part(boxes((0, 0, 40, 2), scores=[0.5]), **tilted))
    near = boxes((0, 4, 40, 6), (0, 0.3, 40, 2.3), scores=[0.9, 0.9])
    append(path, part(near, scene="b.tif", **tilted), appending=DROP)
    assert read(path)["y1_px"].tolist() == [4, 0.3]


def test_other_classes_and_rows_in_plain_pixels_are_not_compared(tmp_path):
    other = Detections(ONE.boxes, ONE.scores, np.ones(3))
    path = write(tmp_path / "a.gpkg", part(ONE))
    assert len(read(append(path, part(other, scene="b.tif"), appending=DROP))) == 6
    pixels = {"crs": None, "transform": Affine(1, 0, 0, 0, -1, 0)}
    path = write(tmp_path / "b.gpkg", part(ONE, **pixels))
    assert len(read(append(path, part(ONE, scene="b.tif", **pixels), appending=DROP))) == 6


def test_rows_of_another_model_are_neither_compared_nor_refused(tmp_path):
    first, second = {"model_sha256": "1"}, {"model_sha256": "2"}
    path = write(tmp_path / "found.gpkg", part(ONE), metadata=first)
    append(path, part(ONE), metadata=second, appending=DROP)
    assert scenes(path) == ["a.tif"] * 6
    append(path, part(found(0), scene="b.tif"), metadata=second)
    append(path, part(OTHER, scene="c.tif"), metadata=first, appending=DROP)
    assert scenes(path) == ["a.tif"] * 5 + ["c.tif"] * 2  # one of the first model's was weaker
    with pytest.raises(OutputError, match=r"of a\.tif already"):
        append(path, part(ONE), metadata=first)
    with pytest.raises(OutputError, match=r"of c\.tif already"):
        append(path, part(OTHER, scene="c.tif"), metadata=first)
    append(path, part(OTHER, scene="c.tif"), metadata=second, appending=DROP)
    assert [scenes(path).count(name) for name in ("a.tif", "c.tif")] == [4, 4]


def test_a_replaced_scene_keeps_the_rows_of_another_model(tmp_path):
    """Both have found one class in the same scene, in turn."""
    models = {name: {"model_sha256": name} for name in ("1", "2")}
    again = Appending(scenes=("a.tif",), replace_scenes=True)
    path = write(tmp_path / "found.gpkg", part(found(5)), metadata=models["1"])
    append(path, part(found(4)), metadata=models["2"])
    append(path, part(found(2), scene="b.tif"), metadata=models["1"])
    for name, count in (("1", 3), ("2", 0), ("1", 6), ("2", 1)):
        append(path, part(found(count)), metadata=models[name], appending=again)
    assert scenes(path) == ["b.tif"] * 2 + ["a.tif"] * 7
    assert check_index(path) == "ok"


def test_many_rows_in_overlapping_scenes_come_as_one_call_keeps_them(tmp_path):
    """The scenes are the same place, shifted, with objects at random."""
    rng = np.random.default_rng(5)
    low = rng.uniform(0, 900, (3000, 2))
    first = Detections(np.hstack([low, low + 12]), rng.uniform(0.1, 1, 3000), np.zeros(3000))
    again = Detections(
        first.boxes + rng.normal(0, 1, (3000, 1)), rng.uniform(0.1, 1, 3000), np.zeros(3000)
    )
    path = write(tmp_path / "found.gpkg", part(first))
    append(path, part(again, scene="b.tif"), appending=DROP)
    frame = read(path)
    shapes, names = frame.geometry.to_numpy(), frame["scene"].to_numpy()
    a, b = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    a, b = a[names[a] < names[b]], b[names[a] < names[b]]
    shared = shapely.area(shapely.intersection(shapes[a], shapes[b]))
    iou = shared / (shapely.area(shapes[a]) + shapely.area(shapes[b]) - shared)
    assert 3000 <= len(frame) < 3600
    assert iou.max() <= 0.5 + 1e-9
    assert check_index(path) == "ok"


# The file


def test_a_crs_without_a_code_gets_its_number_of_the_file(tmp_path):
    """Two files may number it differently."""
    own = CRS.from_proj4("+proj=tmerc +lat_0=10 +lon_0=20 +k=0.9 +x_0=1 +y_0=2 +datum=WGS84")
    path = write(tmp_path / "found.gpkg", part(crs=own))
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("gpkg_spatial_ref_sys", "gpkg_geometry_columns", "gpkg_contents"):
            database.execute(f"UPDATE {table} SET srs_id = 123456 WHERE srs_id > 99999")
        blobs = database.execute("SELECT rowid, geom FROM detections").fetchall()
        for trigger in ("update1", "update2", "update3", "update4"):
            database.execute(f"DROP TRIGGER rtree_detections_geom_{trigger}")
        for row, blob in blobs:
            changed = blob[:4] + (123456).to_bytes(4, "little") + blob[8:]
            database.execute("UPDATE detections SET geom = ? WHERE rowid = ?", (changed, row))
    append(path, part(crs=own, scene="b.tif"))
    with closing(sqlite3.connect(path)) as database:
        numbers = {blob[4:8] for (blob,) in database.execute("SELECT geom FROM detections")}
    assert numbers == {(123456).to_bytes(4, "little")}


def test_appending_through_a_link_keeps_the_link(path, tmp_path):
    link = tmp_path / "link.gpkg"
    link.symlink_to(path)
    append(link)
    assert link.is_symlink()
    assert len(read(path)) == 9


@pytest.mark.parametrize("geometry", ["box", "centroid"])
def test_the_file_is_what_one_call_would_have_written(tmp_path, geometry):
    about = {"metadata": {"model_sha256": "1", "software": "geodet"}, "geometry": geometry}
    both = write(tmp_path / "both.gpkg", part(), SECOND, **about)
    path = append(write(tmp_path / "found.gpkg", part(), **about), **about)
    assert read(path).equals(read(both))
    infos = [pyogrio.read_info(one, layer="detections") for one in (path, both)]
    np.testing.assert_equal(*infos)


@pytest.mark.parametrize("rule", [{}, {"drop": DROP.drop}, {"replace_scenes": True}])
def test_no_rows_can_be_added(path, rule):
    before = read(path)
    append(path, part(found(0), scene="b.tif"), appending=Appending(**rule))
    assert read(path).equals(before)
