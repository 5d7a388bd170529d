import ctypes
import sys

import rasterio._env

from geodet.raster.gdal_options import gdal_library


def test_the_library_has_the_functions_of_gdal():
    assert ctypes.CDLL(gdal_library()).VSICurlClearCache


def test_windows_finds_it_in_the_wheel_of_rasterio_or_else_where_it_looks_itself(
    tmp_path, monkeypatch
):
    module = tmp_path / "rasterio" / "_env.pyd"
    monkeypatch.setattr(rasterio._env, "__file__", str(module))
    monkeypatch.setattr(sys, "platform", "win32")
    assert gdal_library() == "gdal.dll"
    library = tmp_path / "rasterio.libs" / "gdal-06c8.dll"
    library.parent.mkdir()
    library.touch()
    assert gdal_library() == str(library)
