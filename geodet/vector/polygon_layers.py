"""Layers of polygons other than detections."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from geodet.files.gdal_paths import gdal_path
from geodet.vector.gdal_errors import raising_gdal_errors
from geodet.vector.lazy_modules import geopandas, pyogrio

__all__ = ["write_polygons"]


def write_polygons(
    path: Path,
    layer: str,
    frame: geopandas.GeoDataFrame,
    *,
    is_edited: bool = False,
) -> None:
    """Add a layer of polygons to a GeoPackage.

    Args:
        path: The file; created if it does not exist.
        layer: The name of the layer.
        frame: Its rows; may be empty, or without a CRS.
        is_edited: Whether rows will be added by SQLite alone: the column of identifiers is called
            ``fid``, and there is no spatial index.

    Raises:
        OSError: The file cannot be written.
    """
    options: dict[str, Any] = {"SPATIAL_INDEX": "NO", "FID": "fid"} if is_edited else {}
    if frame.crs is None:
        options["SRID"] = "-1"  # "undefined Cartesian", not degrees
    with raising_gdal_errors(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.write_dataframe(
            frame,
            gdal_path(path),
            layer=layer,
            driver="GPKG",
            geometry_type="Polygon",
            layer_options=options,
        )
