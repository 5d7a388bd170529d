"""Write arrays as GeoTIFFs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rasterio
from numpy.typing import NDArray

from geodet.files.outputs import replacing
from geodet.geometry.geobox import GeoBox

__all__ = ["write_raster"]


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
        "driver": "GTiff",
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
    with replacing(path) as temporary, rasterio.open(temporary, "w", **profile) as raster:
        raster.write(pixels)
