"""Write arrays as GeoTIFFs, whole or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # a copy raises it, and it is not a RasterioError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetWriter, MemoryFile

from geodet.files.outputs import replacing
from geodet.geometry.geobox import GeoBox

__all__ = ["write_raster", "writing_geotiff"]


def write_raster(path: Path, pixels: NDArray[Any], geobox: GeoBox) -> None:
    """Write a tiled, compressed GeoTIFF.

    Args:
        path: The file; an existing one is replaced when the new one is complete.
        pixels: (C, H, W).
        geobox: Geobox of H rows and W columns.

    Raises:
        OutputError: The file cannot be written.
    """
    count, height, width = pixels.shape
    assert (width, height) == (geobox.width, geobox.height)
    profile = {
        "count": count,
        "height": height,
        "width": width,
        "dtype": pixels.dtype.name,
        "transform": geobox.transform,
        "crs": None if geobox.crs is None else geobox.crs.to_wkt(),
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "predictor": 2,
    }
    with replacing(path) as temporary, writing_geotiff(temporary, profile) as raster:
        raster.write(pixels)


@contextmanager
def writing_geotiff(path: Path, profile: Mapping[str, Any]) -> Iterator[DatasetWriter]:
    """Yield a new raster, which is written to a file as a GeoTIFF when the block succeeds.

    GDAL writes to memory, and Python to the disk: where the disk is full, GDAL notices it when it
    closes a file, and rasterio raises no error then.

    Args:
        path: The file.
        profile: As for ``rasterio.open``, without the driver.

    Raises:
        OSError: The raster cannot be made, or the file cannot be written as a whole.
    """
    try:
        with MemoryFile(filename="new.tif") as memory:
            with _open(memory, driver="GTiff", **profile) as raster:
                yield raster
            content = memory.read()
            _copy_side_file(memory, path)
        path.write_bytes(content)
    except (CPLE_BaseError, RasterioError) as error:
        raise OSError(str(error)) from error


def _open(memory: MemoryFile, **profile: Any) -> Any:
    """Open a raster in memory, without a warning if it has no georeference."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return memory.open(**profile)


def _copy_side_file(memory: MemoryFile, path: Path) -> None:
    """Copy the ``.aux.xml`` in which GDAL puts what no GeoTIFF holds, such as a rotated pole.

    Raises:
        OSError: It cannot be written as a whole.
    """
    with _open(memory) as raster:
        if len(raster.files) == 1:
            return
    rasterio.shutil.copyfiles(memory.name, str(path))
    rasterio.shutil.delete(memory.name)
    side_file = path.with_name(f"{path.name}.aux.xml")
    try:
        ET.parse(side_file)
    except ET.ParseError as error:
        raise OSError(f"{side_file.name} was cut off") from error
