"""Rows that a GeoPackage holds: their bounds, and which of them may show what new rows show."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox
from geodet.geometry.ground_pairs import GroundPairs
from geodet.vector.rows import LAYER

__all__ = ["add_geometry_functions", "iter_stored_pairs"]

_AT_ONCE = 20_000
_NUMBERS = ("score", "x1_px", "y1_px", "x2_px", "y2_px", "area_m2")
_PLACES = {"ST_MinX": 0, "ST_MaxX": 1, "ST_MinY": 2, "ST_MaxY": 3}  # in a header's envelope
_HEADER, _ENVELOPES = 8, (0, 32, 48, 48, 64)


def add_geometry_functions(database: sqlite3.Connection) -> None:
    """Add the functions of the standard that a layer's spatial index calls when rows change.

    Reference:
        OGC 12-128r18, "GeoPackage encoding standard", annex F.3.
    """
    for name, place in _PLACES.items():
        database.create_function(name, 1, partial(_bound, place), deterministic=True)
    database.create_function("ST_IsEmpty", 1, _is_empty, deterministic=True)


def iter_stored_pairs(
    database: sqlite3.Connection, *, fresh: str, stored: str, column: str, crs: CRS | None
) -> Iterator[GroundPairs]:
    """Yield the pairs of a new row and a stored one that may show one object.

    Both are of one class, and of different scenes. The spatial index of the layer finds them, so
    memory holds some thousand at a time. Around points, boxes of their objects' size are compared.
    Rows in plain pixels, which all begin at (0, 0), are not.

    Args:
        database: The GeoPackage, with the new rows attached.
        fresh: Name of the table of new rows, with the same columns.
        stored: SQL that says which rows ``e`` of the layer are compared.
        column: Name of the layer's geometry.
        crs: CRS of the layer.
    """
    database.execute("CREATE TEMP TABLE sought (id INTEGER PRIMARY KEY, x1, x2, y1, y2)")
    read = database.execute(f"SELECT n.rowid, n.geom, {_of('n')} FROM {fresh} n")
    while rows := read.fetchmany(_AT_ONCE):
        shapes, reach = _shapes([row[1:] for row in rows], crs)
        x1, y1, x2, y2 = (shapely.bounds(shapes) + reach[:, None] * [-1, -1, 1, 1]).T
        sought = np.stack([x1, x2, y1, y2], axis=1)
        known = np.flatnonzero(np.isfinite(sought).all(axis=1))
        table = [(rows[row][0], *sought[row].tolist()) for row in known.tolist()]
        database.executemany("INSERT INTO sought VALUES (?, ?, ?, ?, ?)", table)
    pairs = database.execute(
        f"SELECT n.rowid, e.rowid, n.geom, {_of('n')}, e.{column}, {_of('e')} FROM sought s "
        f'CROSS JOIN "rtree_{LAYER}_{column}" r ON r.minx <= s.x2 AND r.maxx >= s.x1 '
        f"AND r.miny <= s.y2 AND r.maxy >= s.y1 "
        f"CROSS JOIN {fresh} n ON n.rowid = s.id "
        f"CROSS JOIN main.{LAYER} e ON e.rowid = r.id "
        f"WHERE e.label = n.label AND e.scene != n.scene AND {stored}"
    )
    while rows := pairs.fetchmany(_AT_ONCE):
        yield _to_pairs(rows, crs)
    database.execute("DROP TABLE sought")


def _of(table: str) -> str:
    """List the columns as SQL. A text among numbers, which SQLite allows, counts as missing."""
    numbers = [f"{table}.{name}" for name in _NUMBERS]
    checked = [f"CASE WHEN typeof({n}) IN ('real', 'integer') THEN {n} END" for n in numbers]
    return ", ".join([f"{table}.scene", *checked])


def _to_pairs(rows: Sequence[Sequence[Any]], crs: CRS | None) -> GroundPairs:
    width = (len(rows[0]) - 2) // 2
    sides = [[row[2 + width * side :][:width] for row in rows] for side in (0, 1)]
    shapes = np.stack([_shapes(side, crs)[0] for side in sides], axis=1)
    known = np.array([shape is not None for shape in shapes.ravel()]).reshape(-1, 2).all(axis=1)
    ids = np.array([row[:2] for row in rows], np.int64)
    scores = np.array([[row[2] for row in side] for side in sides], np.float64).T
    scenes = np.array([[row[1] for row in side] for side in sides], object).T
    return GroundPairs(ids[known], scores[known], scenes[known], shapes[known])


def _shapes(rows: Sequence[Sequence[Any]], crs: CRS | None) -> tuple[NDArray[Any], Floats]:
    """Return the polygons of rows, and how far beyond their bounds points of others may be.

    Args:
        rows: N of geometry, scene, score, four sides in pixels, area.
        crs: CRS of the geometry.

    Returns:
        (N,) polygons, None where it is not known where they are, and (N,) distances.
    """
    found = _from_wkb([_to_wkb(row[0]) for row in rows])
    sides = np.array([row[3:7] for row in rows], np.float64).reshape(-1, 4)
    reach = np.zeros(len(rows))
    if crs is None:
        found[_is_in_pixels(found, sides)] = None
    points = shapely.get_type_id(found) == shapely.GeometryType.POINT
    if points.any():
        areas = np.array([row[7] for row in rows], np.float64)[points]
        found[points] = _boxes_around(found[points], sides[points], areas, crs)
        reach[points] = _farthest(found[points])
    return found, np.nan_to_num(reach)


def _from_wkb(stored: Sequence[bytes | None]) -> NDArray[Any]:
    """Read geometries; None for what cannot be read, such as a curve."""
    try:
        return np.asarray(shapely.from_wkb(stored, on_invalid="ignore"), object)
    except NotImplementedError:
        if len(stored) == 1:
            return np.array([None], object)
        return np.concatenate([_from_wkb([each]) for each in stored])


def _is_in_pixels(shapes: NDArray[Any], sides: Floats) -> NDArray[np.bool_]:
    """Whether rows have the coordinates of their scene's pixels, of which the y are negative."""
    x1, _, _, y2 = shapely.bounds(shapes).T
    return np.asarray((x1 == sides[:, 0]) & (y2 == -sides[:, 1]), np.bool_)


def _boxes_around(points: NDArray[Any], sides: Floats, areas: Floats, crs: CRS | None) -> Any:
    """Return boxes of known size around points: (N,) polygons, None where it is not known.

    They stand upright, since a point says nothing of its scene's rotation.
    """
    if crs is None:
        return np.full(len(points), None, object)
    x, y = shapely.get_x(points), shapely.get_y(points)
    units = GeoBox(1, 1, Affine.identity(), crs).pixel_area(np.stack([x, y], axis=1))
    wide, high = sides[:, 2] - sides[:, 0], sides[:, 3] - sides[:, 1]
    with np.errstate(all="ignore"):
        pixel = np.sqrt(areas / (wide * high * units))
    boxes = shapely.box(
        x - pixel * wide / 2, y - pixel * high / 2, x + pixel * wide / 2, y + pixel * high / 2
    )
    boxes[~np.isfinite(pixel)] = None
    return boxes


def _farthest(boxes: NDArray[Any]) -> Floats:
    """Return how far from a box the centre of one may be that overlaps it by an IoU of 0.2."""
    x1, y1, x2, y2 = shapely.bounds(boxes).T
    farthest: Floats = 2.5 * np.maximum(x2 - x1, y2 - y1)
    return farthest


def _bound(place: int, blob: object) -> float | None:
    """Return a bound of a geometry from its header, or else from the geometry itself."""
    if not isinstance(blob, bytes) or blob[:2] != b"GP" or _is_empty(blob):
        return None
    order = "<" if blob[3] & 1 else ">"
    if blob[3] >> 1 & 7:
        return float(struct.unpack_from(f"{order}d", blob, _HEADER + 8 * place)[0])
    (x1, y1, x2, y2), *_ = shapely.bounds(_from_wkb([_to_wkb(blob)])).tolist()
    return float((x1, x2, y1, y2)[place])


def _is_empty(blob: object) -> int:
    return int(not isinstance(blob, bytes) or len(blob) < _HEADER or bool(blob[3] >> 4 & 1))


def _to_wkb(blob: bytes | None) -> bytes | None:
    """Return a geometry without the header of the format; None of what is none."""
    if blob is None or _is_empty(blob):
        return None
    return blob[_HEADER + _ENVELOPES[min(blob[3] >> 1 & 7, 4)] :]
