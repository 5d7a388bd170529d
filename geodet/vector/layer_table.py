"""The table of a layer of detections in a GeoPackage."""

from __future__ import annotations

from pathlib import Path

from geodet.geopackage.table import GeoPackageTable
from geodet.vector.rows import APPROXIMATE, LAYER, TEXTS, VectorLayer

__all__ = ["open_table"]

_TYPES = {**dict.fromkeys(TEXTS, "TEXT"), APPROXIMATE: "BOOLEAN"}  # the others are REAL


def open_table(path: Path, layer: VectorLayer, *, indexed: bool = True) -> GeoPackageTable:
    """Open the layer of detections in a new file.

    Args:
        path: A file that does not exist.
        layer: Properties of the layer.
        indexed: Whether the layer gets a spatial index.

    Raises:
        sqlite3.Error: The file cannot be written.
    """
    columns = {name: _TYPES.get(name, "REAL") for name in layer.fields}
    return GeoPackageTable(path, LAYER, columns, layer.geometry_type, layer.crs, indexed=indexed)
