"""Read the JSON files of labelme, one for each image."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from geodet.documents.values import counted, finite_number, member, plain_word, shown
from geodet.errors import TilesetError
from geodet.tilesets.image_lists import LabelPair
from geodet.tilesets.label_documents import read_json_labels
from geodet.tilesets.outlines import add_outline, bounds_of, ellipse_box
from geodet.tilesets.parsed_labels import ParsedImage, ParsedLabels, Point

__all__ = ["read_labelme"]

logger = logging.getLogger(__name__)


def read_labelme(pairs: Iterable[LabelPair]) -> ParsedLabels:
    """Read rectangles, polygons, circles, lines, masks and points of labelme.

    Every shape becomes its bounds; of a circle, the second point lies on its edge. Shapes of one
    label and one ``group_id`` are the parts of one object, as labelme's own converters take them.

    Args:
        pairs: Each image and its JSON file. An image without a file has no objects.

    Raises:
        TilesetError: A file is broken.
    """
    images, parts, wholes = [], 0, 0
    for path, file in pairs:
        image, groups = _read_image(path, file)
        images.append(image)
        parts, wholes = parts + sum(groups), wholes + len(groups)
    if parts:
        logger.info(
            "%s of labelme are the parts of %s: those with one label and one group_id",
            counted(parts, "shape"),
            counted(wholes, "object"),
        )
    return ParsedLabels(Path(), images)


def _read_image(path: Path, file: Path) -> tuple[ParsedImage, list[int]]:
    """Read the objects of an image, and count the parts of each that has several."""
    image = ParsedImage(path, f"{file}, shape ")
    if not file.is_file():
        return image, []
    content = read_json_labels(file)
    try:
        shapes = member(content, "shapes", list)
    except ValueError as error:
        raise TilesetError(
            f"{file}: {error}", hint="save the labels of this image again", path=file
        ) from error
    image.note_size(content.get("imageWidth"), content.get("imageHeight"))
    groups: dict[object, list[tuple[int, str, list[Point]]]] = {}
    for number, shape in enumerate(shapes, start=1):
        try:
            points = [_to_point(pair) for pair in member(shape, "points", list)]
            if not points:
                raise ValueError("the outline has no points")
            kind = str(shape.get("shape_type") or "polygon")
            outline = _outline(points, kind)
            if "label" not in shape:
                raise ValueError("it has no label")
            name = plain_word(shape["label"])
        except ValueError as error:
            raise TilesetError(
                f"{file}, shape {number}: {error}",
                hint="it needs label, shape_type and points",
                path=file,
            ) from error
        group = None if kind == "point" else shape.get("group_id")
        key = number if group is None else (name, str(group))
        groups.setdefault(key, []).append((number, name, outline))
    for parts in groups.values():
        number, name, outline = parts[0]
        if len(parts) > 1:
            x1, y1, x2, y2 = bounds_of([point for _, _, points in parts for point in points])
            outline = [(x1, y1), (x2, y2)]
        add_outline(image, outline, name, number)
    return image, [len(parts) for parts in groups.values() if len(parts) > 1]


def _to_point(pair: Any) -> Point:
    if not isinstance(pair, list) or len(pair) != 2:
        raise ValueError(f"the point {shown(pair)} is not x and y")
    return finite_number(pair[0]), finite_number(pair[1])


def _outline(points: list[Point], kind: str) -> list[Point]:
    """Return points whose bounds are those of a shape."""
    if kind == "circle":
        if len(points) != 2:
            raise ValueError(f"a circle has two points, not {len(points)}")
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        x1, y1, x2, y2 = ellipse_box(x, y, radius, radius)
        return [(x1, y1), (x2, y2)]
    if kind == "mask":
        x1, y1, x2, y2 = bounds_of(points)  # the first and the last pixel
        return [(x1, y1), (x2 + 1, y2 + 1)]
    return points if kind == "point" else points * 2  # one point is still an outline
