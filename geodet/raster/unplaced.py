"""Scenes that declare a CRS, but have no geotransform from their pixels to it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pyproj import CRS

__all__ = ["PLACING_HINT", "describe_unplaced", "warn_of_unplaced"]

logger = logging.getLogger(__name__)

PLACING_HINT = (
    "set the geotransform with gdal_edit -a_ullr LEFT TOP RIGHT BOTTOM, or put the world file back "
    "beside the scene"
)
"""The ways to place such a scene, for hints."""


def describe_unplaced(name: str, crs: CRS) -> str:
    """Return the error message for a scene that needs a place.

    Args:
        name: Name of the scene.
        crs: The CRS that it declares.

    Example:
        >>> describe_unplaced("scene.tif", CRS.from_epsg(32633))
        'scene.tif declares the CRS WGS 84 / UTM zone 33N, but has no geotransform to it'
    """
    return f"{name} declares the CRS {crs.name}, but has no geotransform to it"


def warn_of_unplaced(scenes: Mapping[str, CRS | None]) -> None:
    """Warn, once for all scenes, of those whose CRS is left out since no geotransform leads to it.

    Args:
        scenes: :attr:`geodet.raster.scene.Scene.unplaced_crs` of each scene, by name.
    """
    unplaced = [(name, crs) for name, crs in scenes.items() if crs is not None]
    if not unplaced:
        return
    (name, crs), count = unplaced[0], len(unplaced)
    declared = f"{name} declares" if count == 1 else f"{count} scenes, such as {name}, declare"
    logger.warning(
        "%s a CRS (%s), but no geotransform from pixels to it, so the CRS is ignored; %s",
        declared,
        crs.name,
        PLACING_HINT,
    )
