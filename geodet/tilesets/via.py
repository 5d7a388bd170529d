"""Read the JSON and CSV files of the VGG Image Annotator (VIA), version 2."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from geodet.errors import TilesetError
from geodet.tilesets.labels import ParsedImage, ParsedLabels, find_image, read_text
from geodet.tilesets.outlines import Point, add_outline, ellipse_box

__all__ = ["is_via", "read_via", "read_via_table"]

_SHAPES, _ATTRIBUTES = "region_shape_attributes", "region_attributes"
_CLASS_WORDS = ("label", "class", "name", "type", "category", "object")
_HINT = "export the annotations from VIA again"

_Region = tuple[str, int, Mapping[str, Any], Mapping[str, Any]]


def is_via(text: str) -> bool:
    """Whether the text of a JSON file is a project or an export of VIA."""
    return "_via_img_metadata" in text or ('"filename"' in text and '"regions"' in text)


def read_via(path: Path, folders: Sequence[Path]) -> ParsedLabels:
    """Read rectangles, circles, ellipses, polygons, lines and points of VIA's JSON.

    The class is the attribute ``label``, ``class``, ``name``, ``type``, ``category`` or
    ``object``, or the only one.

    Args:
        path: A project or an export.
        folders: Folders that may contain the images; the first that does is used.

    Raises:
        TilesetError: The file is broken, or it does not say which attribute is the class.
    """
    try:
        content = json.loads(read_text(path))
        entries = content.get("_via_img_metadata", content)
        names = [str(entry["filename"]) for entry in entries.values()]
        found = list(_iter_regions(entries))
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise TilesetError(f"{path}: broken: {error!r}", hint=_HINT, path=path) from error
    return _to_labels(path, folders, names, found, "region")


def _iter_regions(entries: Mapping[str, Any]) -> Iterator[_Region]:
    number = 0
    for entry in entries.values():
        regions = entry["regions"]
        for region in regions.values() if isinstance(regions, dict) else regions:
            number += 1
            shape, attributes = region["shape_attributes"], region.get("region_attributes") or {}
            yield str(entry["filename"]), number, shape, attributes


def read_via_table(path: Path, folders: Sequence[Path]) -> ParsedLabels | None:
    """Read the CSV of VIA, as :func:`read_via` reads its JSON; None if the CSV is another.

    Args:
        path: The CSV.
        folders: Folders that may contain the images; the first that does is used.

    Raises:
        TilesetError: A row is broken, or nothing says which attribute is the class.
    """
    text = read_text(path)
    if _SHAPES not in text.partition("\n")[0]:
        return None
    reader = csv.DictReader(line for line in text.splitlines() if not line.startswith("# "))
    names, found = [], []
    for row in reader:
        try:
            name = row[next(key for key in row if key.strip("#") == "filename")]
            shape, attributes = json.loads(row[_SHAPES]), json.loads(row[_ATTRIBUTES])
        except (StopIteration, KeyError, TypeError, json.JSONDecodeError) as error:
            where = f"{path}, line {reader.line_num}"
            raise TilesetError(f"{where}: broken: {error!r}", hint=_HINT, path=path) from error
        names.append(name)
        if shape:
            found.append((name, reader.line_num, shape, attributes))
    return _to_labels(path, folders, names, found, "line")


def _to_labels(
    path: Path, folders: Sequence[Path], names: Sequence[str], found: Sequence[_Region], unit: str
) -> ParsedLabels:
    source = f"{path}, {unit} "
    images = {name: ParsedImage(find_image(name, folders), source) for name in names}
    key = _class_attribute([attributes for *_, attributes in found], path)
    for name, number, shape, attributes in found:
        try:
            outline = _outline(shape)
        except (KeyError, TypeError, ValueError) as error:
            raise TilesetError(
                f"{source}{number}: broken shape: {error!r}", hint=_HINT, path=path
            ) from error
        label = None if key is None else _to_class(attributes.get(key), f"{source}{number}")
        add_outline(images[name], outline, label, number)
    return ParsedLabels(path, list(images.values()))


def _class_attribute(regions: Sequence[Mapping[str, Any]], path: Path) -> str | None:
    keys = dict.fromkeys(key for attributes in regions for key in attributes)
    lower = {key.lower(): key for key in keys}
    for word in _CLASS_WORDS:
        if word in lower:
            return lower[word]
    if len(keys) > 1:
        raise TilesetError(
            f"{path}: none of the attributes {', '.join(keys)} is named as the class",
            hint="rename the attribute with the class to label",
            path=path,
        )
    return next(iter(keys), None)


def _to_class(value: Any, where: str) -> str:
    """Return a class: the text, or the one option that is ticked."""
    if isinstance(value, dict):
        ticked = [str(option) for option, is_on in value.items() if is_on]
        if len(ticked) > 1:
            raise TilesetError(
                f"{where}: the region has the classes {', '.join(ticked)}",
                hint="give each region one class",
            )
        return ticked[0] if ticked else ""
    return "" if value is None else str(value).strip()


def _outline(shape: Mapping[str, Any]) -> list[Point]:
    """Return points whose bounds are those of a shape; one point for a labelled point."""
    kind = shape["name"]
    if kind == "point":
        return [(float(shape["cx"]), float(shape["cy"]))]
    if kind == "rect":
        x, y, width, height = (float(shape[key]) for key in ("x", "y", "width", "height"))
        return [(x, y), (x + width, y + height)]
    if kind in ("circle", "ellipse"):
        rx, ry = (shape["r"], shape["r"]) if kind == "circle" else (shape["rx"], shape["ry"])
        x1, y1, x2, y2 = ellipse_box(float(shape["cx"]), float(shape["cy"]), float(rx), float(ry))
        return [(x1, y1), (x2, y2)]
    xs, ys = shape["all_points_x"], shape["all_points_y"]
    points = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
    return points * 2  # one point is still an outline
