"""Whether the widths and heights in a table of labels are those of the images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geodet.tilesets.boundary import check_images_inside
from geodet.tilesets.displayed_images import read_geoboxes
from geodet.tilesets.label_documents import find_image
from geodet.tilesets.parsed_labels import Box, ParsedImage
from geodet.vector.coordinate_tables import to_numbers

__all__ = ["is_size_of_images", "size_of_image"]


def size_of_image(sides: Sequence[tuple[str, ...]], boxes: Sequence[Box]) -> tuple[int, int] | None:
    """Return the size of an image that its rows give beside the corners of its objects.

    The width and height of a table may also be those of the boxes, or of a crown and a tree.

    Args:
        sides: Width and height in each row of the image, as text.
        boxes: The image's objects.

    Returns:
        Width and height; None if the rows differ, have no whole numbers, or an object has this
        size or reaches beyond it.

    Example:
        >>> size_of_image([("64", "48"), ("64", "48")], [(1, 2, 9, 9), (20, 2, 30, 40)])
        (64, 48)
        >>> size_of_image([("8", "7")], [(1, 2, 9, 9)])
    """
    words = {word for pair in sides for word in pair}
    if len(set(sides)) != 1 or not all(word.isdecimal() for word in words):
        return None
    width, height = (int(word) for word in sides[0])
    for x1, y1, x2, y2 in boxes:
        if (x2 - x1, y2 - y1) == (width, height) or x2 > width or y2 > height:
            return None
    return (width, height) if width and height else None


def is_size_of_images(
    rows: Sequence[Sequence[str]], folders: Sequence[Path], delimiter: str
) -> bool:
    """Whether all rows of image, width and height share a size, which the first image has."""
    if len(rows) < 2 or len({(width, height) for _, width, height in rows}) > 1:
        return False
    name, *sides = rows[0]
    if not name.strip() or not (path := find_image(name, folders)).is_file():
        return False
    check_images_inside([path])
    (geobox,) = read_geoboxes([ParsedImage(path, "")])
    try:
        return sorted(to_numbers(sides, delimiter)) == sorted([geobox.width, geobox.height])
    except ValueError:
        return False
