"""What is said of files that people give as labels and that have no geometries to read."""

import subprocess
import sys
import zipfile

import geopandas
import pandas
import pyogrio
import pytest
import shapely
from cli_runner import invoke_fixture  # noqa: F401 - a fixture

from geodet.errors import VectorError
from geodet.vector.unread_files import explain_file
from geodet.vector.vector_files import list_layers, read_frame

GDAL_ADVICE = "<DRIVER>"


def refusal(path):
    with pytest.raises(VectorError, match=r"not a vector file|has no geometries") as caught:
        read_frame(path)
    assert GDAL_ADVICE not in str(caught.value)
    return str(caught.value), caught.value.hint


def archive(path, *members):
    with zipfile.ZipFile(path, "w") as file:
        for name in members:
            file.writestr(name, "x")
    return path


def test_a_table_of_other_columns_is_listed_with_the_names_that_are_read(tmp_path):
    (tmp_path / "a.csv").write_text("foo;bar\n1;2\n")
    message, hint = refusal(tmp_path / "a.csv")
    assert message.endswith("a.csv has no geometries: its columns are foo, bar")
    assert "name the columns lon and lat, x and y, easting and northing" in hint


def test_a_table_of_many_columns_is_cut_short(tmp_path):
    (tmp_path / "a.csv").write_text(",".join(f"c{n}" for n in range(500)) + "\n")
    assert refusal(tmp_path / "a.csv")[0].endswith("c18, c19, ...")


def test_a_database_of_tables_alone_is_to_be_chosen_another_file_for(tmp_path):
    pyogrio.write_dataframe(pandas.DataFrame({"name": ["oak"]}), tmp_path / "a.gpkg")
    message, hint = refusal(tmp_path / "a.gpkg")
    assert message.endswith("its columns are name")
    assert "choose a file with points or polygons" in hint


@pytest.mark.parametrize("name", ["a.geojsonl", "a.gpkg", "a.csv", "a.tif"])
def test_a_file_of_no_bytes_is_empty(tmp_path, name):
    (tmp_path / name).touch()
    message, hint = refusal(tmp_path / name)
    assert message.endswith(f"{name} is empty, not a vector file")
    assert "without objects is also empty" in hint


@pytest.mark.parametrize("name", ["a.geojsonl", "a.gpkg", "a.tif"])
def test_info_says_that_a_file_is_empty(tmp_path, invoke, name):
    (tmp_path / name).touch()
    assert f"{name} is empty" in invoke("info", name, code=1).stderr


def test_a_spreadsheet_is_to_be_saved_as_csv(tmp_path):
    table = pandas.DataFrame({"lon": [1.0], "lat": [2.0]})
    pyogrio.write_dataframe(table, tmp_path / "a.xlsx", driver="XLSX")
    message, hint = refusal(tmp_path / "a.xlsx")
    assert message.endswith("a.xlsx is a spreadsheet, not a vector file")
    assert hint.startswith("save it as CSV")


@pytest.mark.parametrize(
    ("name", "what"), [("a.qgs", "project of QGIS"), ("a.qgz", "project of QGIS")]
)
def test_a_project_is_said_to_be_one(tmp_path, name, what):
    archive(tmp_path / name, "a.qgs")
    message, hint = refusal(tmp_path / name)
    assert f"{name} is a {what}, not a vector file" in message
    assert "give the file of the layer" in hint


def test_a_raster_is_said_to_be_one(make_scene):
    message, hint = refusal(make_scene("scene.tif"))
    assert "scene.tif is a raster, not a vector file" in message
    assert "points or polygons" in hint


def test_a_file_in_a_folder_of_an_archive_is_named_as_it_is_read(tmp_path, monkeypatch):
    frame = geopandas.GeoDataFrame({"label": ["oak"]}, geometry=[shapely.Point(1, 2)], crs=4326)
    frame.to_file(tmp_path / "t.shp")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        for part in tmp_path.glob("t.*"):
            file.write(part, f"daten/{part.name}")
    monkeypatch.chdir(tmp_path)
    for path in ("all.zip", tmp_path / "all.zip"):
        message, hint = refusal(path)
        assert message == f"{path} is an archive, not a vector file"
        assert len(read_frame(hint.partition("as in ")[2])) == 1


@pytest.mark.parametrize(
    ("members", "hint"),
    [
        ([f"d/{n}.shp" for n in range(9)], "d/2.shp, or another of 9"),
        (["d/a.tif"], "/d/a.tif"),
        (["d/a.txt"], "unpack it"),
    ],
)
def test_an_archive_names_some_of_its_files(tmp_path, members, hint):
    assert hint in explain_file(archive(tmp_path / "a.zip", *members))[1]


def test_other_files_and_none_are_not_explained(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    assert explain_file(tmp_path / "a.txt") is None
    assert explain_file(tmp_path / "gone.zip") is None
    assert explain_file(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("a.zip", "error: a.zip is an archive\n", "/vsizip/a.zip/d/a.shp"),
        ("a.xlsx", "a.xlsx is a spreadsheet", "save it as CSV"),
        ("a.qgz", "a.qgz is a project of QGIS", "the file of the layer"),
        ("a.txt", "cannot open a.txt as a raster", "a folder of labelled images"),
        ("a.tif", "cannot open a.tif as a raster", "a folder of labelled images"),
    ],
)
def test_info_says_what_a_file_is_and_what_it_takes(tmp_path, invoke, name, text, hint):
    if name.endswith((".txt", ".tif")):
        (tmp_path / name).write_text("no raster")
    else:
        archive(tmp_path / name, "d/a.shp")
    told = invoke("info", name, code=1).stderr
    assert text in told
    assert hint in told


LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_geopackage_that_another_program_has_locked_is_said_to_be_locked(tmp_path):
    path = tmp_path / "a.gpkg"
    geopandas.GeoDataFrame(geometry=[shapely.Point(1, 2)], crs="EPSG:32633").to_file(path)
    command = [sys.executable, "-c", LOCK, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        match = r"a\.gpkg: another program has locked it"
        for read in (list_layers, read_frame):
            with pytest.raises(VectorError, match=match) as refused:
                read(path)
            assert refused.value.hint.startswith("save the edits and close it in other programs")
        other.stdin.close()
