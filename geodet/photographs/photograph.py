"""A photograph: where and when it was taken, how large its pixels are, and what ground it shows."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from geodet.photographs.ground_view import GroundView, to_stored
from geodet.photographs.tags import PictureTags, read_tags

__all__ = [
    "Photograph",
    "Photographs",
    "focal_length_px",
    "read_photograph",
    "to_photograph",
]

_logger = logging.getLogger(__name__)

_NADIR_DEG = 15.0
"""Degrees from straight down up to which a photograph has nearly one scale."""
_FILM_DIAGONAL_MM = math.hypot(36, 24)
_SENSOR_MM = (1.0, 100.0)  # widths that sensors have
_NO_CAMERA = "it has neither a georeference nor EXIF data of a camera"
_SAME_SHAPE = 0.02  # by which the sides of a picture that was made smaller are rounded, at most
_AGREES = 1.2  # two focal lengths that differ by more contradict each other


@dataclass(frozen=True, slots=True)
class Photograph:
    """A picture of a camera; None or "" for what is not known.

    Example:
        >>> Photograph("a.jpg", gsd_m=0.02, gsd_from="relative altitude").view is None
        True
    """

    scene: str
    """The name of the picture."""
    longitude: float | None = None
    """Longitude of the camera, in degrees of WGS 84."""
    latitude: float | None = None
    """Latitude of the camera, in degrees of WGS 84."""
    altitude_m: float | None = None
    """Metres of the camera above sea level."""
    height_m: float | None = None
    """Metres of the camera above the ground."""
    time: str = ""
    """As ISO 8601, with the offset from UTC where it is known."""
    camera: str = ""
    """Maker and model."""
    yaw_deg: float | None = None
    """Yaw of the camera in degrees, clockwise from north."""
    pitch_deg: float | None = None
    """Pitch of the camera in degrees; -90 looks down."""
    gsd_m: float | None = None
    """Metres per pixel."""
    gsd_from: str = "unknown"
    """``relative altitude`` or ``GPS altitude`` with the focal length, ``detect.gsd``,
    ``georeference`` of a scene that has one, or ``unknown``."""
    reason: str = ""
    """Why metres per pixel are unknown."""
    view: GroundView | None = None
    """The area that it shows; None where that is unknown."""
    tags: PictureTags | None = None
    """The metadata that the camera wrote; None if it wrote nothing."""

    @property
    def has_place(self) -> bool:
        """Whether it is known where it was taken."""
        return self.longitude is not None


Photographs = Mapping[str, Photograph]
"""Photographs by their names."""


def read_photograph(
    path: Path, name: str, *, gsd: float | None = None, ground_altitude: float | None = None
) -> Photograph:
    """Read what is known of a photograph, without decoding it.

    Metres per pixel are the height above the ground over the focal length in pixels. The height is
    the drone's altitude above its take-off; without it, the altitude of GPS above that of the
    ground, if that is given. It needs a camera that looks down, as far as its pose is known.

    Args:
        path: The picture.
        name: How the output names it.
        gsd: Metres per pixel, in place of what the camera wrote.
        ground_altitude: Metres of the ground above sea level.
    """
    return to_photograph(read_tags(path), name, gsd=gsd, ground_altitude=ground_altitude)


def to_photograph(
    tags: PictureTags | None,
    name: str,
    *,
    gsd: float | None = None,
    ground_altitude: float | None = None,
) -> Photograph:
    """Make a photograph of what a camera wrote, see :func:`read_photograph`.

    Args:
        tags: What it wrote; None: nothing that can be read.
        name: How the output names it.
        gsd: Metres per pixel, in place of what the camera wrote.
        ground_altitude: Metres of the ground above sea level.
    """
    if tags is None:
        source = "unknown" if gsd is None else "detect.gsd"
        return Photograph(name, gsd_m=gsd, gsd_from=source, reason=_NO_CAMERA)
    focal = focal_length_px(tags, name)
    height, source = _height(tags, ground_altitude)
    reason = _doubt(tags, focal, height)
    if gsd is not None:
        source, reason = "detect.gsd", ""
        height = gsd * focal if focal else height
    elif not reason and focal and height:
        gsd = height / focal
    return Photograph(
        name,
        longitude=tags.longitude,
        latitude=tags.latitude,
        altitude_m=tags.altitude_m,
        height_m=height,
        time=tags.time,
        camera=tags.camera,
        yaw_deg=tags.yaw,
        pitch_deg=tags.pitch,
        gsd_m=gsd,
        gsd_from="unknown" if gsd is None else source,
        reason=reason,
        view=None if gsd is None else _view(tags, gsd, focal),
        tags=tags,
    )


def focal_length_px(tags: PictureTags, name: str) -> float | None:
    """Return the focal length in pixels of the stored picture; None if it is unknown.

    By the resolution of the sensor, or else by the focal length on 35 mm film, which by convention
    has the same field of view along the diagonal. Where both contradict each other, the second
    counts, since resolutions of sensors are often those of a preview. Of a picture whose sides have
    another ratio than as the camera took it, a part was cut off, and neither holds.

    Args:
        tags: What the camera wrote.
        name: The name of the picture, for a warning.

    Example:
        >>> tags = PictureTags(4000, 3000, focal_35_mm=24.0)
        >>> round(focal_length_px(tags, "a.jpg"))
        2774
    """
    reduction = _reduction(tags)
    if reduction is None:
        return None
    by_film = None
    if tags.focal_35_mm:
        by_film = tags.focal_35_mm * math.hypot(tags.width, tags.height) / _FILM_DIAGONAL_MM
    by_sensor = _by_sensor(tags, reduction)
    if by_film and by_sensor and not 1 / _AGREES < by_sensor / by_film < _AGREES:
        _logger.warning(
            "%s: the size of its sensor and its focal length on 35 mm film contradict each other: "
            "the second is used",
            name,
        )
        return by_film
    return by_sensor or by_film


def _reduction(tags: PictureTags) -> float | None:
    """Return pixels of the picture per pixel of the sensor; None where a part was cut off."""
    columns, rows = tags.sensor_columns, tags.sensor_rows
    if not columns or (not rows and columns == tags.height):
        return 1.0
    if not rows or math.isclose(tags.width * rows, tags.height * columns, rel_tol=_SAME_SHAPE):
        return tags.width / columns
    # Programs that turn the pixels may leave the camera's tags as they are.
    is_turned = math.isclose(tags.height * rows, tags.width * columns, rel_tol=_SAME_SHAPE)
    return tags.height / columns if is_turned else None


def _by_sensor(tags: PictureTags, reduction: float) -> float | None:
    if not tags.focal_mm or not tags.pixels_per_mm:
        return None
    columns = tags.sensor_columns or tags.width
    if not _SENSOR_MM[0] < columns / tags.pixels_per_mm < _SENSOR_MM[1]:
        return None
    return tags.focal_mm * tags.pixels_per_mm * reduction


def _height(tags: PictureTags, ground_altitude: float | None) -> tuple[float | None, str]:
    """Return the height above the ground, if it is positive, and what it is from."""
    heights = [(tags.relative_altitude_m, "relative altitude")]
    if tags.altitude_m is not None and ground_altitude is not None:
        heights.append((tags.altitude_m - ground_altitude, "GPS altitude"))
    found = [(height, source) for height, source in heights if height is not None and height > 0]
    return found[0] if found else (None, "")


def _is_of_camera(tags: PictureTags) -> bool:
    """Whether a camera wrote the file, and not another program, as it does a chip."""
    places = (tags.longitude, tags.altitude_m, tags.relative_altitude_m)
    has_place = any(number is not None for number in places)
    return has_place or bool(tags.camera or tags.focal_mm or tags.focal_35_mm)


def _doubt(tags: PictureTags, focal: float | None, height: float | None) -> str:
    """Return why metres per pixel cannot be told; "" if they can."""
    if not _is_of_camera(tags):
        return _NO_CAMERA
    if height is None:
        return "its height above the ground is unknown"
    if not focal:
        return "the size of its sensor is unknown"
    if tags.zoom is not None and tags.zoom > 1:
        return f"it was digitally zoomed {tags.zoom:g} times"
    if tags.pitch is not None and not _looks_down(tags.pitch):
        return f"the camera looked {90 + tags.pitch:.0f} degrees off the vertical"
    return ""


def _looks_down(pitch: float) -> bool:
    return abs(pitch + 90) <= _NADIR_DEG


def _view(tags: PictureTags, gsd: float, focal: float | None) -> GroundView | None:
    """Return what ground a picture shows, if its place and its pose are known."""
    longitude, latitude, yaw, pitch = tags.longitude, tags.latitude, tags.yaw, tags.pitch
    if longitude is None or latitude is None or yaw is None or pitch is None:
        return None
    if not _looks_down(pitch):
        return None
    turned = tags.orientation in (5, 6, 7, 8)
    size = (tags.height, tags.width) if turned else (tags.width, tags.height)
    lens = focal or float(max(size))  # straight down it does not matter
    return GroundView(
        longitude,
        latitude,
        gsd * lens,
        lens,
        *size,
        yaw=yaw,
        pitch=pitch,
        roll=tags.roll or 0.0,
        stored=to_stored(tags.orientation, tags.width, tags.height),
    )
