"""Refuse objects in a CRS for a scene that declares a CRS, but has no place in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS

from geodet.errors import VectorError
from geodet.raster.unplaced import PLACING_HINT, describe_unplaced
from geodet.tilesets.label_crs import choose_crs
from geodet.vector.rows import APPROXIMATE, PIXEL_SIDES
from geodet.vector.vector_files import read_frame

__all__ = ["check_objects_have_place"]

_DEGREES = np.array([360.0, 90.0])  # beyond 180 where objects lie across the antimeridian


def check_objects_have_place(
    path: Path, scene: str, unplaced_crs: CRS | None, own_crs: str | None = None
) -> None:
    """Refuse objects in a CRS for a scene whose own CRS places none of its pixels.

    Otherwise their coordinates would be taken for pixels, as if nobody knew a CRS of the scene.

    Args:
        path: The objects.
        scene: Path of the scene, for the message.
        unplaced_crs: :attr:`geodet.raster.scene.Scene.unplaced_crs`; None: all objects may be in
            the scene.
        own_crs: The CRS of the objects that the user gave, None if none.

    Raises:
        VectorError: The file cannot be read, or its objects are in a CRS.
    """
    if unplaced_crs is None:
        return
    frame = read_frame(path)
    crs = choose_crs(frame.crs, own_crs, path)
    if crs is None or _are_pixels(frame, crs):
        return
    raise VectorError(
        f"{path} is in {crs.name}, and {describe_unplaced(scene, unplaced_crs)}",
        hint=f"{PLACING_HINT}; or save the objects in pixels, x to the right and y = -row, as a "
        ".gpkg without a CRS",
        path=path,
    )


def _are_pixels(frame: Any, crs: CRS) -> bool:
    """Whether objects lie in pixels all the same: those of a photograph, or of a GeoJSON.

    GeoJSON cannot say that it has no CRS; coordinates of pixels are no longitudes and latitudes.
    """
    if {APPROXIMATE, *PIXEL_SIDES} <= set(frame.columns):
        return True
    extent = np.abs(frame.total_bounds).reshape(2, 2)
    return crs.is_geographic and bool((extent > _DEGREES).any())
