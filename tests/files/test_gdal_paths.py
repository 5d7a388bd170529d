import os
from pathlib import Path, PureWindowsPath

import pytest

from geodet.errors import OutputError, VectorError
from geodet.files.gdal_paths import check_gdal_output, gdal_path

_ADDRESSES = ["/vsizip/a!b.zip/a.gpkg", "zip://a.zip!b.gpkg", "https://host/a;b.gpkg"]


@pytest.mark.parametrize("path", [*_ADDRESSES, "a/b.gpkg", "/a b/c?d#e%21.gpkg"])
def test_an_address_and_a_plain_path_are_left_alone(path):
    assert gdal_path(path) == path
    check_gdal_output(Path("a/b.gpkg"))


def test_windows_keeps_the_slashes_of_file_systems_of_gdal_alone():
    assert gdal_path(PureWindowsPath("/vsizip/C:/a/b.zip/c.shp")) == "/vsizip/C:/a/b.zip/c.shp"
    assert gdal_path(PureWindowsPath("C:/a/b.gpkg")) == r"C:\a\b.gpkg"


@pytest.mark.skipif(os.name == "nt", reason="a path with a drive is never parsed")
@pytest.mark.parametrize("path", ["a;b.gpkg", "//a/b.gpkg", Path("/a/b;c.gpkg")])
def test_other_paths_become_addresses_of_files(path):
    assert gdal_path(path) == f"file://{Path.cwd() / path}"


def test_an_exclamation_mark_is_refused_with_the_reason():
    message = (
        r"a!/b\.gpkg: because of its !, GDAL would take it for the file /b\.gpkg in an archive"
    )
    with pytest.raises(VectorError, match=message) as raised:
        gdal_path("a!/b.gpkg")
    assert "without !" in raised.value.hint
    with pytest.raises(OutputError, match=f"cannot write {message}"):
        check_gdal_output(Path("a!/b.gpkg"))
