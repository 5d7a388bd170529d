"""Describe where a vector file and a raster lie, and why they may not meet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pyproj import CRS

from geodet.errors import VectorError
from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import WGS_84, GeoBox
from geodet.geometry.reprojection import raster_bounds
from geodet.vector.vector_files import read_extent

__all__ = [
    "FILE_REMEDY",
    "LABELS_REMEDY",
    "compare_extents",
    "compare_file_extent",
    "guess_why_apart",
]

LABELS_REMEDY = "--crs EPSG:4326 for a file without a CRS, or ogr2ogr -a_srs EPSG:4326"
"""The hint for labels in degrees that are taken for metres, in commands with ``--crs``."""
FILE_REMEDY = "name their CRS with ogr2ogr -a_srs EPSG:4326 NEW.gpkg FILE"
"""Likewise for other files."""


def compare_file_extent(
    path: str | Path,
    geobox: GeoBox,
    *,
    what: str,
    raster: str = "the scene",
    remedy: str = FILE_REMEDY,
) -> str:
    """Describe where the objects of a vector file and a raster lie, in the CRS of the file.

    Args:
        path: The file.
        geobox: Geobox of the raster.
        what: What to call the objects, in the plural, such as ``labels``.
        raster: What to call the raster, such as ``the scene``.
        remedy: As for :func:`guess_why_apart`.

    Raises:
        VectorError: The file cannot be read.
    """
    crs, extent = read_extent(path)
    if not np.isfinite(extent).all():
        return f"the file contains no {what}"
    text = f"the {what} span {compare_extents(extent, crs, geobox, raster)}"
    guess = guess_why_apart(extent, crs, geobox, raster, remedy=remedy)
    return f"{text}; {guess}" if guess else f"check the CRS of both: {text}"


def compare_extents(
    bounds: Floats, crs: CRS | None, geobox: GeoBox, raster: str = "the scene"
) -> str:
    """Write bounds and the extent of a raster, if possible in the CRS of the bounds.

    Args:
        bounds: (4,) x1 y1 x2 y2.
        crs: CRS of the bounds; None: the raster's.
        geobox: Geobox of the raster.
        raster: What to call the raster.

    Returns:
        ``1,2 to 3,4 and the scene 5,6 to 7,8 in WGS 84``.
    """
    area, scene = _to_text(bounds), _scene_bounds(geobox, crs)
    system = crs or geobox.crs
    where = f"{raster}'s coordinates" if system is None else system.name
    if np.isfinite(scene).all():
        return f"{area} and {raster} {_to_text(scene)} in {where}"
    own = geobox.crs.name if geobox.crs else where
    return f"{area} in {where} and {raster} {_to_text(raster_bounds(geobox, None))} in {own}"


def guess_why_apart(
    bounds: Floats,
    crs: CRS | None,
    geobox: GeoBox,
    raster: str = "the scene",
    *,
    remedy: str = FILE_REMEDY,
) -> str:
    """Guess why bounds and a raster do not meet.

    Args:
        bounds: (4,) x1 y1 x2 y2.
        crs: CRS of the bounds; None: the raster's.
        geobox: Geobox of the raster.
        raster: What to call the raster.
        remedy: What to do where degrees are taken for other units.

    Returns:
        A guess under which they would meet; empty if there is none, or if they meet.

    Example:
        >>> from affine import Affine
        >>> scene = GeoBox(10, 10, Affine(0.1, 0, 13, 0, -0.1, 53), WGS_84)
        >>> guess_why_apart(np.array([52.4, 13.1, 52.6, 13.2]), scene.crs, scene)
        'perhaps latitude and longitude are swapped'
    """
    here = _scene_bounds(geobox, crs)
    if _meet(bounds, here):
        return ""
    guesses = _iter_guesses(bounds, crs, geobox, raster, remedy)
    return next((text for frame, box, text in guesses if _meet(box, frame)), "")


def _iter_guesses(
    bounds: Floats, crs: CRS | None, geobox: GeoBox, raster: str, remedy: str
) -> Iterator[tuple[Floats, Floats, str]]:
    """Yield extents of the raster, bounds that would meet them, and what that would mean."""
    system, swapped = crs or geobox.crs, bounds[[1, 0, 3, 2]]
    axes = "latitude and longitude" if system and system.is_geographic else "x and y"
    yield _scene_bounds(geobox, crs), swapped, f"perhaps {axes} are swapped"
    if geobox.crs is None:
        return
    if crs is not None:
        text = f"perhaps the coordinates are in {geobox.crs.name}, as {raster}"
        yield raster_bounds(geobox, None), bounds, text
    degrees = _scene_bounds(geobox, WGS_84)
    text = "perhaps the coordinates are degrees"
    yield degrees, bounds, f"{text}: {remedy}"
    yield degrees, swapped, f"{text}, with latitude and longitude swapped"


def _scene_bounds(geobox: GeoBox, crs: CRS | None) -> Floats:
    """Return the extent of a raster in a CRS, not finite where there is none."""
    try:
        return raster_bounds(geobox, crs)
    except VectorError:
        return np.full(4, np.nan)


def _meet(one: Floats, other: Floats) -> bool:
    return bool(np.all(one[:2] <= other[2:]) and np.all(other[:2] <= one[2:]))


def _to_text(bounds: Floats) -> str:
    x1, y1, x2, y2 = (f"{value:.10g}" for value in bounds.round(6).tolist())
    return f"{x1},{y1} to {x2},{y2}"
