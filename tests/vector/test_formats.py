import json
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from factories_vectors import part, read, write

from geodet.errors import OutputError, VectorError
from geodet.vector.formats import FORMATS, check_vector_exists, choose_format, yolo_files
from geodet.vector.write_detections import check_output


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("a.gpkg", "GeoPackage"),
        ("A.GPKG", "GeoPackage"),
        ("a.geojson", "GeoJSON"),
        ("a.json", "GeoJSON"),
        ("a.coco.json", "COCO results"),
        ("a.ndjson", "newline-delimited GeoJSON"),
        ("a.fgb", "FlatGeobuf"),
        ("a.geoparquet", "GeoParquet"),
        ("a.b.csv", "CSV"),
    ],
)
def test_the_longest_matching_extension_chooses_the_format(name, title):
    assert choose_format(Path(name)).title == title


def test_a_format_by_name_takes_precedence_over_the_extension(tmp_path):
    assert choose_format(Path("a.json"), "coco").title == "COCO results"
    check_output(tmp_path / "a.json", overwrite=False, format="coco")


def test_no_two_formats_share_an_extension():
    extensions = [one for format in FORMATS.values() for one in format.extensions]
    assert len(extensions) == len(set(extensions))


def test_an_unknown_format_is_refused_with_a_list():
    with pytest.raises(OutputError, match="unknown format 'tab'") as caught:
        choose_format(Path("a.gpkg"), "tab")
    assert all(name in caught.value.hint for name in FORMATS)
    with pytest.raises(OutputError, match=r"cannot tell the format of a\.tab") as caught:
        choose_format(Path("a.tab"))
    extensions = [one for format in FORMATS.values() for one in format.extensions]
    assert all(extension in caught.value.hint for extension in extensions)


def test_a_geopackage_must_end_in_gpkg():
    with pytest.raises(OutputError, match=r"a\.dat is to be a GeoPackage"):
        choose_format(Path("a.dat"), "gpkg")


@pytest.mark.parametrize("name", ["geojson", "geojsonl", "flatgeobuf", "csv"])
def test_a_format_by_name_takes_any_extension(tmp_path, name):
    path = write(tmp_path / "found.out", part(), format=name)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.is_file()
    assert path.stat().st_size > 100
    if name != "csv":  # which GDAL knows by its extension alone
        assert len(read(path)) == 3


def test_only_a_geopackage_is_appended_to(tmp_path):
    with pytest.raises(OutputError, match="cannot append to FlatGeobuf") as caught:
        check_output(tmp_path / "a.fgb", overwrite=False, append=True)
    assert "GeoPackage" in caught.value.hint
    with pytest.raises(OutputError, match="both appended to and replaced"):
        check_output(tmp_path / "a.gpkg", overwrite=True, append=True)
    check_output(write(tmp_path / "b.gpkg"), overwrite=False, append=True)
    assert len(read(tmp_path / "b.gpkg")) == 3


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("found.tab", r"cannot tell the format of .*found\.tab"),
        ("found", "cannot tell the format"),
        ("missing/found.gpkg", "no folder .*missing"),
        ("file.txt/found.gpkg", r"no folder .*file\.txt"),
        ("folder.gpkg", "is a folder"),
        ("there.gpkg", "exists already"),
    ],
)
def test_a_bad_destination_is_refused_before_writing(tmp_path, name, match):
    (tmp_path / "folder.gpkg").mkdir()
    (tmp_path / "file.txt").touch()
    (tmp_path / "there.gpkg").touch()
    with pytest.raises(OutputError, match=match) as caught:
        check_output(tmp_path / name, overwrite=False)
    assert caught.value.hint


@pytest.mark.parametrize(("name", "format"), [("f.gdb", None), ("f", "yolo")])
def test_a_folder_in_a_folder_that_is_not_there_is_refused(tmp_path, name, format):
    with pytest.raises(OutputError, match=rf"no folder .*missing to write {name} to") as caught:
        check_output(tmp_path / "missing" / name, overwrite=False, format=format)
    assert caught.value.hint == "create the folder first"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder that nobody can write to")
def test_a_read_only_folder_is_refused_before_writing():
    with pytest.raises(OutputError, match="cannot write to /proc"):
        check_output(Path("/proc/found.gpkg"), overwrite=True)


@pytest.mark.parametrize("name", ["a.gpkg", "a.json", "a.shp", "a.gdb", "a.kml"])
def test_a_path_that_gdal_takes_for_an_archive_is_refused_before_writing(tmp_path, name):
    folder = tmp_path / "new!"
    folder.mkdir()
    with pytest.raises(OutputError, match=rf"cannot write .*new!.{name}: because of its !"):
        check_output(folder / name, overwrite=False)
    check_output(folder / "a.csv", overwrite=False)
    check_output(folder / "a.json", overwrite=False, format="coco")


def test_checking_leaves_nothing_behind(tmp_path):
    check_output(tmp_path / "found.gpkg", overwrite=False)
    check_output(tmp_path / "yolo", overwrite=False, format="yolo")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["../labels.txt", "/etc/hosts", "in/a.txt", ".."])
def test_a_folder_of_text_that_names_files_outside_is_not_ours(tmp_path, name):
    about = tmp_path / "geodet.json"
    about.write_text(json.dumps({"files": ["a.txt"]}))
    assert yolo_files(tmp_path) == ["geodet.json", "a.txt"]
    about.write_text(json.dumps({"files": ["a.txt", name]}))
    assert yolo_files(tmp_path) == []


@pytest.mark.parametrize("system", [PurePosixPath, PureWindowsPath])
def test_an_address_is_to_be_read_through_vsicurl(system):
    with pytest.raises(VectorError, match="no such file") as caught:
        check_vector_exists(system("https://a.org/b.gpkg"))
    assert "/vsicurl/https://a.org/b.gpkg" in caught.value.hint
