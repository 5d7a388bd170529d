import sqlite3
import threading
from contextlib import closing

import numpy as np
import pyogrio
import pytest
import shapely
from factories_vectors import FIELDS, SITE, TYPES, UTM, check_index, found, layer_of, part
from pyproj import CRS

from geodet.geopackage import packed_index
from geodet.geopackage.table import GeoPackageTable
from geodet.geopackage.tables import add_srs, create_tables
from geodet.vector.layer_table import open_table
from geodet.vector.rows import crs_text, to_rows

NO_CODE = CRS.from_user_input("EPSG:32633+5773")
ROTATED = CRS.from_user_input("+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=40 +lon_0=0")


def fill(path, *counts, crs=UTM, indexed=True):
    with open_table(path, layer_of(crs), indexed=indexed) as table:
        for seed, count in enumerate(counts):
            rows = to_rows(part(found(count, seed), crs=crs), layer_of(crs))
            table.add(rows.columns, rows.coordinates)
        table.finish()
    return path


def read_all(path, query):
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def triggers(path):
    return sorted(read_all(path, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))


def write_with_gdal(path, rows, crs="EPSG:32610"):
    pyogrio.raw.write(
        str(path),
        shapely.to_wkb(shapely.polygons(rows.coordinates)),
        list(rows.fields.values()),
        FIELDS,
        layer="detections",
        driver="GPKG",
        geometry_type="Polygon",
        crs=crs,
        dataset_options={"VERSION": "1.3"},
    )
    return path


QUERIES = (
    "SELECT * FROM detections",
    "SELECT srs_id, srs_name, organization, organization_coordsys_id, description "
    "FROM gpkg_spatial_ref_sys",
    "SELECT * FROM gpkg_geometry_columns",
    "SELECT * FROM gpkg_extensions",
    "SELECT * FROM gpkg_ogr_contents",
    "SELECT table_name, data_type, identifier, description, srs_id FROM gpkg_contents",
    "SELECT name, seq FROM sqlite_sequence",
    "SELECT name, type, sql FROM sqlite_master WHERE tbl_name NOT LIKE 'gpkg_tile_%' ORDER BY name",
    "SELECT id FROM rtree_detections_geom ORDER BY id",
    "PRAGMA application_id",
    "PRAGMA user_version",
    "PRAGMA encoding",
    "PRAGMA page_size",
)


@pytest.mark.parametrize("count", [0, 1, 51, 52, 300])
def test_the_file_is_what_gdal_would_have_written(tmp_path, count):
    """The oracle is pyogrio: row by row, and in all tables but those of rasters."""
    rows = to_rows(part(found(count)), layer_of())
    gdal = write_with_gdal(tmp_path / "gdal.gpkg", rows)
    own = fill(tmp_path / "own.gpkg", count)
    ours, theirs = pyogrio.read_info(own), pyogrio.read_info(gdal)
    bounds = ours.pop("total_bounds"), theirs.pop("total_bounds")
    np.testing.assert_allclose(*np.array(bounds, float), rtol=1e-15)  # GDAL's are from text
    np.testing.assert_equal(ours, theirs)
    for query in QUERIES:
        assert read_all(own, query) == read_all(gdal, query), query


@pytest.mark.parametrize(
    "crs",
    [
        *(CRS.from_epsg(code) for code in (32610, 4326, 2056, 4979)),
        *(CRS.from_user_input(text) for text in ("ESRI:102003", "OGC:CRS84")),
        *(NO_CODE, ROTATED, SITE),
    ],
    ids=lambda crs: crs.name,
)
def test_a_crs_is_where_gdal_would_have_put_it(tmp_path, crs):
    """The definitions differ in detail, so GDAL reads both."""
    rows = to_rows(part(found(3)), layer_of())
    gdal = write_with_gdal(tmp_path / "gdal.gpkg", rows, crs_text(crs))
    own = fill(tmp_path / "own.gpkg", 3, crs=crs)
    for query in QUERIES[1:4]:
        assert read_all(own, query) == read_all(gdal, query)
    ours, theirs = (CRS.from_user_input(pyogrio.read_info(path)["crs"]) for path in (own, gdal))
    assert ours.equals(theirs, ignore_axis_order=True)


def test_a_crs_is_stored_once():
    with closing(sqlite3.connect(":memory:")) as database:
        create_tables(database)
        numbers = [add_srs(database, crs) for crs in (UTM, NO_CODE, ROTATED, UTM, NO_CODE, None)]
        assert numbers == [32610, 100000, 100001, 32610, 100000, -1]


def test_a_number_that_is_taken_is_not_given_again():
    with closing(sqlite3.connect(":memory:")) as database:
        create_tables(database)
        database.execute(
            "INSERT INTO gpkg_spatial_ref_sys VALUES ('x', 32610, 'NONE', 32610, 'LOCAL_CS', '')"
        )
        assert add_srs(database, UTM) == 100000


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
    assert check_index(path) == "ok"


@pytest.mark.parametrize("part", [51, 102])
def test_an_index_of_several_parts_is_whole(tmp_path, monkeypatch, part):
    whole = fill(tmp_path / "b.gpkg", 5, 3, 200, 7)
    monkeypatch.setattr(packed_index, "_PACKED_AT_ONCE", part)
    path = fill(tmp_path / "a.gpkg", 5, 3, 200, 7)
    assert pyogrio.read_dataframe(path).equals(pyogrio.read_dataframe(whole))
    assert check_index(path) == check_index(whole) == "ok"
    assert len(pyogrio.read_dataframe(path, bbox=(600000, 3.9e6, 601000, 4e6))) == 215
    assert triggers(path) == triggers(whole)


def test_a_layer_is_added_to_a_file_once(tmp_path):
    path = fill(tmp_path / "a.gpkg", 5)
    columns = {"why": "TEXT", 'a "quoted" name': "INTEGER"}
    with GeoPackageTable(path, "places", columns, "Point", UTM) as table:
        table.add([["x", None], [1, 2]], np.array([[[1.0, 2.0]], [[np.nan, np.nan]]]))
        table.finish()
    frame = pyogrio.read_dataframe(path, layer="places")
    assert list(frame) == [*columns, "geometry"]
    assert read_all(path, 'SELECT why, "a ""quoted"" name" FROM places') == [("x", 1), (None, 2)]
    assert frame.geometry.isna().tolist() == [False, True]
    assert frame.geometry[0].wkt == "POINT (1 2)"
    assert pyogrio.read_info(path, layer="detections")["features"] == 5
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        GeoPackageTable(path, "places", columns, "Point", UTM)


def test_a_table_that_is_closed_early_ends_its_thread(tmp_path):
    before = threading.active_count()
    path = tmp_path / "a.gpkg"
    with open_table(path, layer_of()) as table:
        rows = to_rows(part(found(9)), layer_of())
        for _ in range(3):
            table.add(rows.columns, rows.coordinates)
    assert threading.active_count() == before
    path.unlink()
    table.close()


def test_an_error_is_raised_where_the_next_rows_are_added(tmp_path):
    path = tmp_path / "a.gpkg"
    rows = to_rows(part(found(9)), layer_of())
    with open_table(path, layer_of()) as table:
        table.add([[]] * len(FIELDS), rows.coordinates)  # no values for nine rows
        with pytest.raises(ValueError, match="zip"):
            table.add(rows.columns, rows.coordinates)


def test_an_unknown_area_is_null_and_a_missing_crs_is_undefined_cartesian(tmp_path):
    path = fill(tmp_path / "a.gpkg", 3, crs=None)
    assert read_all(path, "SELECT area_m2 FROM detections") == [(None,)] * 3
    assert read_all(path, "SELECT srs_id FROM gpkg_geometry_columns") == [(-1,)]
