"""Read the XML file that CVAT exports as "CVAT for images"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from geodet.errors import TilesetError
from geodet.tilesets.labels import ParsedImage, ParsedLabels, find_image, parse_box
from geodet.tilesets.outlines import Point, add_outline, ellipse_box, turned_box
from geodet.tilesets.split_files import set_parts
from geodet.tilesets.splits import PART_WORDS, Split
from geodet.tilesets.xml_files import read_xml

__all__ = ["read_cvat"]

_OUTLINES = ("polygon", "polyline", "points", "cuboid")
_SHAPES = ("box", "ellipse", "mask", *_OUTLINES)
_CUBOID = ("xtl1,ytl1", "xbr1,ybr1", "xtl2,ytl2", "xbr2,ybr2", "xbl1,ybl1", "xtr2,ytr2")


def read_cvat(path: Path, folders: Sequence[Path]) -> ParsedLabels:
    """Read boxes, turned boxes, polygons, ellipses, masks and points of CVAT.

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
        places = [*folders, *(f / item.get("subset", "") for f in folders)]
        image = ParsedImage(find_image(item.get("name", ""), places), f"{path}, shape ")
        if item.get("width", "").isdigit() and item.get("height", "").isdigit():
            image.size = (int(item.get("width", "")), int(item.get("height", "")))
        for shape in item:
            if shape.tag in _SHAPES:
                number += 1
                _add_shape(image, shape, number)
        images.append(image)
        if split := PART_WORDS.get(item.get("subset", "").lower()):
            parts[image.path] = split
    names = [label.findtext("name", "").strip() for label in root.iter("label")]
    labels = ParsedLabels(path, images, tuple(dict.fromkeys(filter(None, names))))
    return _with_subsets(labels, parts)


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
    add_outline(image, _outline(shape, where), name, number)


def _outline(shape: ElementTree.Element, where: str) -> list[Point]:
    """Return points whose bounds are those of a shape."""
    if shape.tag in ("polygon", "polyline"):
        return [*_parse_points(shape, where) * 2]  # twice: one point is still an outline
    if shape.tag == "cuboid":
        pairs = [key.split(",") for key in _CUBOID]
        return [_parse_point((shape.get(x, ""), shape.get(y, "")), where) for x, y in pairs]
    keys = {
        "box": ("xtl", "ytl", "xbr", "ybr"),
        "ellipse": ("cx", "cy", "rx", "ry"),
        "mask": ("left", "top", "width", "height"),
    }[shape.tag]
    box = parse_box([shape.get(key, "") for key in keys], where)
    if shape.tag == "ellipse":
        box = ellipse_box(*box)
    elif shape.tag == "mask":
        box = (box[0], box[1], box[0] + box[2], box[1] + box[3])
    angle = parse_box([shape.get("rotation", "0")] * 4, where)[0]
    x1, y1, x2, y2 = turned_box(box, angle) if angle else box
    return [(x1, y1), (x2, y2)]


def _parse_points(shape: ElementTree.Element, where: str) -> list[Point]:
    pairs = [pair.split(",") for pair in shape.get("points", "").split(";") if pair]
    return [_parse_point(pair, where) for pair in pairs]


def _parse_point(pair: Sequence[str], where: str) -> Point:
    if len(pair) != 2:
        raise TilesetError(f"{where}: {pair!r} is not a point", hint="a point is written x,y")
    x, y, *_ = parse_box([*pair, *pair], where)
    return x, y
