"""Read the projects of the VGG Image Annotator (VIA), version 3.

They differ from those of version 2: a region names a view, which shows a file; a shape is a list of
numbers; and a choice is stored as the number of its option. Each region is rewritten as version 2
stores it, and read by :mod:`geodet.tilesets.via`.

Reference:
    Dutta & Zisserman 2019, doi:10.1145/3343031.3350535; ``_via_metadata.js`` of version 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geodet.documents.values import finite_number, member
from geodet.errors import TilesetError
from geodet.tilesets.label_documents import read_json_labels
from geodet.tilesets.parsed_labels import ParsedLabels
from geodet.tilesets.via import Region, to_labels

__all__ = ["is_via_3", "read_via_3"]

_HINT = "save the project from VIA again"
_IMAGE = 2  # of the types of files; the others are videos, sounds and texts
_TEXT = 1  # of the types of attributes; the others have options
_SIMPLE = {
    1: ("point", ("cx", "cy")),
    2: ("rect", ("x", "y", "width", "height")),
    3: ("circle", ("cx", "cy", "r")),
    4: ("ellipse", ("cx", "cy", "rx", "ry")),
}
"""Shapes of a fixed size, by number."""
_OUTLINES = (5, 6, 7, 8)  # line, polyline, polygon, and the four outermost points of an object
_THREE_POINTS = 9  # on a circle


def is_via_3(text: str) -> bool:
    """Whether the text of a JSON file is a project of VIA 3."""
    return '"vid_list"' in text and '"metadata"' in text


def read_via_3(path: Path, folders: Sequence[Path], label_field: str | None = None) -> ParsedLabels:
    """Read the regions of images in a project of VIA 3.

    The class is chosen as :func:`geodet.tilesets.via.read_via` does.

    Args:
        path: The project.
        folders: Folders that may contain the images; the first that does is used.
        label_field: The attribute with the class; None: as there; empty: all objects are of one
            class.

    Raises:
        TilesetError: The file is broken, a region is part of a video or of several files, or no
            attribute is the class.
    """
    content = read_json_labels(path)
    try:
        names = _name_views(content)
        attributes = member(content, "attribute", dict)
        entries = member(content, "metadata", dict)
    except ValueError as error:
        raise TilesetError(f"{path}: {error}", hint=_HINT, path=path) from error
    found: list[Region] = []
    for number, entry in enumerate(entries.values(), start=1):
        try:
            if not member(entry, "xy", list):  # it describes a file, not a region
                continue
            name = names.get(str(entry.get("vid")))
            if name is None:
                raise ValueError("it is not of one image; geodet reads regions of images alone")
            values = _named_values(member(entry, "av", dict), attributes)
            found.append((name, number, _to_shape(entry["xy"]), values))
        except ValueError as error:
            raise TilesetError(
                f"{path}, region {number}: {error}", hint=_HINT, path=path
            ) from error
    return to_labels(path, folders, list(names.values()), found, "region", label_field)


def _name_views(content: Any) -> dict[str, str]:
    """Return the file name of each view that shows one image."""
    files, views = member(content, "file", dict), member(content, "view", dict)
    names = {}
    for number, view in views.items():
        shown = [files.get(str(one)) for one in member(view, "fid_list", list)]
        if len(shown) == 1 and isinstance(shown[0], dict) and shown[0].get("type") == _IMAGE:
            names[str(number)] = member(shown[0], "fname", str)
    return names


def _named_values(values: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by the names of their attributes, and the options that they choose."""
    named: dict[str, Any] = {}
    for number, value in values.items():
        attribute = member(attributes, number, dict)
        name = member(attribute, "aname", str)
        options = attribute.get("options") if attribute.get("type") != _TEXT else None
        if isinstance(options, dict) and options:
            chosen = [one for one in str(value).split(",") if one in options]
            named[name] = {str(options[one]): True for one in chosen}
        else:
            named[name] = value
    return named


def _to_shape(xy: Sequence[Any]) -> dict[str, Any]:
    """Return a shape as VIA 2 stores it.

    Args:
        xy: Its number, and coordinates.

    Raises:
        ValueError: It has other coordinates than its kind.
    """
    kind, values = xy[0], [finite_number(value) for value in xy[1:]]
    if kind in _SIMPLE and len(values) == len(_SIMPLE[kind][1]):
        name, keys = _SIMPLE[kind]
        return {"name": name, **dict(zip(keys, values, strict=True))}
    if kind in _OUTLINES and len(values) >= 4 and len(values) % 2 == 0:
        return {"name": "polygon", "all_points_x": values[::2], "all_points_y": values[1::2]}
    if kind == _THREE_POINTS and len(values) == 6:
        x, y, radius = _circle_through(np.array(values).reshape(3, 2))
        return {"name": "circle", "cx": x, "cy": y, "r": radius}
    raise ValueError(f"the shape {kind} has {len(values)} numbers")


def _circle_through(points: Any) -> tuple[float, float, float]:
    """Return the centre and the radius of the circle through three points, (3, 2)."""
    sides = 2 * (points[1:] - points[0])
    squares = (points**2).sum(axis=1)
    try:
        x, y = np.linalg.solve(sides, squares[1:] - squares[0]).tolist()
    except np.linalg.LinAlgError:
        raise ValueError("the three points of the circle lie on a line") from None
    return x, y, float(np.hypot(*(points[0] - (x, y))))
