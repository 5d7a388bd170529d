"""Read CSV files whose objects have an outline as well-known text, as DeepForest 2 writes them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import shapely

from geodet.errors import TilesetError
from geodet.tilesets.labels import ParsedImage, ParsedLabels, find_image, read_text
from geodet.tilesets.outlines import add_outline

__all__ = ["read_outline_table"]

_IMAGE, _GEOMETRY, _LABEL = "image_path", "geometry", "label"


def read_outline_table(path: Path, folders: Sequence[Path]) -> ParsedLabels | None:
    """Read a CSV with the columns ``image_path``, ``geometry`` and optionally ``label``.

    The geometries are well-known text in the pixels of the image: polygons, whose bounds count, or
    points. A row without a geometry stands for an image without objects.

    Args:
        path: The file.
        folders: Folders that may contain the images; the first that does is used.

    Returns:
        The labels, or None if the header is another.

    Raises:
        TilesetError: A row is broken.
    """
    reader = csv.DictReader(read_text(path).splitlines())
    columns = {name.strip().lower(): name for name in reader.fieldnames or ()}
    if not {_IMAGE, _GEOMETRY} <= columns.keys():
        return None
    images: dict[str, ParsedImage] = {}
    for row in reader:
        name, text = row[columns[_IMAGE]], (row[columns[_GEOMETRY]] or "").strip()
        if name not in images:
            images[name] = ParsedImage(find_image(name, folders), f"{path}, line ")
        if not text:
            continue
        try:
            shape = shapely.from_wkt(text)
        except shapely.GEOSException as error:
            raise TilesetError(
                f"{path}, line {reader.line_num}: {error}",
                hint="a geometry is written POLYGON ((x y, x y, ...)), in pixels",
                path=path,
            ) from error
        points = [(float(x), float(y)) for x, y in shapely.get_coordinates(shape)]
        is_point = shape.geom_type == "Point"
        label = (row[columns[_LABEL]] or "").strip() if _LABEL in columns else None
        number = reader.line_num
        add_outline(images[name], points if is_point else points * 2, label, number)
    return ParsedLabels(path, list(images.values()))
