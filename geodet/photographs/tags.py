"""Read the tags that a camera wrote into a picture: EXIF, and the XMP packet of a drone.

Pillow, which is there for drawing, reads both. What a tag says is checked here: a file may be
crafted, and cameras write zeros and blanks for what they do not know.
"""

from __future__ import annotations

import logging
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import GPS, IFD, Base

from geodet.documents.text import DocumentError
from geodet.documents.xml_documents import parse_xml_root
from geodet.files.ignored_warnings import ignoring_warnings

__all__ = ["PictureTags", "read_tags"]

_logger = logging.getLogger(__name__)

_BROKEN = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError),
    *(ArithmeticError, EOFError, struct.error, RuntimeError, MemoryError, NotImplementedError),
)
"""Errors that Pillow raises for EXIF data that are crafted or truncated."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]+")
_LONGEST_TEXT = 100
_TIME = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d")
_XMP_TAG = 700  # in a TIFF
_XMP_START = b"http://ns.adobe.com/xap/1.0/\0"
_DJI = "{http://www.dji.com/drone-dji/1.0/}"
_MM_OF_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # inch, centimetre; mm and um of some cameras


_Number = float | None


@dataclass(frozen=True, slots=True)
class PictureTags:
    """The metadata of a picture; None or "" for a value that the camera did not write."""

    width: int
    """Columns as stored."""
    height: int
    """Rows as stored."""
    orientation: int = 1
    """The EXIF orientation, 1 to 8."""
    longitude: float | None = None
    """In degrees of WGS 84, east positive."""
    latitude: float | None = None
    """In degrees of WGS 84, north positive."""
    altitude_m: float | None = None
    """Metres above sea level, as GPS measures it."""
    relative_altitude_m: float | None = None
    """Metres above the place of take-off."""
    time: str = ""
    """As ISO 8601, with fractions of a second and the offset from UTC where they are known."""
    camera: str = ""
    """Maker and model."""
    focal_mm: float | None = None
    """Focal length."""
    focal_35_mm: float | None = None
    """Focal length that has the same field of view on 35 mm film."""
    pixels_per_mm: float | None = None
    """Pixels of the whole sensor per millimetre, along x."""
    sensor_columns: int | None = None
    """Columns of the picture as the camera took it."""
    sensor_rows: int | None = None
    """Its rows."""
    zoom: float | None = None
    """The digital zoom: the factor by which the picture was enlarged."""
    pitch: float | None = None
    """Pitch of the camera in degrees: -90 looks down."""
    yaw: float | None = None
    """Yaw of the camera in degrees, clockwise from north."""
    roll: float | None = None
    """Roll of the camera in degrees."""


def read_tags(path: Path) -> PictureTags | None:
    """Read what a camera wrote into the file of a picture.

    Args:
        path: A JPEG, TIFF, PNG or WebP; its pixels are not decoded.

    Returns:
        The tags; None of a file that is no picture. Tags that are broken are left out, with a
        warning.
    """
    with ignoring_warnings():  # of Pillow, about what it does not know of the file
        try:
            with Image.open(path) as picture:
                return _read_all(picture, path)
        except (UnidentifiedImageError, Image.DecompressionBombError):
            return None
        except _BROKEN as error:
            _warn(path, "picture", error)
            return None


def _read_all(picture: Image.Image, path: Path) -> PictureTags:
    exif, details, place = _read_exif(picture, path)
    columns = _positive(details.get(Base.ExifImageWidth))
    rows = _positive(details.get(Base.ExifImageHeight))
    longitude, latitude, altitude = _read_place(place, path)
    relative, pitch, yaw, roll = _read_pose(picture, path)
    width, height = picture.size
    return PictureTags(
        width=width,
        height=height,
        orientation=_whole(exif.get(Base.Orientation)) or 1,
        longitude=longitude,
        latitude=latitude,
        altitude_m=altitude,
        relative_altitude_m=relative,
        time=_read_time(exif, details, place),
        camera=_name_camera(_text(exif.get(Base.Make)), _text(exif.get(Base.Model))),
        focal_mm=_positive(details.get(Base.FocalLength)),
        focal_35_mm=_positive(details.get(Base.FocalLengthIn35mmFilm)),
        pixels_per_mm=_density(details),
        sensor_columns=_whole(columns),
        sensor_rows=_whole(rows),
        zoom=_positive(details.get(Base.DigitalZoomRatio)),
        pitch=pitch,
        yaw=yaw,
        roll=roll,
    )


def _read_exif(
    picture: Image.Image, path: Path
) -> tuple[Mapping[int, Any], Mapping[int, Any], Mapping[int, Any]]:
    """Read the main tags, those of the exposure and those of the place; none of broken data."""
    try:
        exif = picture.getexif()
        parts = dict(exif), exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)
    except _BROKEN as error:
        _warn(path, "EXIF data", error)
        return {}, {}, {}
    first, *others = (part if isinstance(part, dict) else {} for part in parts)
    return first, others[0], others[1]


def _read_place(tags: Mapping[int, Any], path: Path) -> tuple[_Number, _Number, _Number]:
    """Read longitude, latitude and altitude: no place where a camera has written zeros."""
    latitude = _angle(tags.get(GPS.GPSLatitude), tags.get(GPS.GPSLatitudeRef), "NS", 90)
    longitude = _angle(tags.get(GPS.GPSLongitude), tags.get(GPS.GPSLongitudeRef), "EW", 180)
    altitude = _number(tags.get(GPS.GPSAltitude))
    if altitude is not None and _whole(tags.get(GPS.GPSAltitudeRef)) in (1, 3):  # below sea level
        altitude = -altitude
    is_given = tags.get(GPS.GPSLatitude) is not None
    if latitude is None or longitude is None or (latitude, longitude) == (0, 0):
        if is_given:
            _logger.warning("%s: its EXIF position is not a place on the earth", path)
        return None, None, altitude
    return longitude, latitude, altitude


def _read_pose(picture: Image.Image, path: Path) -> tuple[_Number, _Number, _Number, _Number]:
    """Read height, pitch, yaw and roll from the XMP packet of a drone of DJI."""
    packet = _find_packet(picture)
    if b"drone-dji" not in packet:
        return None, None, None, None
    try:
        found = _read_dji(parse_xml_root(packet))
    except DocumentError as error:
        _warn(path, "XMP packet", error)
        return None, None, None, None
    yaw = found.get("GimbalYawDegree", found.get("FlightYawDegree"))
    height, pitch = found.get("RelativeAltitude"), found.get("GimbalPitchDegree")
    return height, pitch, yaw, found.get("GimbalRollDegree")


def _find_packet(picture: Image.Image) -> bytes:
    """Return the XMP packet of a picture, empty without one."""
    segments = [data for name, data in getattr(picture, "applist", []) if name == "APP1"]
    packets = [data[len(_XMP_START) :] for data in segments if data.startswith(_XMP_START)]
    tagged = getattr(picture, "tag_v2", {}).get(_XMP_TAG)
    written = picture.info.get("XML:com.adobe.xmp")
    others = [written.encode()] if isinstance(written, str) else []
    for packet in (*packets, picture.info.get("xmp"), tagged, *others):
        if isinstance(packet, bytes):
            return packet.strip(b"\0 \r\n\t")
    return b""


def _read_dji(root: Element) -> dict[str, float]:
    """Read the numbers that DJI writes, as attributes or as elements, by their names."""
    found: dict[str, float] = {}
    for element in root.iter():
        texts = {**element.attrib, str(element.tag): element.text or ""}
        for name, text in texts.items():
            number = _number(text) if name.startswith(_DJI) else None
            if number is not None:
                found.setdefault(name.removeprefix(_DJI), number)
    return found


def _read_time(
    exif: Mapping[int, Any], details: Mapping[int, Any], place: Mapping[int, Any]
) -> str:
    """Return when a picture was taken, as ISO 8601; "" where no tag says it."""
    for tags, time, part, offset in (
        (details, Base.DateTimeOriginal, Base.SubsecTimeOriginal, Base.OffsetTimeOriginal),
        (details, Base.DateTimeDigitized, Base.SubsecTimeDigitized, Base.OffsetTimeDigitized),
        (exif, Base.DateTime, Base.SubsecTime, Base.OffsetTime),
    ):
        moment = _moment(_text(tags.get(time)))
        if moment:
            zone = _text(details.get(offset))
            digits = _text(details.get(part))
            fraction = f".{digits}" if digits.isdecimal() and digits.isascii() else ""
            return moment + fraction + (zone if _OFFSET.fullmatch(zone) else "")
    return _satellite_time(place)


def _satellite_time(place: Mapping[int, Any]) -> str:
    """Return the time of GPS, which is that of UTC to the second; "" without one."""
    date, clock = _text(place.get(GPS.GPSDateStamp)), place.get(GPS.GPSTimeStamp)
    parts = [_number(part) for part in clock] if isinstance(clock, tuple | list) else []
    if len(parts) != 3 or any(part is None or not 0 <= part < 61 for part in parts):
        return ""
    hours, minutes, seconds = (int(part or 0) for part in parts)
    moment = _moment(f"{date} {hours:02}:{minutes:02}:{seconds:02}")
    return moment and f"{moment}+00:00"


def _moment(text: str) -> str:
    match = _TIME.match(text)
    try:
        return datetime(*map(int, match.groups())).isoformat() if match else ""  # type: ignore[arg-type]
    except ValueError:  # a month of 13, or the zeros of a camera whose clock was never set
        return ""


def _name_camera(maker: str, model: str) -> str:
    """Join maker and model, once where the model begins with its maker."""
    is_named = model.casefold().startswith(maker.casefold())
    return model if is_named else f"{maker} {model}".strip()


def _density(details: Mapping[int, Any]) -> float | None:
    """Return the pixels of the sensor per millimetre."""
    density = _positive(details.get(Base.FocalPlaneXResolution))
    unit = _MM_OF_UNIT.get(_whole(details.get(Base.FocalPlaneResolutionUnit)) or 2)
    return density / unit if density and unit else None


def _angle(parts: Any, side: Any, sides: str, most: float) -> float | None:
    """Return an angle in degrees, negative to the south and west; None if it is not one."""
    letter = _text(side)[:1].upper()
    if not isinstance(parts, tuple | list) or len(parts) != 3 or not letter or letter not in sides:
        return None
    numbers = [_number(part) for part in parts]
    if numbers[0] is None:
        return None
    degrees = sum((part or 0.0) / 60**place for place, part in enumerate(numbers))
    signed = -degrees if letter == sides[1] else degrees
    return signed if 0 <= degrees <= most else None


def _number(value: Any) -> float | None:
    """Return a finite number, of a tag or a text; None for what is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if math.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _whole(value: Any) -> int | None:
    if isinstance(value, bytes):  # a single byte, as Pillow returns the reference of an altitude
        return value[0] if len(value) == 1 else None
    number = _number(value)
    return None if number is None else int(number)


def _text(value: Any) -> str:
    """Return a short text without control characters."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return _CONTROL.sub("", text).strip()[:_LONGEST_TEXT] if isinstance(text, str) else ""


def _warn(path: Path, what: str, error: Exception) -> None:
    _logger.warning("%s: its %s cannot be read: %s", path, what, _CONTROL.sub(" ", str(error)))
