"""Edits of a file of reviews as QGIS makes them: it fills in no column that was not typed."""

import contextlib
import sqlite3

import geopandas
import numpy as np
import shapely

from geodet.reviewing.stored_geometries import decode_geometry

__all__ = ["draw", "edit"]


def draw(path, layer, geobox, boxes, **columns):
    """Draw boxes, x1 y1 x2 y2 in the pixels of a geobox, with values of some columns."""
    crs = geopandas.read_file(path, layer=layer).crs
    shapes = shapely.polygons(geobox.corners(np.array(boxes, np.float64), crs))
    filled = {name: [value] * len(boxes) for name, value in columns.items()}
    frame = geopandas.GeoDataFrame(filled, geometry=shapes, crs=crs)
    frame.to_file(path, layer=layer, mode="a", driver="GPKG")


def edit(path, layer, fid, change):
    """Replace the geometry of a row by what a function makes of it; None: remove it."""
    query = f"SELECT geom FROM {layer} WHERE fid = ?"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        (stored,) = database.execute(query, (fid,)).fetchone()
        new = change(decode_geometry(stored))
        header = b"GP\0\1" + stored[4:8]  # and the number of the CRS
        geometry = None if new is None else header + shapely.to_wkb(new)
        database.execute(f"UPDATE {layer} SET geom = ? WHERE fid = ?", (geometry, fid))
