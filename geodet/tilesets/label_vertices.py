"""The vertices of labels in the pixels of a raster."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats
from geodet.geometry.full_turns import full_turn, within_half_turn
from geodet.geometry.geobox import GeoBox

__all__ = ["bounds_in_pixels", "quads_in_pixels", "shapes_in_pixels"]

_CLOSED_QUAD = 5  # vertices, the first one twice


def bounds_in_pixels(vertices: Floats, first: NDArray[np.intp], geobox: GeoBox) -> Floats:
    """Compute the bounds of each object in the pixels of a raster, from its vertices.

    Args:
        vertices: (V, 2) of all objects, in their order, in the CRS of the raster.
        first: (N,) the first vertex of each object.
        geobox: Geobox of the raster.

    Returns:
        (N, 4) float64, x1 y1 x2 y2. Not finite for an object whose coordinates do not exist in the
        CRS.
    """
    if not len(first):
        return np.zeros((0, 4))
    with np.errstate(invalid="ignore"):  # infinite where coordinates do not exist in the CRS
        pixels = geobox.to_pixels(_near(vertices, first, geobox))
    low, high = np.minimum.reduceat(pixels, first), np.maximum.reduceat(pixels, first)
    return np.hstack([low, high])


def quads_in_pixels(vertices: Floats, first: NDArray[np.intp], geobox: GeoBox) -> Floats:
    """Compute the corners of objects that have four, in the pixels of a raster.

    Args:
        vertices: As for :func:`bounds_in_pixels`.
        first: Likewise.
        geobox: Geobox of the raster.

    Returns:
        (N, 4, 2) float64; not finite for other objects.
    """
    corners = np.full((len(first), 4, 2), np.nan)
    rows = np.flatnonzero(np.diff(first, append=len(vertices)) == _CLOSED_QUAD)
    if len(rows):
        with np.errstate(invalid="ignore"):  # infinite where coordinates do not exist in the CRS
            pixels = geobox.to_pixels(_near(vertices, first, geobox))
        corners[rows] = pixels[first[rows, None] + np.arange(4)]
    return corners


def shapes_in_pixels(geometries: NDArray[np.object_], geobox: GeoBox) -> NDArray[np.object_]:
    """Transform points and polygons to the pixels of a raster.

    Args:
        geometries: (N,) not empty, in the CRS of the raster.
        geobox: Geobox of the raster.

    Returns:
        (N,) new geometries.
    """
    vertices, owner = shapely.get_coordinates(geometries, return_index=True)
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    pixels = geobox.to_pixels(_near(vertices, first, geobox))
    return np.asarray(shapely.set_coordinates(geometries.copy(), pixels), np.object_)


def _near(vertices: Floats, first: NDArray[np.intp], geobox: GeoBox) -> Floats:
    """Move each object as a whole by full turns to the side of the globe where a raster lies.

    Args:
        vertices: (V, 2) of all objects, in their order.
        first: (N,) the first vertex of each object that has any.
        geobox: Geobox of the raster.
    """
    turn = full_turn(geobox.crs)
    if not turn or not len(first):
        return vertices
    lengths = np.diff(np.append(first, len(vertices)))
    whole = within_half_turn(vertices[:, 0], np.repeat(vertices[first, 0], lengths), turn)
    middles = (np.minimum.reduceat(whole, first) + np.maximum.reduceat(whole, first)) / 2
    centre = geobox.to_world(np.array([geobox.width, geobox.height]) / 2)[0]
    shifts = within_half_turn(middles, centre, turn) - middles
    return np.stack([whole + np.repeat(shifts, lengths), vertices[:, 1]], axis=-1)
