"""Read the JSON and CSV files of the VGG Image Annotator (VIA), version 2."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from geodet.config.section import name_hint
from geodet.documents.csv_documents import iter_csv_rows
from geodet.documents.json_documents import parse_json
from geodet.documents.values import finite_number, member, plain_word
from geodet.errors import TilesetError
from geodet.tilesets.label_documents import (
    find_image,
    raising_tileset_errors,
    read_json_labels,
    read_text,
)
from geodet.tilesets.outlines import add_outline, ellipse_box
from geodet.tilesets.parsed_labels import ParsedImage, ParsedLabels, Point

__all__ = ["Region", "is_via", "read_via", "read_via_table", "to_labels"]

_SHAPES, _ATTRIBUTES = "region_shape_attributes", "region_attributes"
_CLASS_WORDS = ("label", "class", "name", "type", "category", "object")
_UNFILLED = ("", "not_defined")  # the second is what VIA writes as each region's name
_HINT = "export the annotations from VIA again"

logger = logging.getLogger(__name__)

Region = tuple[str, int, Mapping[str, Any], Mapping[str, Any]]
"""The name of an image, the number of a region in its file, its shape and its attributes."""


def is_via(text: str) -> bool:
    """Whether the text of a JSON file is a project or an export of VIA."""
    return "_via_img_metadata" in text or ('"filename"' in text and '"regions"' in text)


def read_via(path: Path, folders: Sequence[Path], label_field: str | None = None) -> ParsedLabels:
    """Read rectangles, circles, ellipses, polygons, lines and points of VIA's JSON.

    The class is the first attribute that is filled of ``label``, ``class``, ``name``, ``type``,
    ``category`` and ``object``, or the only one.

    Args:
        path: A project or an export.
        folders: Folders that may contain the images; the first that does is used.
        label_field: The attribute with the class; None: as above; empty: all objects are of one
            class.

    Raises:
        TilesetError: The file is broken, it does not say which attribute is the class, or no region
            has this one.
    """
    content = read_json_labels(path)
    is_project = isinstance(content, dict) and "_via_img_metadata" in content
    try:
        entries = member(content, "_via_img_metadata", dict) if is_project else content
        if not isinstance(entries, dict):
            raise ValueError("it is not a JSON object, so not a file of VIA")
    except ValueError as error:
        raise TilesetError(f"{path}: {error}", hint=_HINT, path=path) from error
    names: list[str] = []
    found: list[Region] = []
    for number, entry in enumerate(entries.values(), start=1):
        try:
            names.append(member(entry, "filename", str))
            found += _iter_regions(entry, len(found))
        except ValueError as error:
            raise TilesetError(f"{path}, image {number}: {error}", hint=_HINT, path=path) from error
    return to_labels(path, folders, names, found, "region", label_field)


def _iter_regions(entry: Mapping[str, Any], before: int) -> Iterator[Region]:
    """Yield the regions of an image, numbered after those before."""
    regions = entry.get("regions")
    if isinstance(regions, dict):  # as version 1 wrote them
        regions = list(regions.values())
    if not isinstance(regions, list):
        raise ValueError("it has no list of regions")
    for number, region in enumerate(regions, start=before + 1):
        try:
            shape, attributes = (
                member(region, "shape_attributes", dict),
                region.get("region_attributes"),
            )
            yield entry["filename"], number, shape, _checked_attributes(attributes)
        except ValueError as error:
            raise ValueError(f"region {number}: {error}") from error


def _checked_attributes(attributes: Any) -> Mapping[str, Any]:
    if attributes and not isinstance(attributes, dict):
        raise ValueError("its attributes are not an object")
    return attributes or {}


def read_via_table(
    path: Path, folders: Sequence[Path], label_field: str | None = None
) -> ParsedLabels | None:
    """Read the CSV of VIA, as :func:`read_via` reads its JSON; None if the CSV is another.

    Args:
        path: The CSV.
        folders: Folders that may contain the images; the first that does is used.
        label_field: The attribute with the class.

    Raises:
        TilesetError: A row is broken, nothing says which attribute is the class, or no region has
            this one.
    """
    text = read_text(path)
    if _SHAPES not in text.partition("\n")[0]:
        return None
    with raising_tileset_errors(path):
        rows = [(n, row) for n, row in iter_csv_rows(text) if row and not row[0].startswith("# ")]
    header = [name.strip("#") for name in rows[0][1]]
    names: list[str] = []
    found: list[Region] = []
    for number, row in rows[1:]:
        try:
            cells = dict(zip(header, row, strict=False))
            name = member(cells, "filename", str)
            shape = parse_json(member(cells, _SHAPES, str))
            attributes = parse_json(member(cells, _ATTRIBUTES, str))
            if shape and not isinstance(shape, dict):
                raise ValueError(f"its {_SHAPES} is not an object")
            region = (name, number, shape, _checked_attributes(attributes))
        except ValueError as error:
            where = f"{path}, line {number}"
            raise TilesetError(f"{where}: {error}", hint=_HINT, path=path) from error
        names.append(name)
        found += [region] if shape else []
    return to_labels(path, folders, names, found, "line", label_field)


def to_labels(
    path: Path,
    folders: Sequence[Path],
    names: Sequence[str],
    found: Sequence[Region],
    unit: str,
    label_field: str | None,
) -> ParsedLabels:
    """Find the classes and the outlines of regions.

    Args:
        path: The file.
        folders: Folders that may contain the images; the first that does is used.
        names: Of all images, also those without a region.
        found: The regions.
        unit: What their numbers count, for messages.
        label_field: The attribute with the class, as in :func:`read_via`.

    Raises:
        TilesetError: A region is broken, or no attribute is the class.
    """
    source = f"{path}, {unit} "
    images = {name: ParsedImage(find_image(name, folders), source) for name in names}
    regions = [attributes for *_, attributes in found]
    keys = list(dict.fromkeys(key for attributes in regions for key in attributes))
    key = _class_attribute(keys, regions, path, label_field)
    for name, number, shape, attributes in found:
        try:
            outline = _outline(shape)
            label = None if key is None else _to_class(attributes.get(key))
        except ValueError as error:
            raise TilesetError(f"{source}{number}: {error}", hint=_HINT, path=path) from error
        add_outline(images[name], outline, label, number)
    if key is not None:
        _report_attribute(path, keys, key, images.values())
    return ParsedLabels(path, list(images.values()))


def _class_attribute(
    keys: Sequence[str],
    regions: Sequence[Mapping[str, Any]],
    path: Path,
    label_field: str | None,
) -> str | None:
    """Return the attribute with the class, None if there is none."""
    if label_field and regions and label_field not in keys:
        raise TilesetError(
            f"{path}: no region has the attribute {label_field!r}",
            hint=name_hint(label_field, keys, "attributes"),
            path=path,
        )
    if label_field is not None:
        return label_field or None
    lower = {key.lower(): key for key in keys}
    known = [lower[word] for word in _CLASS_WORDS if word in lower]
    filled = (key for key in known if any(_is_filled(one.get(key)) for one in regions))
    if known:
        return next(filled, known[0])
    if len(keys) > 1:
        raise TilesetError(
            f"{path}: none of the attributes {', '.join(keys)} is named as the class",
            hint="data.label_field names the attribute with the class; or rename it to label",
            path=path,
        )
    return next(iter(keys), None)


def _is_filled(value: Any) -> bool:
    if isinstance(value, dict):
        return any(value.values())
    return value is not None and str(value).strip() not in _UNFILLED


def _report_attribute(
    path: Path, keys: Sequence[str], key: str, images: Iterable[ParsedImage]
) -> None:
    others = ", ".join(other for other in keys if other != key)
    also = f" (there are also {others})" if others else ""
    counts = Counter(name for image in images for name in image.names)
    listed = ", ".join(f"{name} {count}" for name, count in counts.most_common(6))
    more = f", and {len(counts) - 6} more" if len(counts) > 6 else ""
    logger.info("%s: classes from the attribute %r%s: %s%s", path, key, also, listed, more)


def _to_class(value: Any) -> str:
    """Return a class: the text, or the one option that is ticked."""
    if isinstance(value, dict):
        ticked = [str(option) for option, is_on in value.items() if is_on]
        if len(ticked) > 1:
            raise ValueError(
                f"the region has the classes {', '.join(ticked)}; give each region one class"
            )
        return ticked[0] if ticked else ""
    return "" if value is None else plain_word(value)


def _outline(shape: Mapping[str, Any]) -> list[Point]:
    """Return points whose bounds are those of a shape; one point for a labelled point."""
    kind = shape.get("name")
    if kind == "point":
        return [_numbers(shape, "cx", "cy")]
    if kind == "rect":
        (x, y), (width, height) = _numbers(shape, "x", "y"), _numbers(shape, "width", "height")
        return [(x, y), (x + width, y + height)]
    if kind in ("circle", "ellipse"):
        radii = ("r", "r") if kind == "circle" else ("rx", "ry")
        turn = math.degrees(finite_number(shape.get("theta", 0)))
        centre, sides = _numbers(shape, "cx", "cy"), _numbers(shape, *radii)
        x1, y1, x2, y2 = ellipse_box(*centre, *sides, turn)
        return [(x1, y1), (x2, y2)]
    xs, ys = (member(shape, f"all_points_{axis}", list) for axis in "xy")
    if len(xs) != len(ys):
        raise ValueError(f"the shape has {len(xs)} x and {len(ys)} y")
    points = [(finite_number(x), finite_number(y)) for x, y in zip(xs, ys, strict=True)]
    return points * 2  # one point is still an outline


def _numbers(shape: Mapping[str, Any], first: str, second: str) -> Point:
    for key in (first, second):
        if key not in shape:
            raise ValueError(f"the shape has no {key}")
    return finite_number(shape[first]), finite_number(shape[second])
