"""Read labels from CSV files: points or corners, and the table of images beside any format."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from geodet.errors import TilesetError
from geodet.tilesets.labels import ParsedImage, ParsedLabels, find_image, parse_box, read_text
from geodet.tilesets.splits import PART_WORDS

__all__ = ["read_csv", "read_image_table"]

_POINTS = ("image", "x", "y")
_CORNERS = ("image_path", "xmin", "ymin", "xmax", "ymax")


def read_csv(path: Path, folders: Sequence[Path]) -> ParsedLabels | None:
    """Read a CSV of points (``image,x,y``) or of corners (``image_path,xmin,ymin,xmax,ymax``).

    Both may have a column ``label``. A point's x and y are the column and row of a pixel, so half a
    pixel is added. A row without coordinates, or with a box of four zeros, stands for an image
    without objects.

    Args:
        path: The file.
        folders: Folders that may contain the images; the first that does is used.

    Returns:
        The labels, or None if the header is neither of the two.

    Raises:
        TilesetError: A row is broken.
    """
    header, rows = _read_table(path)
    wanted = _POINTS if set(_POINTS) <= set(header) else _CORNERS
    if not set(wanted) <= set(header):
        return None
    columns = [header.index(name) for name in wanted]
    label = header.index("label") if "label" in header else None
    images: dict[str, ParsedImage] = {}
    for number, row in rows:
        name, *values = (row[c] for c in columns)
        if name not in images:
            images[name] = ParsedImage(find_image(name, folders), f"{path}, line ")
            images[name].frame = "centres" if wanted is _POINTS else "pixels"
        if not any(v.strip() for v in values):
            continue
        box = parse_box(values if wanted is _CORNERS else values * 2, f"{path}, line {number}")
        if wanted is _POINTS:
            box = (box[0] + 0.5, box[1] + 0.5, box[2] + 0.5, box[3] + 0.5)
        elif not any(box):
            continue
        images[name].add(box, None if label is None else row[label].strip(), number)
    return ParsedLabels(path, list(images.values()))


def read_image_table(path: Path, folders: Sequence[Path]) -> list[ParsedImage]:
    """Read ``images.csv`` with the columns ``image`` and optionally ``place`` and ``fold``.

    Args:
        path: The file.
        folders: Folders that may contain the images; the first that does is used.

    Returns:
        The images, without objects, in the order of the file.

    Raises:
        TilesetError: There is no column ``image``, or a fold is none of train, val and test.
    """
    header, rows = _read_table(path)
    if "image" not in header:
        raise TilesetError(
            f"{path}: no column 'image' among {', '.join(header)}",
            hint="the columns are image and optionally place and fold",
            path=path,
        )
    images = []
    for number, row in rows:
        cells = dict(zip(header, (v.strip() for v in row), strict=True))
        image = ParsedImage(find_image(cells["image"], folders), f"{path}, line ")
        image.place = cells.get("place") or None
        fold = cells.get("fold", "").lower()
        if fold and fold not in PART_WORDS:
            raise TilesetError(
                f"{path}, line {number}: unknown fold {fold!r}",
                hint="a fold is train, val or test",
                path=path,
            )
        image.split = PART_WORDS[fold] if fold else None
        images.append(image)
    return images


def _read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read the header in lower case, and the line number and cells of each row."""
    reader = csv.reader(read_text(path).splitlines())
    header = [name.strip().lower() for name in next(reader, [])]
    rows = [(reader.line_num, row) for row in reader if row]
    for number, row in rows:
        if len(row) != len(header):
            raise TilesetError(
                f"{path}, line {number}: {len(row)} cells for {len(header)} columns",
                hint="every line needs a cell for each column",
                path=path,
            )
    return header, rows
