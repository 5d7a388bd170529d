"""Frames where a vector file is read."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd

__all__ = ["to_vector_file"]


def to_vector_file(vectors: str | Path | gpd.GeoDataFrame | None, folder: str) -> Path | None:
    """Return the path of a vector file, of a frame that of its copy in a folder.

    A layer has one geometry: other columns of geometries than the active one are left out.
    """
    if not isinstance(vectors, gpd.GeoDataFrame):
        return None if vectors is None else Path(vectors)
    others = vectors.select_dtypes("geometry").columns.drop(vectors.geometry.name)
    path = Path(folder) / "detections.gpkg"
    vectors.drop(columns=others).to_file(path, layer="detections")
    return path
