"""Read CSV files whose objects have an outline as well-known text, as DeepForest 2 writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import shapely

from geodet.errors import TilesetError
from geodet.tilesets.csv_tables import IMAGE_COLUMNS, LABEL_COLUMNS, read_rows
from geodet.tilesets.labels import ParsedImage, ParsedLabels, find_image
from geodet.tilesets.outlines import add_outline
from geodet.vector.coordinate_tables import MISSING

__all__ = ["read_outline_table"]

_GEOMETRIES = ("geometry", "wkt", "geom", "polygon")


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
    header, rows, _ = read_rows(path)
    image, geometry, label = (
        next((header.index(name) for name in names if name in header), None)
        for names in (IMAGE_COLUMNS, _GEOMETRIES, LABEL_COLUMNS)
    )
    if image is None or geometry is None:
        return None
    images: dict[str, ParsedImage] = {}
    for number, row in rows:
        name, text = row[image].strip(), row[geometry].strip()
        if name not in images:
            images[name] = ParsedImage(find_image(name, folders), f"{path}, line ")
        if text.lower() in MISSING:
            continue
        try:
            shape = shapely.from_wkt(text)
        except shapely.GEOSException as error:
            raise TilesetError(
                f"{path}, line {number}: {text[:60]!r} is no well-known text",
                hint="a geometry is written POLYGON ((x y, x y, ...)), in pixels",
                path=path,
            ) from error
        points = [(float(x), float(y)) for x, y in shapely.get_coordinates(shape)]
        is_point = shape.geom_type == "Point"
        class_name = None if label is None else row[label].strip()
        add_outline(images[name], points if is_point else points * 2, class_name, number)
    return ParsedLabels(path, list(images.values()))
