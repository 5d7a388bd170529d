"""Two runs write the same bytes."""

import sqlite3

import pytest
from factories_vectors import found, part, write

from geodet.errors import OutputError

EPOCH = "1700000000"


def two_files(folder, name):
    paths = [folder / run / name for run in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        write(path, part(found(500)), metadata={"model": "m", "version": "1"})
    return paths


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "geojsonl", "fgb", "parquet", "csv", "kml"])
def test_two_runs_write_the_same_bytes(tmp_path, monkeypatch, suffix):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    first, second = two_files(tmp_path, f"found.{suffix}")
    assert first.read_bytes() == second.read_bytes()


def test_the_dates_of_a_geopackage_are_those_of_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    path = write(tmp_path / "found.gpkg", metadata={"model": "m"})
    with sqlite3.connect(path) as database:
        dates = database.execute(
            "SELECT last_change FROM gpkg_contents UNION SELECT update_time FROM layer_styles"
            " UNION SELECT timestamp FROM gpkg_metadata_reference"
        ).fetchall()
    assert dates == [("2023-11-14T22:13:20.000Z",)]


def test_a_variable_that_is_no_number_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    with pytest.raises(OutputError, match="SOURCE_DATE_EPOCH is 'today'"):
        write(tmp_path / "found.gpkg")
    assert list(tmp_path.iterdir()) == []
