"""The direction of north in the pixels of a raster."""

from __future__ import annotations

import math

import numpy as np
from pyproj import Transformer

from geodet.geometry.geobox import WGS_84, GeoBox, is_on_earth

__all__ = ["north_angle"]

_STEP = 1e-4  # degrees, 11 m


def north_angle(geobox: GeoBox, xy: tuple[float, float]) -> float | None:
    """Compute the direction of true north at a point of a raster.

    Args:
        geobox: Geobox of the raster.
        xy: Column and row, in continuous pixels.

    Returns:
        Degrees clockwise from the upward direction of the picture, in (-180, 180]; None without
        longitudes and latitudes, or at a pole.

    Example:
        >>> from affine import Affine
        >>> from pyproj import CRS
        >>> quarter = Affine.translation(500_000, 5_000_000) @ Affine.rotation(90)
        >>> turned = GeoBox(10, 10, quarter @ Affine.scale(1, -1), CRS.from_epsg(32633))
        >>> north_angle(turned, (5, 5))  # rows run to the east, columns to the north
        90.0
    """
    crs = geobox.crs
    if crs is None or crs.geodetic_crs is None:
        return None
    degrees = WGS_84 if is_on_earth(crs) else crs.geodetic_crs  # of another planet
    to_degrees = Transformer.from_crs(crs, degrees, always_xy=True)
    centre = geobox.to_world(np.array([xy], np.float64))[0]
    longitude, latitude = to_degrees.transform(*centre)
    south = max(latitude - _STEP, -90.0)
    places = to_degrees.transform([longitude, longitude], [south, latitude], direction="INVERSE")
    (x0, y0), (x1, y1) = geobox.to_pixels(np.column_stack(places))
    length = math.hypot(x1 - x0, y1 - y0)
    if not 0 < length < math.inf:
        return None
    return round(math.degrees(math.atan2(x1 - x0, y0 - y1)), 3)
