"""Areas of polygons on the ellipsoid."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer

from geodet.geometry.arrays import Floats

__all__ = ["ground_areas"]

_LARGEST = 5_000_000.0  # metres; polygons are cut to this size
_PIECES = 16  # pieces that an edge as long as its polygon is cut into
_FINE = 5_000.0  # metres; up to this size an edge of a map is as good as a geodesic


def ground_areas(polygons: NDArray[np.object_], crs: CRS | None) -> Floats:
    """Compute the areas of polygons on the ground.

    Edges are straight in the CRS of the polygons. They are cut into short ones where a polygon is
    large, so that geodesics follow them. A polygon of the size of a continent is cut to pieces: on
    the globe, a ring around more than half of it is one around the rest.

    Args:
        polygons: (N,) valid polygons and multipolygons; None and empty ones have no area.
        crs: CRS of the polygons.

    Returns:
        (N,) square metres; NaN without a CRS, or where it is not defined. In a local grid, those of
        its plane.

    Example:
        >>> hectare = shapely.box(500_000, 5_000_000, 500_100, 5_000_100)  # on UTM's meridian
        >>> ground_areas(np.array([hectare]), CRS.from_epsg(32633)).round(1).tolist()
        [10008.0]

    Reference:
        Karney 2013, "Algorithms for geodesics", doi:10.1007/s00190-012-0578-z, section 6.
    """
    areas = np.zeros(len(polygons))
    if crs is None:
        return areas + np.nan
    if crs.geodetic_crs is None:  # a local grid is a plane
        plane: Floats = np.nan_to_num(shapely.area(polygons)) * _metres(crs) ** 2
        return plane
    is_infinite = ~np.isfinite(shapely.bounds(polygons)).all(axis=1)
    is_infinite &= ~(shapely.is_missing(polygons) | shapely.is_empty(polygons))
    areas[is_infinite] = np.nan
    polygons = polygons.copy()
    polygons[is_infinite] = None
    pieces, owner = _cut_to_pieces(polygons, crs)
    parts, piece = shapely.get_parts(_cut_long_edges(pieces, crs), return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    if not len(rings):
        return areas
    is_outer = np.diff(part, prepend=-1) > 0
    sizes = _ring_areas(rings, crs)
    np.add.at(areas, owner[piece[part]], np.where(is_outer, sizes, -sizes))
    return areas


def _cut_to_pieces(
    polygons: NDArray[np.object_], crs: CRS
) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """Cut what is large into the cells of a grid; return the pieces, and the polygon of each."""
    bounds = shapely.bounds(polygons)
    sides = np.nan_to_num(bounds[:, 2:] - bounds[:, :2])
    counts = np.ceil(sides * _metres(crs) / _LARGEST).clip(1, _PIECES).astype(int)
    is_large = (counts > 1).any(axis=1)
    pieces, owners = [polygons[~is_large]], [np.flatnonzero(~is_large)]
    for row in np.flatnonzero(is_large):
        (x1, y1, x2, y2), (columns, rows) = bounds[row], counts[row]
        x, y = np.linspace(x1, x2, columns + 1), np.linspace(y1, y2, rows + 1)
        left, bottom = np.meshgrid(x[:-1], y[:-1])
        right, top = np.meshgrid(x[1:], y[1:])
        cells = shapely.box(left.ravel(), bottom.ravel(), right.ravel(), top.ravel())
        parts = shapely.get_parts(shapely.get_parts(shapely.intersection(polygons[row], cells)))
        parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
        pieces.append(parts)
        owners.append(np.full(len(parts), row))
    return np.concatenate(pieces), np.concatenate(owners)


def _metres(crs: CRS) -> float:
    """Return about how many metres a unit of the coordinates is."""
    unit = float(crs.axis_info[0].unit_conversion_factor) if crs.axis_info else 1.0
    return unit * 6_371_000.0 if crs.is_geographic else unit  # radians, or metres


def _cut_long_edges(polygons: NDArray[np.object_], crs: CRS) -> NDArray[np.object_]:
    x1, y1, x2, y2 = shapely.bounds(polygons).T
    side = np.nan_to_num(np.maximum(x2 - x1, y2 - y1))
    is_large = side * _metres(crs) > _FINE
    cut = np.array(polygons, object)
    if is_large.any():
        cut[is_large] = shapely.segmentize(cut[is_large], side[is_large] / _PIECES)
    return cut


def _ring_areas(rings: NDArray[np.object_], crs: CRS) -> Floats:
    """Compute the area that each ring encloses, whichever way it runs."""
    geodetic = crs.geodetic_crs
    ellipsoid = crs.ellipsoid
    assert geodetic is not None  # checked by the caller
    assert ellipsoid is not None
    vertices, ring = shapely.get_coordinates(rings, return_index=True)
    transformer = Transformer.from_crs(crs, geodetic, always_xy=True)
    degrees = np.degrees(geodetic.axis_info[0].unit_conversion_factor)  # of grads, 0.9
    longitude, latitude = (degrees * axis for axis in transformer.transform(*vertices.T))
    geod = Geod(a=ellipsoid.semi_major_metre, b=ellipsoid.semi_minor_metre)
    ends = np.cumsum(np.bincount(ring, minlength=len(rings)))[:-1]
    sides = zip(np.split(longitude, ends), np.split(latitude, ends), strict=True)
    measured = [geod.polygon_area_perimeter(east, north)[0] for east, north in sides]
    areas: Floats = np.abs(np.array(measured))
    areas[~np.isfinite(areas)] = np.nan
    return areas
