"""Note labels that were probably written in another way than their format has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox
from geodet.tilesets.parsed_labels import BoxForm, ParsedImage, ParsedLabels

__all__ = ["note_doubtful_boxes", "note_doubtful_classes", "note_doubtful_form"]

_FORMS: dict[BoxForm, str] = {
    "corners": "xmin, ymin, xmax, ymax",
    "sizes": "x, y, width, height",
    "centres": "centre x, centre y, width, height",
}
_SLACK = 1.0  # pixels; programs differ in where a pixel begins
_ENOUGH = 5  # boxes; fewer may be mistakes of their own
_SHARE = 0.1  # of all boxes, inverted ones where no other form fits
_BESIDE = 0.05  # of the boxes that are wrong as read, which may be wrong in the form that fits
_BACKGROUND = ("background", "ignore", "unknown", "other", "none", "unlabel")


def note_doubtful_boxes(
    items: Sequence[ParsedImage], geoboxes: Sequence[GeoBox], source: object
) -> list[str]:
    """Note boxes whose four numbers are probably not in the form that their format has.

    In the right form, nearly all boxes are inside of their images, and none is inverted. Some may
    reach over an edge, which does no harm: in no other form would these be inside.

    Args:
        items: The parsed labels of all images.
        geoboxes: Their geoboxes.
        source: The labels, for the text.

    Returns:
        A text for each form in which many boxes are wrong.
    """
    notes = []
    for form in _FORMS:
        numbers, sizes, places = _numbers_in(form, items, geoboxes)
        if len(numbers):
            notes += note_doubtful_form(form, numbers, sizes, places, source)
    return notes


def _numbers_in(
    form: BoxForm, items: Sequence[ParsedImage], geoboxes: Sequence[GeoBox]
) -> tuple[Floats, Floats, list[str]]:
    """Return four numbers of each box that the labels have in a form: (N, 4), in pixels.

    The other two are the width and height of its image, (N, 2), and where its label is.
    """
    boxes, sizes, places = [], [], []
    for item, geobox in zip(items, geoboxes, strict=True):
        size = (geobox.width, geobox.height)
        unit = size if item.frame == "shares" else (1, 1)
        for box, own, number in zip(item.boxes, item.forms, item.numbers, strict=True):
            if own == form:
                boxes.append([value * side for value, side in zip(box, unit * 2, strict=True)])
                sizes.append(size)
                places.append(f"{item.source}{number}")
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    sides = corners[:, 2:] - corners[:, :2]
    first = {
        "corners": corners[:, :2],
        "sizes": corners[:, :2],
        "centres": corners[:, :2] + sides / 2,
    }
    last = corners[:, 2:] if form == "corners" else sides
    return np.hstack([first[form], last]), np.array(sizes, np.float64).reshape(-1, 2), places


def _to_corners(form: BoxForm, numbers: Floats) -> Floats:
    """Return (N, 4) x1 y1 x2 y2 of numbers in a form."""
    first, last = numbers[:, :2], numbers[:, 2:]
    if form == "corners":
        return numbers
    start = first if form == "sizes" else first - last / 2
    return np.hstack([start, start + last])


def note_doubtful_form(
    form: BoxForm, numbers: Floats, sizes: Floats, places: Sequence[str], source: object
) -> list[str]:
    """Note boxes that were all written in one form, and probably in another.

    Args:
        form: The form in which they were read.
        numbers: The four numbers of each box as they were written: (N, 4), in pixels.
        sizes: Width and height of the image of each: (N, 2).
        places: Where each is written.
        source: The file or folder, for the text.

    Returns:
        One text if many boxes are wrong in that form, otherwise none.
    """
    corners = _to_corners(form, numbers)
    wrong, inverted = _are_wrong(corners, sizes), _are_inverted(corners)
    count, total = int(wrong.sum()), len(numbers)
    if count >= _ENOUGH or 2 * inverted.sum() > total:
        others = {
            other: int(_are_wrong(_to_corners(other, numbers), sizes).sum())
            for other in _FORMS
            if other != form
        }
        least = min(others.values())
        if least <= count * _BESIDE:
            fitting = " or ".join(_FORMS[other] for other in others if others[other] == least)
            return [
                f"{source}: {count} of {total} boxes are inverted or reach outside of their image"
                f" if their numbers are {_FORMS[form]}, such as {places[int(wrong.argmax())]},"
                f" and {least or 'none'} if they are {fitting}, as is probable: convert the boxes"
            ]
    if inverted.sum() >= max(_ENOUGH, total * _SHARE):
        return [
            f"{source}: {int(inverted.sum())} of {total} boxes are inverted if their numbers are"
            f" {_FORMS[form]}, such as {places[int(inverted.argmax())]}: check what they hold"
        ]
    return []


def _are_inverted(corners: Floats) -> NDArray[np.bool_]:
    return np.asarray((corners[:, 2:] < corners[:, :2]).any(axis=1), np.bool_)


def _are_wrong(corners: Floats, sizes: Floats) -> NDArray[np.bool_]:
    """Whether boxes are inverted or reach outside of their image."""
    beyond = (corners[:, :2] < -_SLACK) | (corners[:, 2:] > sizes + _SLACK)
    return _are_inverted(corners) | np.asarray(beyond.any(axis=1), np.bool_)


def note_doubtful_classes(labels: ParsedLabels) -> list[str]:
    """Note YOLO labels whose class numbers probably count from 1.

    Where the last name has no object, no number is too large. Labels that use few of many names, as
    those of a public list, are not doubtful.

    Args:
        labels: The labels before any class is renamed.

    Returns:
        One text if the first class has no object, and more than half of the others have.
    """
    first, *others = labels.classes or ("",)
    used = {name for image in labels.images for name in image.names}
    if not labels.layout.startswith("YOLO") or first in used:
        return []
    count = len(used.intersection(others))
    if 2 * count <= len(others) or any(word in first.casefold() for word in _BACKGROUND):
        return []
    return [
        f"{labels.source}: no object has the class number 0, {first!r}, but {count} of the other"
        f" {len(others)} classes have objects: if the numbers in the labels count from 1, subtract"
        " 1, since YOLO counts from 0"
    ]
