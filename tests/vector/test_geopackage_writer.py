import sqlite3
from contextlib import closing

import numpy as np
import pyogrio
import pytest
from affine import Affine
from factories_vectors import (
    CLASSES,
    UTM,
    check_index,
    found,
    litter,
    open_layer,
    part,
    read,
    write,
    write_layer,
)
from pyproj import CRS

from geodet.errors import OutputError
from geodet.vector.rows import Appending
from geodet.vector.styles import style_classes
from geodet.vector.write_detections import check_output


def styles(path):
    with closing(sqlite3.connect(path)) as database:
        return database.execute(
            "SELECT f_table_name, f_geometry_column, styleQML FROM layer_styles"
        ).fetchall()


def test_appended_rows_follow_the_existing_ones(tmp_path):
    path = write(tmp_path / "found.gpkg", part(found(400, 1)))
    write(
        path,
        part(found(300, 2), scene="b.tif"),
        part(found(0, 3), scene="c.tif"),
        append=Appending(),
    )
    frame = read(path)
    expected = np.concatenate([found(400, 1).boxes, found(300, 2).boxes])
    np.testing.assert_array_equal(frame[["x1_px", "y1_px", "x2_px", "y2_px"]], expected)
    assert frame["scene"].tolist() == ["a.tif"] * 400 + ["b.tif"] * 300
    info = pyogrio.read_info(path, layer="detections")
    assert info["features"] == 700
    np.testing.assert_allclose(info["total_bounds"], frame.total_bounds, rtol=1e-15)
    assert check_index(path) == "ok"
    assert not litter(tmp_path)


def schema(path):
    with closing(sqlite3.connect(path)) as database:
        return set(database.execute("SELECT type, name, sql FROM sqlite_master").fetchall())


def test_metadata_added_at_the_end_are_kept_and_the_index_stays_valid(tmp_path):
    path = tmp_path / "found.gpkg"
    for run in (0, 1):
        with open_layer(
            path, metadata={"model": "m"}, append=Appending() if run else None
        ) as writer:
            writer.write(part(found(100, run), scene=f"s{run}.tif"))
            writer.annotate({"scenes left out": f"{run}.tif"})
    info = pyogrio.read_info(path, layer="detections")
    left_out = {"scenes left out": "0.tif", "scenes left out 2": "1.tif"}
    assert info["layer_metadata"] == {"model": "m"} | left_out
    assert (info["features"], len(read(path)), check_index(path)) == (200, 200, "ok")
    plain = write(tmp_path / "plain.gpkg", part(crs=UTM), metadata={"model": "m"})
    assert schema(path) == schema(plain)


def test_appending_to_a_missing_file_creates_it(tmp_path):
    assert len(read(write(tmp_path / "found.gpkg", part(found(4)), append=Appending()))) == 4


def test_an_empty_layer_can_be_appended_to(tmp_path):
    path = write(tmp_path / "found.gpkg", part(found(0)))
    assert len(read(write(path, part(found(4)), append=Appending()))) == 4
    assert check_index(path) == "ok"


@pytest.mark.parametrize("crs", [UTM, None, CRS.from_epsg(2227)])
def test_the_same_crs_may_be_appended(tmp_path, crs):
    path = write(tmp_path / "found.gpkg", part(crs=crs))
    assert len(read(write(path, part(crs=crs, scene="b.tif"), append=Appending()))) == 6


@pytest.mark.parametrize(
    ("first", "second"),
    [(UTM, CRS.from_epsg(32611)), (UTM, None), (None, UTM)],
    ids=["other", "with, without", "without, with"],
)
def test_another_crs_is_refused(tmp_path, first, second):
    path = write(tmp_path / "found.gpkg", part(crs=first))
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"is in .*, and the new rows are in") as caught:
        write(path, part(crs=second), append=Appending())
    assert "a file of their own" in caught.value.hint
    assert path.read_bytes() == before
    assert not litter(tmp_path)


def test_another_geometry_is_refused(tmp_path):
    path = write(tmp_path / "found.gpkg")
    with pytest.raises(OutputError, match=r"found\.gpkg holds polygons, not points"):
        write(path, append=Appending(), geometry="centroid")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ("ALTER TABLE detections RENAME COLUMN score TO certainty", "lacks the field score"),
        ("DELETE FROM gpkg_contents WHERE table_name = 'detections'", "has no layer detections"),
        ("DROP TABLE rtree_detections_geom", "lacks its spatial index"),
    ],
)
def test_a_file_of_another_layout_is_refused_before_writing(tmp_path, change, match):
    path = write(tmp_path / "found.gpkg")
    with closing(sqlite3.connect(path)) as database, database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute(change)
    with pytest.raises(OutputError, match=match) as caught:
        check_output(path, overwrite=False, append=True)
    assert caught.value.hint


def test_a_key_of_another_name_is_appended_to(tmp_path):
    path = write(tmp_path / "found.gpkg", part(found(5)))
    renamed = tmp_path / "renamed.gpkg"
    frame = pyogrio.read_dataframe(path, layer="detections")
    pyogrio.write_dataframe(frame, renamed, layer="detections", layer_options={"FID": "id"})
    write(renamed, part(found(4), scene="b.tif"), append=Appending())
    frame = pyogrio.read_dataframe(renamed, layer="detections", fid_as_index=True)
    assert frame.index.tolist() == list(range(1, 10))


def test_metadata_of_every_run_are_kept(tmp_path):
    path = write(tmp_path / "found.gpkg", metadata={"software": "geodet", "model": "a"})
    for model in ("b", "a", "c"):
        more = part(scene=f"{len(read(path))}.tif")
        write(path, more, append=Appending(), metadata={"software": "geodet", "model": model})
    info = pyogrio.read_info(path, layer="detections")
    assert info["layer_metadata"] == {
        "software": "geodet",
        "model": "a",
        "model 2": "b",
        "model 3": "c",
    }


@pytest.mark.parametrize(("geometry", "kind"), [("box", "2"), ("centroid", "0")])
def test_the_layer_has_a_style(tmp_path, geometry, kind):
    path = write(tmp_path / "found.gpkg", geometry=geometry)
    ((table, column, qml),) = styles(path)
    assert (table, column) == ("detections", "geom")
    assert f"<layerGeometryType>{kind}</layerGeometryType>" in qml
    assert list(style_classes(qml)) == list(CLASSES)


def test_the_style_grows_with_the_classes(tmp_path):
    path = write(tmp_path / "found.gpkg")
    other = part(found(0), scene="b.tif")
    write_layer(path, [other], ("pole", "tree"), append=Appending())
    ((_, _, qml),) = styles(path)
    assert list(style_classes(qml)) == ["tree", "palm", "pole"]


def test_columns_that_the_user_added_stay(tmp_path):
    path = write(tmp_path / "found.gpkg")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE detections ADD COLUMN seen TEXT DEFAULT 'no'")
    frame = read(write(path, part(scene="b.tif"), append=Appending()))
    assert frame["seen"].tolist() == ["no"] * 6


def test_a_failed_append_leaves_the_file(tmp_path):
    path = write(tmp_path / "found.gpkg")
    before = path.read_bytes()
    far = part(crs=UTM, scene="b.tif")
    wrong = part(crs=CRS.from_epsg(4326), transform=Affine(1, 0, 0, 0, -1, 1000), scene="c.tif")
    with pytest.raises(OutputError, match=r"c\.tif lies where"):
        write(path, far, wrong, append=Appending())
    assert path.read_bytes() == before
    assert not litter(tmp_path)
