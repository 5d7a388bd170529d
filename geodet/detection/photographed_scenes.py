"""Photographs among the scenes: metres per pixel from what the camera wrote, and their places."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from geodet.config import DetectConfig
from geodet.geometry.geobox import WGS_84, GeoBox, is_on_earth
from geodet.models.description import ModelDescription
from geodet.photographs.photograph import (
    Photograph,
    Photographs,
    read_photograph,
    to_photograph,
)

__all__ = [
    "are_placed_by_cameras",
    "georeferenced_image",
    "photograph_of",
    "report_photographs",
]

_logger = logging.getLogger(__name__)


def photograph_of(path: str, name: str, config: DetectConfig) -> Photograph:
    """Read what a camera wrote into a picture; nothing is known of one that is not a local file.

    Args:
        path: As GDAL opens it.
        name: How the output names it.
        config: ``gsd`` and ``ground_altitude``.
    """
    try:
        state = Path(path).stat()
    except (OSError, ValueError):  # remote, or in an archive
        return to_photograph(None, name, gsd=config.gsd)
    version = state.st_mtime_ns, state.st_size
    return _read(path, name, config.gsd, config.ground_altitude, version)


@lru_cache(maxsize=1024)
def _read(
    path: str, name: str, gsd: float | None, ground: float | None, _version: tuple[int, int]
) -> Photograph:
    """Read a photograph once, although its scene is opened several times."""
    return read_photograph(Path(path), name, gsd=gsd, ground_altitude=ground)


def are_placed_by_cameras(geoboxes: Mapping[str, GeoBox], photographs: Photographs) -> bool:
    """Whether scenes go to a layer of photographs: each in its own place, or in none.

    They do if all are pictures, and there are several of them, or a single one whose camera wrote
    its position. Several pictures in pixel coordinates would lie on top of each other.

    Args:
        geoboxes: Geoboxes of the scenes, by name.
        photographs: What is known of the pictures.
    """
    if not geoboxes or not all(geobox.is_in_pixels for geobox in geoboxes.values()):
        return False
    return len(geoboxes) > 1 or any(photographs[name].has_place for name in geoboxes)


def georeferenced_image(name: str, geobox: GeoBox) -> Photograph:
    """Return the place of the middle of a scene, and its metres per pixel.

    Args:
        name: Name of the scene.
        geobox: Geobox of the scene.
    """
    if not is_on_earth(geobox.crs):
        return Photograph(name)
    middle = np.array([geobox.width, geobox.height]) / 2
    longitude, latitude = geobox.to_world(middle, WGS_84).tolist()
    return Photograph(
        name,
        longitude=longitude,
        latitude=latitude,
        gsd_m=geobox.gsd,
        gsd_from="georeference",
    )


def report_photographs(
    photographs: Photographs, about: ModelDescription, config: DetectConfig, *, are_placed: bool
) -> None:
    """Log how metres per pixel were found, and which pictures have a place; once for all.

    Args:
        photographs: What is known of the pictures.
        about: The model.
        config: ``ground_altitude``; a warning says so where no photograph needs it.
        are_placed: Whether their objects go to one layer, each in its own place or in none.
    """
    images = list(photographs.values())
    if config.ground_altitude is not None and not any(map(_needs_ground, images)):
        _logger.warning(
            "--ground-altitude (detect.ground_altitude) has no effect: it applies only to "
            "photographs that record their altitude above sea level, but neither their height "
            "above ground nor metres per pixel"
        )
    known = [image.gsd_m for image in images if image.gsd_m is not None]
    model = "" if about.gsd is None else f"; {about.name} works at {about.gsd:.3g} m"
    from_cameras = [i for i in images if i.gsd_m is not None and i.gsd_from != "detect.gsd"]
    if from_cameras:
        _logger.info(
            "%s: %s m per pixel, from the focal length and the %s%s",
            _count(len(from_cameras)),
            " to ".join(dict.fromkeys(f"{gsd:.3g}" for gsd in (min(known), max(known)))),
            " or the ".join(dict.fromkeys(image.gsd_from for image in from_cameras)),
            model,
        )
    unplaced = [image for image in images if image.view is None]
    if are_placed and unplaced:
        _logger.warning(
            "%s: the objects cannot be located on the ground, because the position of the camera, "
            "its pose or the metres per pixel are unknown; -o FOLDER/ writes a file for each "
            "photograph, in pixels",
            _count(len(unplaced), unplaced[0].scene),
        )


def _needs_ground(image: Photograph) -> bool:
    """Whether the altitude of the ground tells how high the camera was."""
    tags = image.tags
    if tags is None or tags.altitude_m is None or image.gsd_from == "detect.gsd":
        return False
    return not tags.relative_altitude_m or tags.relative_altitude_m <= 0


def _count(number: int, first: str = "") -> str:
    if number == 1:
        return first or "1 picture"
    return f"{number} pictures" + (f" (such as {first})" if first else "")
