import sqlite3
from contextlib import closing

import numpy as np
import pyogrio
import pytest
import shapely
from factories_vectors import CLASSES, FIELDS, TYPES, UTM, found, layer_of, part

from geodet.vector import spatial_table
from geodet.vector.rows import to_rows
from geodet.vector.spatial_table import SpatialTable, create_table


def fill(path, *counts, layer=None):
    layer = layer or layer_of(path)
    with SpatialTable(path) as table:
        for seed, count in enumerate(counts):
            table.add(to_rows(part(found(count, seed)), layer.classes, layer.crs, layer.geometry))
        table.finish()


def make(path, *counts, indexed=True):
    create_table(path, layer_of(path), indexed=indexed)
    fill(path, *counts)
    return path


def sums(path):
    with closing(sqlite3.connect(path)) as database:
        triggers = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        return sorted(triggers.fetchall())


def test_the_rows_are_what_gdal_would_have_written(tmp_path):
    """GDAL's own writer is the oracle, row by row and of all that a file says of its layer."""
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
    make(tmp_path / "own.gpkg", 300)
    infos = [pyogrio.read_info(tmp_path / name) for name in ("own.gpkg", "gdal.gpkg")]
    np.testing.assert_equal(*infos)
    assert sums(tmp_path / "own.gpkg") == sums(tmp_path / "gdal.gpkg")
    tables = []
    for name in ("own.gpkg", "gdal.gpkg"):
        with closing(sqlite3.connect(tmp_path / name)) as database:
            tables.append(database.execute("SELECT * FROM detections").fetchall())
    assert tables[0] == tables[1]


def test_many_calls_are_like_one(tmp_path):
    path = make(tmp_path / "a.gpkg", 5, 1, 7)
    frame = pyogrio.read_dataframe(path, fid_as_index=True)
    assert frame.index.tolist() == list(range(1, 14))
    expected = np.concatenate([found(n, seed).boxes for seed, n in enumerate((5, 1, 7))])
    np.testing.assert_array_equal(frame[FIELDS[3:7]].to_numpy(), expected)
    info = pyogrio.read_info(path)
    np.testing.assert_array_equal(info["total_bounds"], frame.total_bounds)
    assert (info["features"], info["ogr_types"]) == (13, TYPES)


def test_the_spatial_index_answers_gdals_filter(tmp_path):
    path = make(tmp_path / "a.gpkg", 2000)
    every = pyogrio.read_dataframe(path)
    window = (600100.0, 3999700.0, 600200.0, 3999800.0)
    inside = pyogrio.read_dataframe(path, bbox=window)
    expected = every[every.intersects(shapely.box(*window))]
    assert 0 < len(inside) < len(every)
    assert sorted(inside["x1_px"]) == sorted(expected["x1_px"])


def test_a_table_without_an_index_stays_without(tmp_path):
    path = make(tmp_path / "a.gpkg", 20, indexed=False)
    info = pyogrio.read_info(path)
    assert not info["capabilities"]["fast_spatial_filter"]
    assert info["features"] == 20


@pytest.mark.parametrize("indexed", [True, False])
def test_a_table_without_rows_is_valid(tmp_path, indexed):
    path = make(tmp_path / "a.gpkg", indexed=indexed)
    assert len(pyogrio.read_dataframe(path)) == 0
    assert pyogrio.read_info(path)["features"] == 0


def test_row_numbers_are_not_used_again(tmp_path):
    path = make(tmp_path / "a.gpkg", 9)
    with closing(sqlite3.connect(path)) as database, database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute("DELETE FROM detections WHERE fid > 4")
    fill(path, 2)
    assert pyogrio.read_dataframe(path, fid_as_index=True).index.tolist() == [1, 2, 3, 4, 10, 11]


def test_gdal_keeps_the_index_of_what_it_adds_later(tmp_path):
    path = make(tmp_path / "a.gpkg", 200)
    later = pyogrio.read_dataframe(path).head(3)
    later.geometry = later.geometry.translate(5000, 5000)
    pyogrio.write_dataframe(later, path, layer="detections", append=True)
    assert pyogrio.read_info(path)["features"] == 203
    assert len(pyogrio.read_dataframe(path, bbox=(605000, 4e6, 606000, 4.1e6))) == 3


def test_a_file_that_is_no_geopackage_is_let_go(tmp_path):
    (tmp_path / "a.gpkg").write_text("nothing of the kind" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        SpatialTable(tmp_path / "a.gpkg")


def test_gdal_neither_sees_nor_blames_the_unfinished_index(tmp_path):
    """With an index that lacks rows, GDAL warns from 100,000 rows on; warnings are errors here."""
    path = make(tmp_path / "a.gpkg", 100_500, 10)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT rtreecheck('rtree_detections_geom')").fetchone()[0] == "ok"
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
    assert not [name for name in names if "geodet" in name]
    assert pyogrio.read_info(path)["features"] == 100_510


def test_rows_that_gdal_lost_are_an_error(tmp_path, monkeypatch):
    create_table(tmp_path / "a.gpkg", layer_of(tmp_path / "a.gpkg"))
    monkeypatch.setattr(spatial_table, "_append", lambda *_: None)
    with pytest.raises(OSError, match="only 0 of 5 rows were written"):
        fill(tmp_path / "a.gpkg", 5)


def test_gdals_settings_stay_as_they_were(tmp_path):
    make(tmp_path / "a.gpkg", 5)
    assert pyogrio.get_gdal_config_option("OGR_SQLITE_SYNCHRONOUS") is None


def test_an_unknown_area_is_null(tmp_path):
    layer = layer_of(tmp_path / "a.gpkg", crs=None)
    create_table(layer.path, layer)
    with SpatialTable(layer.path) as table:
        table.add(to_rows(part(found(3), crs=None), CLASSES, None))
        table.finish()
    with closing(sqlite3.connect(layer.path)) as database:
        assert database.execute("SELECT area_m2 FROM detections").fetchall() == [(None,)] * 3
