"""Join polygons that are split at the antimeridian, as RFC 7946 asks for: they are one object."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.geometry.full_turns import full_turn, move_beside

__all__ = ["join_at_antimeridian", "make_objects_whole"]

_Shapes = NDArray[np.object_]

_TOLERANCE = 3e-9  # of a full turn: 1e-6 degrees, 0.1 m


def join_at_antimeridian(shapes: _Shapes, crs: CRS | None) -> _Shapes:
    """Join the parts of multi-polygons that meet at the antimeridian.

    Args:
        shapes: (N,) geometries of any kind.
        crs: Theirs; nothing is joined unless it is geographic.

    Returns:
        (N,) geometries. The joined parts lie between 180 degrees and beyond; all others stay as
        they are.

    Reference:
        RFC 7946, "The GeoJSON Format", section 3.1.9.
    """
    if crs is None or not crs.is_geographic:
        return shapes
    half = full_turn(crs) / 2
    edge = half * (1 - 2 * _TOLERANCE)
    west, _, east, _ = shapely.bounds(shapes).T
    is_multiple = shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOLYGON
    joined = shapes.copy()
    for row in np.flatnonzero(is_multiple & (west <= -edge) & (east >= edge)):
        joined[row] = _joined(shapely.get_parts(shapes[row]), half, edge)
    return joined


def make_objects_whole(shapes: _Shapes, crs: CRS | None) -> _Shapes:
    """Join objects that are split at the antimeridian, and mend those that span the globe.

    Programs that ignore the antimeridian write an object there with vertices at 179.9 and -179.9
    degrees. An object is narrower than half a turn, so all its vertices are moved to within half a
    turn of the first one.

    Args:
        shapes: (N,) objects, which are small, such as detections.
        crs: Theirs.

    Returns:
        (N,) geometries.
    """
    shapes, turn = join_at_antimeridian(shapes, crs).copy(), full_turn(crs)
    if not turn:
        return shapes
    west, _, east, _ = shapely.bounds(shapes).T
    for row in np.flatnonzero(east - west > turn / 2):
        first = shapely.get_coordinates(shapes[row])[0, 0]
        shapes[row] = shapely.transform(
            shapes[row],
            lambda xy, first=first: move_beside(xy, first, turn),
        )
    return shapes


def _joined(parts: _Shapes, half: float, edge: float) -> shapely.Geometry:
    west, _, east, _ = shapely.bounds(parts).T
    before, after = (east >= edge) & (west > -edge), (west <= -edge) & (east < edge)
    moved = shapely.transform(parts[after], lambda xy: xy + np.array([2 * half, 0.0]))
    meeting = shapely.transform(
        np.concatenate([parts[before], moved]),
        lambda xy: np.column_stack([_snapped(xy[:, 0], half, edge), xy[:, 1]]),
    )
    whole = shapely.get_parts(shapely.union_all(meeting))
    polygons = whole[shapely.get_type_id(whole) == shapely.GeometryType.POLYGON]
    return shapely.multipolygons([*polygons, *parts[~before & ~after]])


def _snapped(x: NDArray[np.float64], half: float, edge: float) -> NDArray[np.float64]:
    """Move x that is at the antimeridian, except for rounding, onto it."""
    return np.where(np.abs(x - half) <= half - edge, half, x)
