"""Read the JSON files of labelme, one for each image."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from geodet.errors import TilesetError
from geodet.tilesets.image_lists import LabelPair
from geodet.tilesets.labels import ParsedImage, ParsedLabels, read_text
from geodet.tilesets.outlines import Point, add_outline, ellipse_box

__all__ = ["read_labelme"]


def read_labelme(pairs: Iterable[LabelPair]) -> ParsedLabels:
    """Read rectangles, polygons, circles, lines, masks and points of labelme.

    Every shape becomes its bounds; of a circle, the second point lies on its edge.

    Args:
        pairs: Each image and its JSON file. An image without a file has no objects.

    Raises:
        TilesetError: A file is broken.
    """
    return ParsedLabels(Path(), [_read_image(path, file) for path, file in pairs])


def _read_image(path: Path, file: Path) -> ParsedImage:
    image = ParsedImage(path, f"{file}, shape ")
    if not file.is_file():
        return image
    content = _load(file)
    width, height = content.get("imageWidth"), content.get("imageHeight")
    if isinstance(width, int) and isinstance(height, int):
        image.size = (width, height)
    for number, shape in enumerate(content["shapes"], start=1):
        try:
            points = [(float(x), float(y)) for x, y in shape["points"]]
            name, kind = str(shape["label"]).strip(), shape.get("shape_type") or "polygon"
            outline = _outline(points, str(kind))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TilesetError(
                f"{file}, shape {number}: broken: {error!r}",
                hint="it needs label, shape_type and points",
                path=file,
            ) from error
        add_outline(image, outline, name, number)
    return image


def _outline(points: list[Point], kind: str) -> list[Point]:
    """Return points whose bounds are those of a shape."""
    if kind == "circle":
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        x1, y1, x2, y2 = ellipse_box(x, y, radius, radius)
        return [(x1, y1), (x2, y2)]
    return points if kind == "point" else points * 2  # one point is still an outline


def _load(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(file))
        if isinstance(content["shapes"], list):
            return dict(content)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise TilesetError(
            f"{file}: broken: {error!r}", hint="save the labels of this image again", path=file
        ) from error
    raise TilesetError(f"{file}: shapes is not a list", hint="save the labels again", path=file)
