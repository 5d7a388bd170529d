import sqlite3
from contextlib import closing

import pyogrio
import pytest
from factories_vectors import part, write

from geodet.geopackage.layer_metadata import LayerMetadata


@pytest.fixture(params=[{}, {"model": "a", "configuration": '{"x": "<1 & \'2\'>"}'}])
def path(tmp_path, request):
    return write(tmp_path / "found.gpkg", part(), metadata=request.param)


def change(path, changes):
    with closing(sqlite3.connect(path)) as database, database:
        known = LayerMetadata(database, "detections")
        changes(known)
        known.store()
        return LayerMetadata(database, "detections")


def test_texts_are_what_gdal_reads_and_writes(path):
    before = pyogrio.read_info(path, layer="detections")["layer_metadata"] or {}
    new = {"model": "b", "software": "geodet \x00\x1f é 🌳"}
    read = change(path, lambda known: known.join(new))
    after = pyogrio.read_info(path, layer="detections")["layer_metadata"]
    assert after == read.texts
    assert after["software"] == "geodet ?? é 🌳"
    expected = {"model 2": "b"} if before else {"model": "b"}
    assert after == before | expected | {"software": after["software"]}


def test_what_runs_note_is_not_shown_as_a_text(path):
    def note(known):
        known.add_run("1")
        known.add_run("2")
        known.add_rows("abc", 1, 5)
        known.add_rows("abc", 6, 7)
        known.add_rows("abc", 12, 12)

    before = pyogrio.read_info(path, layer="detections")["layer_metadata"]
    known = change(path, note)
    assert known.runs == ["1", "2"]
    assert known.rows_of("abc") == [(1, 7), (12, 12)]
    assert known.rows_of("other") == []
    assert pyogrio.read_info(path, layer="detections")["layer_metadata"] == before


def test_metadata_of_other_programs_stay(path):
    change(path, lambda known: known.join({"model": "z"}))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "INSERT INTO gpkg_metadata VALUES (77, 'dataset', 'http://x', 'text/xml', '<x/>')"
        )
        database.execute(
            "INSERT INTO gpkg_metadata_reference (reference_scope, table_name, md_file_id) "
            "VALUES ('table', 'detections', 77)"
        )
    change(path, lambda known: known.join({"model": "y"}))
    with closing(sqlite3.connect(path)) as database:
        rows = dict(database.execute("SELECT id, metadata FROM gpkg_metadata").fetchall())
    assert rows.pop(77) == "<x/>"
    assert len(rows) == 1


def test_metadata_that_cannot_be_read_are_left(tmp_path):
    path = write(tmp_path / "found.gpkg", part(), metadata={"model": "a"})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE gpkg_metadata SET metadata = '<GDALMulti'")
    assert change(path, lambda known: known.join({"model": "b"})).texts == {"model": "b"}
