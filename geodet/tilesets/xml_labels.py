"""Read labels in XML: Pascal VOC and CVAT for images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from geodet.documents.values import check_name, finite_number
from geodet.documents.xml_documents import read_xml_root
from geodet.errors import TilesetError
from geodet.tilesets.label_documents import find_image, raising_tileset_errors
from geodet.tilesets.outlines import add_outline, bounds_of, ellipse_box, turned_corners
from geodet.tilesets.parsed_labels import Box, BoxForm, ParsedImage, ParsedLabels, Point, parse_box
from geodet.tilesets.split_files import set_parts
from geodet.tilesets.splits import PART_WORDS, Split

__all__ = ["read_cvat", "read_voc", "read_xml"]


def read_xml(path: Path) -> ElementTree.Element:
    """Read the root of an XML file.

    Raises:
        TilesetError: The file is no XML, or beyond a limit.
    """
    with raising_tileset_errors(path):
        return read_xml_root(path)


def read_voc(pairs: Iterable[tuple[Path, Path]]) -> ParsedLabels:
    """Read Pascal VOC XML files.

    Corners are continuous coordinates from 0, with ``xmax`` one past the last column. The files of
    the original challenge count pixels from 1 and include the last, but today's tools (labelImg,
    CVAT, Roboflow, HIT-UAV) write edges: their corners at 0 and at the image's width would be
    outside of the image otherwise. Objects marked ``difficult`` become ignored regions, as in the
    challenge. The attribute ``rotation`` of CVAT turns a box about its centre, as does the angle of
    ``robndbox``, which roLabelImg writes in radians in place of ``bndbox``.

    Args:
        pairs: Each image and its XML file. An image without a file has no objects.

    Raises:
        TilesetError: A file is broken.
    """
    return ParsedLabels(Path(), [_read_voc_image(path, file) for path, file in pairs])


_ROTATION = "attributes/attribute[name='rotation']/value"  # degrees; the corners are unturned


def _read_voc_image(path: Path, file: Path) -> ParsedImage:
    image = ParsedImage(path, f"{file}, object ")
    if not file.is_file():
        return image
    root = read_xml(file)
    image.note_size(root.findtext("size/width"), root.findtext("size/height"))
    for number, item in enumerate(root.iter("object"), start=1):
        name = item.findtext("name", "").strip()
        difficult = item.findtext("difficult", "0").strip().lower() in ("1", "true")
        box, angle = _read_voc_box(item, f"{file}, object {number}")
        corners = turned_corners(box, angle) if angle else ()
        box = bounds_of(corners) if corners else box
        form: BoxForm | None = None if corners or item.find("robndbox") is not None else "corners"
        image.add(box, name, number, ignored=difficult, outline=corners, form=form)
    return image


def _read_voc_box(item: ElementTree.Element, where: str) -> tuple[Box, float]:
    """Return the box of an object before it is turned, and its angle in degrees."""
    if item.find("robndbox") is None:
        values = [item.findtext(f"bndbox/{k}", "") for k in ("xmin", "ymin", "xmax", "ymax")]
        return parse_box(values, where), _to_angle(item.findtext(_ROTATION, "0"), where)
    values = [item.findtext(f"robndbox/{key}", "") for key in ("cx", "cy", "w", "h")]
    x, y, width, height = parse_box(values, where)
    angle = math.degrees(_to_angle(item.findtext("robndbox/angle", ""), where))
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2), angle


_OUTLINES = ("polygon", "polyline", "points", "cuboid", "skeleton")
_CORNERS = ("tl", "bl", "tr", "br")
_SHAPES = ("box", "ellipse", "mask", *_OUTLINES)
_CUBOID = [(f"x{corner}{side}", f"y{corner}{side}") for side in "12" for corner in _CORNERS]


def read_cvat(path: Path, folders: Sequence[Path]) -> ParsedLabels:
    """Read boxes, turned boxes, polygons, ellipses, masks, cuboids, skeletons and points of CVAT.

    Every shape becomes its bounds. A subset such as ``Train`` is a part of the split. Several
    points in one element are several objects.

    Args:
        path: ``annotations.xml``.
        folders: Folders that may contain the images; the first that does is used.

    Raises:
        TilesetError: The file is broken, or it labels a video.
    """
    root = read_xml(path)
    if root.find("track") is not None:
        raise TilesetError(
            f"{path} has the tracks of a video",
            hint='export the task from CVAT as "CVAT for images"',
            path=path,
        )
    images, parts = [], {}
    number = 0
    for item in root.iter("image"):
        places = [*folders, *(f / _subset(item, path) for f in folders)]
        image = ParsedImage(find_image(item.get("name", ""), places), f"{path}, shape ")
        image.note_size(item.get("width"), item.get("height"))
        for shape in item:
            if shape.tag in _SHAPES:
                number += 1
                _add_shape(image, shape, number)
        images.append(image)
        if split := PART_WORDS.get(item.get("subset", "").lower()):
            parts[image.path] = split
    whole = [one for one in root.iter("label") if not one.findtext("parent", "").strip()]
    names = [label.findtext("name", "").strip() for label in whole]
    labels = ParsedLabels(path, images, tuple(dict.fromkeys(filter(None, names))))
    return _with_subsets(labels, parts)


def _subset(image: ElementTree.Element, path: Path) -> str:
    """Return the subset of an image, which is a folder's name in exports with images."""
    try:
        return check_name(image.get("subset", ""))
    except ValueError as error:
        raise TilesetError(
            f"{path}: the subset {error}", hint="correct the subset of the image", path=path
        ) from error


def _with_subsets(labels: ParsedLabels, parts: Mapping[Path, Split]) -> ParsedLabels:
    has_all = len(parts) == len(labels.images)
    if not parts or (not has_all and not {"train", "val"} <= set(parts.values())):
        return labels
    return set_parts(labels, parts, f"the subsets in {labels.source.name}")


def _add_shape(image: ParsedImage, shape: ElementTree.Element, number: int) -> None:
    name = shape.get("label", "").strip()
    where = f"{image.source}{number}"
    if shape.tag == "points":
        for point in _parse_points(shape, where):
            add_outline(image, [point], name, number)
        return
    if shape.tag == "ellipse":
        _add_ellipse(image, shape, name, number)
        return
    add_outline(image, _outline(shape, where), name, number)


def _add_ellipse(image: ParsedImage, shape: ElementTree.Element, name: str, number: int) -> None:
    """Add an ellipse; one that is turned has the corners of the rectangle around its axes."""
    where = f"{image.source}{number}"
    numbers = parse_box([shape.get(key, "") for key in ("cx", "cy", "rx", "ry")], where)
    angle = _to_angle(shape.get("rotation", "0"), where)
    x1, y1, x2, y2 = ellipse_box(*numbers, angle)
    corners = turned_corners(ellipse_box(*numbers), angle) if angle else ()
    add_outline(image, [(x1, y1), (x2, y2)], name, number, corners=corners)


def _outline(shape: ElementTree.Element, where: str) -> list[Point]:
    """Return points whose bounds are those of a shape."""
    if shape.tag in ("polygon", "polyline"):
        return [*_parse_points(shape, where) * 2]  # twice: one point is still an outline
    if shape.tag == "cuboid":
        keys = [(x, y) for x, y in _CUBOID if x in shape.attrib or y in shape.attrib]
        return _bounds([_parse_point((shape.get(x, ""), shape.get(y, "")), where) for x, y in keys])
    if shape.tag == "skeleton":
        seen = [part for part in shape.iter("points") if part.get("outside") != "1"]
        return _bounds([point for part in seen for point in _parse_points(part, where)])
    is_mask = shape.tag == "mask"
    sides = ("left", "top", "width", "height") if is_mask else ("xtl", "ytl", "xbr", "ybr")
    x1, y1, x2, y2 = parse_box([shape.get(side, "") for side in sides], where)
    if is_mask:
        x2, y2 = x1 + x2, y1 + y2
    angle = _to_angle(shape.get("rotation", "0"), where)
    return turned_corners((x1, y1, x2, y2), angle) if angle else [(x1, y1), (x2, y2)]


def _bounds(points: Sequence[Point]) -> list[Point]:
    """Return two corners, so that four points are not taken for those of an oriented box."""
    if not points:
        return []
    x1, y1, x2, y2 = bounds_of(points)
    return [(x1, y1), (x2, y2)]


def _to_angle(rotation: str, where: str) -> float:
    try:
        return finite_number(rotation)
    except ValueError as error:
        raise TilesetError(
            f"{where}: the rotation {error}", hint="correct the angle of the box"
        ) from error


def _parse_points(shape: ElementTree.Element, where: str) -> list[Point]:
    pairs = [pair.split(",") for pair in shape.get("points", "").split(";") if pair]
    return [_parse_point(pair, where) for pair in pairs]


def _parse_point(pair: Sequence[str], where: str) -> Point:
    if len(pair) != 2:
        raise TilesetError(f"{where}: {pair!r} is not a point", hint="a point is written x,y")
    x, y, *_ = parse_box([*pair, *pair], where)
    return x, y
