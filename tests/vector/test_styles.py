import sqlite3
from contextlib import closing

import numpy as np
import pyogrio
import pytest
import shapely

from geodet.errors import OutputError
from geodet.vector.stored_styles import read_classes, store_style, write_style
from geodet.vector.styles import qgis_style, style_classes

NAMES = ("car", "a & b", "<tree>", 'the "old" one', "l'été", "🌳")


def make_package(path, layer="detections", column="geom"):
    pyogrio.raw.write(
        path,
        shapely.to_wkb(shapely.points([[1.0, 2.0]])),
        [np.array(["car"], object)],
        ["label"],
        layer=layer,
        geometry_type="Point",
        crs="EPSG:32633",
        append=path.exists(),
        layer_options={"GEOMETRY_NAME": column},
    )
    return path


@pytest.fixture
def package(tmp_path):
    return make_package(tmp_path / "found & spaced #1.gpkg")


def query(path, text):
    with closing(sqlite3.connect(path)) as database:
        return database.execute(text).fetchall()


def styles(path):
    return query(
        path,
        "SELECT f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName,"
        " useAsDefault FROM layer_styles ORDER BY id",
    )


def test_the_style_is_in_the_table_that_qgis_reads(package):
    make_package(package, "other", "the_geom")
    store_style(package, "detections", NAMES)
    store_style(package, "other", NAMES, geometry="centroid")
    assert styles(package) == [
        ("", "", "detections", "geom", "geodet", 1),
        ("", "", "other", "the_geom", "geodet", 1),
    ]
    texts = [text for (text,) in query(package, "SELECT styleQML FROM layer_styles ORDER BY id")]
    assert texts == [qgis_style(NAMES), qgis_style(NAMES, geometry="centroid")]


def test_the_geopackage_stays_valid(package):
    store_style(package, "detections", NAMES)
    store_style(package, "detections", NAMES)
    text = "SELECT data_type FROM gpkg_contents WHERE table_name = 'layer_styles'"
    assert query(package, text) == [("attributes",)]
    assert query(package, "PRAGMA integrity_check") == [("ok",)]
    assert pyogrio.list_layers(package).tolist() == [
        ["detections", "Point"],
        ["layer_styles", None],
    ]
    assert pyogrio.read_info(package, layer="detections")["features"] == 1
    leftovers = [path.name for path in package.parent.iterdir()]
    assert leftovers == [package.name]


def test_a_refreshed_style_keeps_the_colours_of_its_classes(package):
    store_style(package, "detections", ["car", "bus"])
    store_style(package, "detections", ["tree", "car"])
    assert len(styles(package)) == 1
    assert read_classes(package) == ["car", "bus", "tree"]


def test_a_default_of_the_user_stays_the_default(package):
    store_style(package, "detections", ["car"])
    with closing(sqlite3.connect(package)) as database, database:
        database.execute("UPDATE layer_styles SET useAsDefault = 0")
        database.execute(
            "INSERT INTO layer_styles (f_table_schema, f_table_name, styleName, styleQML,"
            " useAsDefault) VALUES ('', 'detections', 'mine', '<qgis/>', 1)"
        )
    store_style(package, "detections", ["car"])
    assert {(row[4], row[5]) for row in styles(package)} == {("mine", 1), ("geodet", 0)}


def test_a_damaged_style_is_replaced(package):
    store_style(package, "detections", ["car"])
    with closing(sqlite3.connect(package)) as database, database:
        database.execute("UPDATE layer_styles SET styleQML = '<qgis>'")
    assert read_classes(package) == []
    store_style(package, "detections", ["bus"])
    assert read_classes(package) == ["bus"]


def test_an_unknown_layer_is_an_error(package):
    with pytest.raises(OutputError, match=r"#1\.gpkg has no layer Detections with a geometry"):
        store_style(package, "Detections", NAMES)
    assert query(package, "SELECT name FROM sqlite_master WHERE name = 'layer_styles'") == []


@pytest.mark.parametrize("content", [None, b"not a database, but long enough to be looked at" * 9])
def test_a_file_that_is_no_geopackage_is_an_error(tmp_path, content):
    path = tmp_path / "out.gpkg"
    if content:
        path.write_bytes(content)
    with pytest.raises(OutputError, match=r"cannot store a style in .*out\.gpkg"):
        store_style(path, "detections", NAMES)
    assert path.exists() == bool(content)
    assert read_classes(path) == []


@pytest.mark.parametrize("name", ["out.geojson", "out.2026.fgb"])
def test_a_sidecar_has_the_name_that_qgis_looks_for(tmp_path, name):
    path = tmp_path / name
    sidecar = write_style(path, NAMES)
    assert sidecar.name == f"{name.rpartition('.')[0]}.qml"
    assert style_classes(sidecar.read_text(encoding="utf-8")) == list(NAMES)
    assert write_style(path, ["bus"]) == sidecar
    assert read_classes(path) == ["bus"]
    assert [file.name for file in tmp_path.iterdir()] == [sidecar.name]


def test_no_style_has_no_classes(package, tmp_path):
    assert read_classes(package) == []
    assert read_classes(tmp_path / "out.geojson") == []
    (tmp_path / "out.qml").write_bytes(b"\xff\xfe<")
    assert read_classes(tmp_path / "out.geojson") == []


def test_a_style_in_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*out\.qml"):
        write_style(tmp_path / "nowhere" / "out.geojson", NAMES)
