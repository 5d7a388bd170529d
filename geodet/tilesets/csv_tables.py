"""Read labels from CSV files: points or corners, and the table of images beside any format."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from geodet.config.section import name_hint
from geodet.errors import TilesetError
from geodet.tilesets.label_documents import find_image, raising_tileset_errors, read_text
from geodet.tilesets.parsed_labels import Box, ParsedImage, ParsedLabels
from geodet.tilesets.split_files import split_by_column
from geodet.tilesets.splits import PART_WORDS
from geodet.tilesets.table_sizes import is_size_of_images, size_of_image
from geodet.vector.coordinate_tables import MISSING, split_rows, to_numbers

__all__ = [
    "IMAGE_COLUMNS",
    "LABEL_COLUMNS",
    "class_column",
    "note_classes",
    "read_csv",
    "read_image_table",
    "read_rows",
]

IMAGE_COLUMNS = (
    "image",
    "image_path",
    "filename",
    "file_name",
    "image_name",
    "img",
    "file",
    "path",
    "image_id",
    "imageid",
)
LABEL_COLUMNS = (
    "label",
    "class",
    "class_name",
    "category",
    "name",
    "label_name",
    "labelname",
    "species",
)
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("minx", "miny", "maxx", "maxy"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("bbox_xmin", "bbox_ymin", "bbox_xmax", "bbox_ymax"),
)
_SIZES = (
    ("left", "top", "width", "height"),
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
    ("xmin", "ymin", "width", "height"),
)
_POINTS = (("x", "y"), ("col", "row"), ("column", "row"), ("x_px", "y_px"))
_FEW = 20  # classes that may be proposed at most
_FRACTION = re.compile(r"[+-]?\d*[.,]\d+")  # as scores and coordinates are
_HINT = "write numbers with a decimal point; leave all of them empty for an image without objects"

_Kind = Literal["corners", "sizes", "points"]


def read_csv(
    path: Path, folders: Sequence[Path], label_field: str | None = None
) -> ParsedLabels | None:
    """Read a CSV of points, of corners, or of corners and sizes, in pixels.

    Columns may be called by any of the usual names: ``image`` or ``image_path`` or ``filename``;
    ``xmin``, ``ymin``, ``xmax`` and ``ymax``; ``left``, ``top``, ``width`` and ``height``; ``x``
    and ``y``; optionally ``label`` or ``class``. They may be separated by semicolons or tabs, with
    decimal commas. A point's x and y are the column and row of a pixel, so half a pixel is added.
    Where all rows share a width and a height, and the first image is of that size, x and y are
    points. A row without coordinates, with NA in their place, or with a box of four zeros, stands
    for an image without objects. A column ``split``, ``subset``, ``set`` or ``fold`` may divide the
    images.

    Args:
        path: The file.
        folders: Folders that may contain the images; the first that does is used.
        label_field: See :func:`class_column`.

    Returns:
        The labels, or None if the header is none of these.

    Raises:
        TilesetError: A row is broken, or there is no column ``label_field``.
    """
    header, rows, delimiter = read_rows(path)
    image_column = next((name for name in IMAGE_COLUMNS if name in header), None)
    found = _find_columns(header)
    if image_column is None or found is None:
        return None
    kind, columns = found
    if columns[:2] == ("x", "y") and kind == "sizes":
        places = [header.index(name) for name in (image_column, *columns[2:])]
        named = [[row[place] for place in places] for _, row in rows]
        if is_size_of_images(named, folders, delimiter):
            kind, columns = "points", columns[:2]
    label = class_column(header, path, label_field)
    images: dict[str, ParsedImage] = {}
    owners: list[ParsedImage] = []
    for number, row in rows:
        name = row[header.index(image_column)].strip()
        if not name:
            raise TilesetError(
                f"{path}, line {number}: no image is named",
                hint=f"fill in the column {image_column}",
                path=path,
            )
        if name not in images:
            images[name] = ParsedImage(find_image(name, folders), f"{path}, line ")
            images[name].frame = "centres" if kind == "points" else "pixels"
        owners.append(images[name])
        where = f"{path}, line {number}"
        cells = [row[header.index(column)] for column in columns]
        box = _to_box(kind, cells, delimiter, where, path)
        if box is not None:
            form = None if kind == "points" else kind
            class_name = None if label is None else row[label].strip()
            images[name].add(box, class_name, number, form=form)
    if kind == "corners" and {"width", "height"} <= set(header):
        _add_sizes(rows, owners, [header.index("width"), header.index("height")])
    is_said = label is not None or label_field is not None
    notes = [] if is_said else note_classes(path, header, rows, (image_column, *columns))
    labels = ParsedLabels(path, list(images.values()), notes=notes)
    return split_by_column(labels, header, rows, owners)


def _add_sizes(
    rows: Sequence[tuple[int, Sequence[str]]], owners: Sequence[ParsedImage], places: Sequence[int]
) -> None:
    """Set the size of each image of which the columns width and height are the size."""
    sides: dict[Path, list[tuple[str, ...]]] = {}
    for (_, row), image in zip(rows, owners, strict=True):
        sides.setdefault(image.path, []).append(tuple(row[place].strip() for place in places))
    for image in {image.path: image for image in owners}.values():
        image.size = size_of_image(sides[image.path], image.boxes)


def class_column(header: Sequence[str], path: Path, label_field: str | None) -> int | None:
    """Find the column with the class.

    Args:
        header: Names of the columns, in lower case.
        path: The file.
        label_field: Name of the column; None: one of :data:`LABEL_COLUMNS`; empty: none.

    Returns:
        Its place, or None if no column has the class.

    Raises:
        TilesetError: There is no column ``label_field``.
    """
    if label_field is None:
        return next((header.index(name) for name in LABEL_COLUMNS if name in header), None)
    if not label_field:
        return None
    if label_field.lower() not in header:
        raise TilesetError(
            f"{path}: no column {label_field!r}",
            hint=name_hint(label_field, header, "columns"),
            path=path,
        )
    return header.index(label_field.lower())


def note_classes(
    path: Path, header: Sequence[str], rows: Sequence[tuple[int, list[str]]], used: Sequence[str]
) -> list[str]:
    """Note the columns that may have the class, where none is called as such.

    Args:
        path: The file.
        header: Its columns.
        rows: The line number and the cells of each row.
        used: The columns of the images and the coordinates.

    Returns:
        One text if there are any: those with few values, which are no fractions.
    """
    listed = []
    for place, name in enumerate(header):
        values = {row[place].strip() for _, row in rows}
        values = {value for value in values if value.lower() not in MISSING}
        is_few = 2 <= len(values) <= min(_FEW, max(2, len(rows) / 2))
        if name not in used and is_few and not any(map(_FRACTION.fullmatch, values)):
            first = ", ".join(sorted(values)[:6])
            listed.append(f"{name} ({len(values)} values: {first})")
    if not listed:
        return []
    return [
        f"{path}: no column label or class, so all objects are of one class; if one of these has"
        f" the class, name it by data.label_field: {'; '.join(listed)}"
    ]


def _find_columns(header: Sequence[str]) -> tuple[_Kind, Sequence[str]] | None:
    """Find the columns of the boxes; None if there are none."""
    layouts: tuple[tuple[_Kind, Sequence[Sequence[str]]], ...] = (
        ("corners", _CORNERS),
        ("sizes", _SIZES),
        ("points", _POINTS),
    )
    for kind, sets in layouts:
        for columns in sets:
            if set(columns) <= set(header):
                return kind, columns
    return None


def _to_box(
    kind: _Kind, cells: Sequence[str], delimiter: str, where: str, path: Path
) -> Box | None:
    """Return the box of a row, a point as a box without extent; None for no object."""
    if all(cell.strip().lower() in MISSING for cell in cells):
        return None
    try:
        a, b, *rest = to_numbers(cells, delimiter)
    except ValueError as error:
        raise TilesetError(
            f"{where}: the coordinates {', '.join(cells)} are not all numbers",
            hint=_HINT,
            path=path,
        ) from error
    if not all(math.isfinite(v) for v in (a, b, *rest)):
        raise TilesetError(
            f"{where}: the coordinates {', '.join(cells)} are not complete", hint=_HINT, path=path
        )
    if kind == "points":
        return a + 0.5, b + 0.5, a + 0.5, b + 0.5
    if not any((a, b, *rest)):
        return None
    c, d = rest
    return (a, b, a + c, b + d) if kind == "sizes" else (a, b, c, d)


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
    header, rows, _ = read_rows(path)
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


def read_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """Read the header in lower case, the line number and cells of each row, and the delimiter."""
    with raising_tileset_errors(path):
        names, rows, delimiter = split_rows(read_text(path))
    header = [name.lower() for name in names]
    for number, row in rows:
        if len(row) != len(header):
            raise TilesetError(
                f"{path}, line {number}: {len(row)} cells for {len(header)} columns",
                hint="every line needs a cell for each column",
                path=path,
            )
    return header, rows, delimiter
