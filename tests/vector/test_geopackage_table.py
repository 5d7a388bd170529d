import sqlite3
import threading
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely
from factories_vectors import CLASSES, FIELDS, TYPES, UTM, check_index, found, layer_of, part
from pyogrio.errors import DataLayerError

from geodet.vector import geopackage_table
from geodet.vector.geopackage_table import GeoPackageTable, write_layer_metadata
from geodet.vector.rows import to_rows


def fill(path, *counts, crs=UTM, indexed=True):
    with GeoPackageTable(path, layer_of(path, crs=crs), indexed=indexed) as table:
        for seed, count in enumerate(counts):
            table.add(to_rows(part(found(count, seed), crs=crs), CLASSES, crs))
        table.finish()
    return path


def sums(path):
    with closing(sqlite3.connect(path)) as database:
        triggers = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        return sorted(triggers.fetchall())


def test_the_rows_are_what_gdal_would_have_written(tmp_path):
    """The oracle is pyogrio: row by row, and in all that a file says of its layer."""
    rows = to_rows(part(found(300)), CLASSES, UTM)
    pyogrio.raw.write(
        str(tmp_path / "gdal.gpkg"),
        shapely.to_wkb(shapely.polygons(rows.coordinates)),
        list(rows.fields.values()),
        FIELDS,
        layer="detections",
        driver="GPKG",
        geometry_type="Polygon",
        crs="EPSG:32610",
        dataset_options={"VERSION": "1.3"},
    )
    fill(tmp_path / "own.gpkg", 300)
    infos = [pyogrio.read_info(tmp_path / name) for name in ("own.gpkg", "gdal.gpkg")]
    np.testing.assert_equal(*infos)
    assert sums(tmp_path / "own.gpkg") == sums(tmp_path / "gdal.gpkg")
    tables = []
    for name in ("own.gpkg", "gdal.gpkg"):
        with closing(sqlite3.connect(tmp_path / name)) as database:
            tables.append(database.execute("SELECT * FROM detections").fetchall())
    assert tables[0] == tables[1]


def test_many_calls_are_like_one(tmp_path):
    path = fill(tmp_path / "a.gpkg", 5, 1, 7)
    frame = pyogrio.read_dataframe(path, fid_as_index=True)
    assert frame.index.tolist() == list(range(1, 14))
    expected = np.concatenate([found(n, seed).boxes for seed, n in enumerate((5, 1, 7))])
    np.testing.assert_array_equal(frame[FIELDS[3:7]].to_numpy(), expected)
    info = pyogrio.read_info(path)
    np.testing.assert_allclose(info["total_bounds"], frame.total_bounds, rtol=1e-15)
    assert (info["features"], info["ogr_types"]) == (13, TYPES)


def test_the_spatial_index_answers_gdals_filter(tmp_path):
    path = fill(tmp_path / "a.gpkg", 2000)
    every = pyogrio.read_dataframe(path)
    window = (600100.0, 3999700.0, 600200.0, 3999800.0)
    inside = pyogrio.read_dataframe(path, bbox=window)
    expected = every[every.intersects(shapely.box(*window))]
    assert 0 < len(inside) < len(every)
    assert sorted(inside["x1_px"]) == sorted(expected["x1_px"])


def test_a_table_without_an_index_gets_none(tmp_path):
    path = fill(tmp_path / "a.gpkg", 20, indexed=False)
    info = pyogrio.read_info(path)
    assert not info["capabilities"]["fast_spatial_filter"]
    assert info["features"] == 20


@pytest.mark.parametrize("indexed", [True, False])
def test_a_table_without_rows_is_valid(tmp_path, indexed):
    path = fill(tmp_path / "a.gpkg", indexed=indexed)
    assert len(pyogrio.read_dataframe(path)) == 0
    assert pyogrio.read_info(path)["features"] == 0


def test_gdal_keeps_the_index_of_what_it_adds_later(tmp_path):
    path = fill(tmp_path / "a.gpkg", 200)
    later = pyogrio.read_dataframe(path).head(3)
    later.geometry = later.geometry.translate(5000, 5000)
    pyogrio.write_dataframe(later, path, layer="detections", append=True)
    assert pyogrio.read_info(path)["features"] == 203
    assert len(pyogrio.read_dataframe(path, bbox=(605000, 4e6, 606000, 4.1e6))) == 3


@pytest.mark.parametrize("limit", [0, 1, 5, 8])
def test_rows_beyond_the_limit_enter_the_finished_index(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(geopackage_table, "_INDEXED_AT_ONCE", limit)
    path = fill(tmp_path / "a.gpkg", 5, 3, 200, 7)
    whole = fill(tmp_path / "b.gpkg", 5, 3, 200, 7)
    assert pyogrio.read_dataframe(path).equals(pyogrio.read_dataframe(whole))
    assert check_index(path) == "ok"
    assert pyogrio.read_info(path)["features"] == 215
    assert len(pyogrio.read_dataframe(path, bbox=(600000, 3.9e6, 601000, 4e6))) == 215
    assert sums(path) == sums(whole)


def test_rows_that_gdal_lost_are_an_error(tmp_path, monkeypatch):
    write = pyogrio.raw.write_arrow

    def lose(rows, *args, **options):
        write(pa.Table.from_batches(list(rows)[:-1]), *args, **options)

    monkeypatch.setattr(pyogrio.raw, "write_arrow", lose)
    with pytest.raises(OSError, match="only 5 of 8 rows were written"):
        fill(tmp_path / "a.gpkg", 5, 3)


def test_an_index_that_lacks_rows_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(geopackage_table, "_count_indexed", lambda *_: 3)
    with pytest.raises(OSError, match="only 3 of 5 rows are in the spatial index"):
        fill(tmp_path / "a.gpkg", 5)


@pytest.mark.parametrize("error", [DataLayerError("disk"), MemoryError("full")])
def test_an_error_of_gdal_is_raised_where_rows_are_added(tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(pyogrio.raw, "write_arrow", fail)
    with pytest.raises(type(error), match=r"disk|full"):
        fill(tmp_path / "a.gpkg", *[1] * 50)


def test_a_table_that_is_closed_early_ends_its_thread(tmp_path):
    before = threading.active_count()
    path = tmp_path / "a.gpkg"
    with GeoPackageTable(path, layer_of(path)) as table:
        for seed in range(5):
            table.add(to_rows(part(found(9, seed)), CLASSES, UTM))
    assert threading.active_count() == before
    table.close()


def test_gdals_settings_stay_as_they_were(tmp_path):
    fill(tmp_path / "a.gpkg", 5)
    assert pyogrio.get_gdal_config_option("OGR_SQLITE_SYNCHRONOUS") is None


def test_an_unknown_area_is_null_and_a_missing_crs_is_undefined_cartesian(tmp_path):
    path = fill(tmp_path / "a.gpkg", 3, crs=None)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT area_m2 FROM detections").fetchall() == [(None,)] * 3
        assert database.execute("SELECT srs_id FROM gpkg_geometry_columns").fetchall() == [(-1,)]


@pytest.mark.parametrize("crs", [UTM, None])
def test_metadata_are_replaced(tmp_path, crs):
    path = fill(tmp_path / "a.gpkg", 3, crs=crs)
    for metadata in ({"model": "a", "date": "today"}, {"model": "b"}):
        write_layer_metadata(path, layer_of(path, crs=crs, metadata=metadata))
        info = pyogrio.read_info(path)
        assert (info["layer_metadata"], info["features"]) == (metadata, 3)
    assert check_index(path) == "ok"
