"""Reads layers of points and polygons as arrays of vertices, and their attributes as Arrow.

Where all objects have as many vertices, as boxes and points have, no geometry is made: a million
boxes take a second of CPU time, in place of ten for a million geometries and a frame.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.files.gdal_paths import gdal_path
from geodet.geometry.arrays import Floats
from geodet.vector.formats import path_of
from geodet.vector.lazy_modules import parquet, pyarrow, pyogrio
from geodet.vector.vector_files import (
    choose_encoding,
    crs_or_none,
    is_parquet,
    is_table,
    reading_layer,
)

__all__ = ["ShapeLayer", "read_shape_layer"]

_KINDS = {int(shapely.GeometryType.POINT), int(shapely.GeometryType.POLYGON)}
_POINT_HEAD = struct.pack("<BI", 1, 1)
_POLYGON_HEAD = 13  # bytes: order, type, number of rings, number of vertices
_DEFAULT_CRS = "OGC:CRS84"  # of GeoParquet that names none


@dataclass(frozen=True, slots=True)
class ShapeLayer:
    """Points and polygons, each of one part."""

    vertices: Floats
    """(V, 2) float64 of all objects, in their order; all are finite."""
    first: NDArray[np.intp]
    """(N,) the first vertex of each object."""
    crs: CRS | None
    """CRS of the vertices; None where the file has none."""
    attributes: Any
    """Table of Arrow with N rows."""


def read_shape_layer(path: str | Path) -> ShapeLayer | None:
    """Read a layer as arrays.

    Args:
        path: A file with one layer of geometries, or ``FILE|layername=NAME``.

    Returns:
        None where an object has several parts, no geometry or a vertex that is not finite, where a
        layer has no objects, and for tables of text and folders.

    Raises:
        VectorError: The file cannot be read.
    """
    file = path_of(path)
    if is_table(file) or Path(file).is_dir():
        return None
    with reading_layer(path) as (file, layer):
        table, shapes, crs = _read_parquet(file) if is_parquet(file) else _read_ogr(file, layer)
        if shapes is None or shapes.null_count or not len(shapes):
            return None
        found = _alike(shapes) or _of_any_shape(shapes)
    if found is None or not np.isfinite(found[0]).all():
        return None
    return ShapeLayer(*found, crs, table)


def _read_ogr(file: str, layer: str) -> tuple[Any, Any, CRS | None]:
    """Return the attributes, the geometries as WKB, None without any, and the CRS."""
    about, table = pyogrio.read_arrow(gdal_path(file), layer=layer, encoding=choose_encoding(file))
    name = about["geometry_name"] or "wkb_geometry"
    if name not in table.column_names:
        return table, None, None
    return table.drop_columns([name]), table.column(name), crs_or_none(about["crs"])


def _read_parquet(file: str) -> tuple[Any, Any, CRS | None]:
    about = json.loads((parquet.read_schema(file).metadata or {}).get(b"geo", b"{}"))
    name = about.get("primary_column", "")
    column = about.get("columns", {}).get(name, {})
    if column.get("encoding") != "WKB":
        return None, None, None
    table = parquet.read_table(file)
    return table.drop_columns([name]), table.column(name), _crs_of_parquet(column)


def _crs_of_parquet(column: dict[str, Any]) -> CRS | None:
    found = column.get("crs", _DEFAULT_CRS)
    return crs_or_none(json.dumps(found) if isinstance(found, dict) else found)


_Vertices = tuple[Floats, NDArray[np.intp]]


def _alike(shapes: Any) -> _Vertices | None:
    """Return the vertices of geometries in WKB, None if they differ in anything but coordinates."""
    parts = list(_iter_rows(shapes))
    sizes = {0 if rows is None else rows.shape[1] for rows in parts}
    if len(sizes) > 1 or 0 in sizes:
        return None
    head = _head(sizes.pop())
    if head is None or any((rows[:, : len(head)] != head).any() for rows in parts):
        return None
    numbers = [np.ascontiguousarray(rows[:, len(head) :]).view("<f8") for rows in parts]
    joined = np.concatenate(numbers)
    vertices = joined.reshape(len(joined), -1, 2)
    return vertices.reshape(-1, 2), np.arange(len(vertices)) * vertices.shape[1]


def _of_any_shape(shapes: Any) -> _Vertices | None:
    """Return the vertices of points and polygons in WKB, None if there are others or empty ones."""
    try:
        geometries = shapely.from_wkb(shapes.to_numpy())
    except NotImplementedError:  # of curves, which only GDAL turns into lines
        return None
    kinds = set(np.unique(shapely.get_type_id(geometries)).tolist())
    if not kinds <= _KINDS or shapely.is_empty(geometries).any():
        return None
    vertices, owner = shapely.get_coordinates(geometries, return_index=True)
    return vertices, np.flatnonzero(np.diff(owner, prepend=-1))


def _iter_rows(shapes: Any) -> Iterator[Any]:
    """Yield the bytes of each chunk as rows, None for a chunk whose values differ in length."""
    for chunk in shapes.chunks:
        if not len(chunk):
            continue
        kind = np.int64 if pyarrow.types.is_large_binary(chunk.type) else np.int32
        _, starts, content = chunk.buffers()
        ends = np.frombuffer(starts, kind)[chunk.offset : chunk.offset + len(chunk) + 1]
        lengths = np.diff(ends)
        if content is None or (lengths != lengths[0]).any():
            yield None
        else:
            octets = np.frombuffer(content, np.uint8)[ends[0] : ends[-1]]
            yield octets.reshape(len(chunk), -1)


def _head(size: int) -> Any:
    """Return the bytes that a point or a polygon of a size begins with, None if it is neither."""
    if size == len(_POINT_HEAD) + 16:
        return np.frombuffer(_POINT_HEAD, np.uint8)
    corners, rest = divmod(size - _POLYGON_HEAD, 16)
    if rest or corners < 4:
        return None
    return np.frombuffer(struct.pack("<BIII", 1, 3, 1, corners), np.uint8)
