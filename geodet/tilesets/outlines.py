"""Boxes of outlines: polygons, ellipses, and outlines in tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import shapely

from geodet.errors import TilesetError
from geodet.tilesets.csv_tables import IMAGE_COLUMNS, class_column, note_classes, read_rows
from geodet.tilesets.label_documents import find_image
from geodet.tilesets.parsed_labels import Box, ParsedImage, ParsedLabels, Point
from geodet.tilesets.split_files import split_by_column
from geodet.vector.coordinate_tables import MISSING

__all__ = ["add_outline", "bounds_of", "ellipse_box", "read_outline_table", "turned_corners"]


def bounds_of(points: Sequence[Point]) -> Box:
    """Return x1 y1 x2 y2 of one or more points, NaN if a coordinate is no number.

    Example:
        >>> bounds_of([(3, 1), (2, 5), (4, 2)])
        (2, 1, 4, 5)
    """
    xs, ys = zip(*points, strict=True)
    if any(map(math.isnan, xs + ys)):  # which min and max take or leave, by its place
        return math.nan, math.nan, math.nan, math.nan
    return min(xs), min(ys), max(xs), max(ys)


def ellipse_box(x: float, y: float, rx: float, ry: float, degrees: float = 0) -> Box:
    """Return the bounds of an ellipse with a centre and two radii, turned from x towards y.

    Example:
        >>> ellipse_box(5, 5, 4, 2, 90)
        (3.0, 1.0, 7.0, 9.0)
    """
    cosine, sine = _cosine_and_sine(degrees)
    wide, high = math.hypot(rx * cosine, ry * sine), math.hypot(rx * sine, ry * cosine)
    return x - wide, y - high, x + wide, y + high


def turned_corners(box: Box, degrees: float) -> list[Point]:
    """Return the corners of a box that is turned about its centre, from x towards y.

    Example:
        >>> turned_corners((0, 0, 4, 2), 90)
        [(3.0, -1.0), (3.0, 3.0), (1.0, 3.0), (1.0, -1.0)]
    """
    x1, y1, x2, y2 = box
    cosine, sine = _cosine_and_sine(degrees)
    x, y, wide, high = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2
    steps = [(-wide, -high), (wide, -high), (wide, high), (-wide, high)]
    return [(x + a * cosine - b * sine, y + a * sine + b * cosine) for a, b in steps]


def _cosine_and_sine(degrees: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return round(math.cos(angle), 12), round(math.sin(angle), 12)


def add_outline(
    image: ParsedImage,
    points: Sequence[Point],
    name: str | None,
    number: int,
    ignored: bool = False,
    corners: Sequence[Point] = (),
) -> None:
    """Add an object by the points of its outline; a single point is a labelled point.

    Args:
        image: The image, to which the object is added.
        points: In continuous pixels.
        name: Its class; None if the format has no classes.
        number: Its element, for error messages.
        ignored: Whether it neither trains nor counts.
        corners: Its four corners, where they are not those of the outline.

    Raises:
        TilesetError: There is no point, the class is empty, or the image has both points and boxes.
    """
    if not points:
        raise TilesetError(
            f"{image.source}{number}: the outline has no points", hint="correct the label"
        )
    is_point = len(points) == 1
    if image.boxes and (image.frame == "centres") != is_point:
        raise TilesetError(
            f"{image.source}{number}: {image.path.name} has points as well as boxes",
            hint="label the objects of one image either by points or by outlines",
        )
    image.frame = "centres" if is_point else image.frame
    image.add(bounds_of(points), name, number, ignored=ignored, outline=corners or points)


_GEOMETRIES = ("geometry", "wkt", "geom", "polygon")


def read_outline_table(
    path: Path, folders: Sequence[Path], label_field: str | None = None
) -> ParsedLabels | None:
    """Read a CSV with the columns ``image_path``, ``geometry`` and optionally ``label``.

    The geometries are well-known text in the pixels of the image: polygons, whose bounds count, or
    points. A row without a geometry stands for an image without objects. A column such as ``split``
    may divide the images, as in :func:`geodet.tilesets.csv_tables.read_csv`.

    Args:
        path: The file.
        folders: Folders that may contain the images; the first that does is used.
        label_field: See :func:`geodet.tilesets.csv_tables.class_column`.

    Returns:
        The labels, or None if the header is another.

    Raises:
        TilesetError: A row is broken, or there is no column ``label_field``.
    """
    header, rows, _ = read_rows(path)
    image, geometry = (
        next((header.index(name) for name in names if name in header), None)
        for names in (IMAGE_COLUMNS, _GEOMETRIES)
    )
    if image is None or geometry is None:
        return None
    label = class_column(header, path, label_field)
    images: dict[str, ParsedImage] = {}
    owners: list[ParsedImage] = []
    for number, row in rows:
        name, text = row[image].strip(), row[geometry].strip()
        if name not in images:
            images[name] = ParsedImage(find_image(name, folders), f"{path}, line ")
        owners.append(images[name])
        if text.lower() in MISSING:
            continue
        try:
            shape = shapely.from_wkt(text)
        except shapely.GEOSException as error:
            raise TilesetError(
                f"{path}, line {number}: {text[:60]!r} is not well-known text",
                hint="a geometry is written POLYGON ((x y, x y, ...)), in pixels",
                path=path,
            ) from error
        points = [(float(x), float(y)) for x, y in shapely.get_coordinates(shape)]
        is_point = shape.geom_type == "Point"
        class_name = None if label is None else row[label].strip()
        add_outline(images[name], points if is_point else points * 2, class_name, number)
    used = (header[image], header[geometry])
    is_said = label is not None or label_field is not None
    notes = [] if is_said else note_classes(path, header, rows, used)
    labels = ParsedLabels(path, list(images.values()), notes=notes)
    return split_by_column(labels, header, rows, owners)
