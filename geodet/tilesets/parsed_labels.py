"""Labels as their files hold them, before any image is opened.

A reader for each format (``coco``, ``yolo``, ``voc``, ``csv_tables``) fills a :class:`ParsedImage`
for each image. ``layouts`` decides which files to read, and ``label_boxes`` turns what was parsed
into boxes in pixels: a :class:`~geodet.tilesets.labels.LabelledImage`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from geodet.documents.values import shown, whole_number
from geodet.errors import TilesetError
from geodet.tilesets.splits import Split

__all__ = [
    "FARTHEST_PX",
    "Box",
    "BoxForm",
    "ParsedImage",
    "ParsedLabels",
    "Point",
    "Quad",
    "parse_box",
]

FARTHEST_PX = 1e9
"""Pixels beyond which no image has a place; NumPy computes with their squares and more."""

Box = tuple[float, float, float, float]
Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]
BoxForm = Literal["corners", "sizes", "centres"]
_Frame = Literal["pixels", "whole", "shares", "centres"]


@dataclass(slots=True)
class ParsedImage:
    """The labels of one image, filled object by object."""

    path: Path
    """File of the image."""
    source: str
    """Where its objects are listed, without the number: ``"trees.csv, line "``."""
    frame: _Frame = "pixels"
    """The kind of the boxes: corners in pixels (``pixels``), such corners that must not be clipped
    to the image (``whole``), corners as shares of the image's sides (``shares``), or a point in
    pixels, given twice (``centres``)."""
    boxes: list[Box] = field(default_factory=list)
    """x1 y1 x2 y2 of each object."""
    names: list[str | None] = field(default_factory=list)
    """Class of each object, None if the format has no classes."""
    numbers: list[int] = field(default_factory=list)
    """Line or element of each object, counted from 1."""
    ignored: list[bool] = field(default_factory=list)
    """Whether each object is a region that neither trains nor counts."""
    quads: list[Quad | None] = field(default_factory=list)
    """The corners of each object, in the frame of its box, where the labels have four."""
    forms: list[BoxForm | None] = field(default_factory=list)
    """The numbers of which each box was read: x1 y1 x2 y2, x y width height, or the latter with a
    centre; None of points and of outlines."""
    size: tuple[int, int] | None = None
    """Width and height, if the labels contain them."""
    place: str | None = None
    """Images of the same ground have the same place."""
    split: Split | None = None
    """Part of the tileset's own split, if it has one."""
    gsd: float | None = None
    """Metres per pixel, if the labels contain them."""
    as_stored: bool = False
    """Whether the labels are of the pixels as they are stored, neither turned nor warped."""
    class_map: Mapping[str, str] = field(default_factory=dict)
    """``data.class_map`` with which ``geodet tile`` cut it: the names are the new ones."""
    ignored_classes: tuple[str, ...] = ()
    """Classes that ``geodet tile`` ignored as it cut it: their objects are regions."""

    def add(
        self,
        box: Box,
        name: str | None,
        number: int,
        *,
        ignored: bool = False,
        outline: Sequence[Point] = (),
        form: BoxForm | None = None,
    ) -> None:
        """Add an object.

        Args:
            box: In the image's ``frame``.
            name: Its class; None if the format has no classes.
            number: Its line or element, for error messages.
            ignored: Whether it neither trains nor counts.
            outline: The points that the labels have of it; four different ones are its corners.
            form: The four numbers that the labels have of it; None if they have others.

        Raises:
            TilesetError: The class is empty, or a coordinate is no number that an image can have.
        """
        if name is not None and not name:
            raise TilesetError(
                f"{self.source}{number}: the object has no class",
                hint="add a class to every object",
            )
        if not all(math.isfinite(v) for v in box):
            raise TilesetError(
                f"{self.source}{number}: the box {box} is not finite", hint="correct the label"
            )
        if max(map(abs, box)) > FARTHEST_PX:
            raise TilesetError(
                f"{self.source}{number}: the box {box} is beyond any image",
                hint="correct the label; boxes are in pixels of their image",
            )
        self.boxes.append(box)
        self.names.append(name)
        self.numbers.append(number)
        self.ignored.append(ignored)
        self.quads.append(_quad_of(outline))
        self.forms.append(form)

    def note_size(self, width: Any, height: Any) -> None:
        """Keep the width and the height that the labels state, where both are numbers above 0."""
        with suppress(ValueError):
            size = whole_number(width), whole_number(height)
            self.size = size if min(size) > 0 else None


def _quad_of(outline: Sequence[Point]) -> Quad | None:
    """Return the four corners of an outline, which may be closed or repeated; None of others."""
    match tuple(dict.fromkeys(outline)) if 4 <= len(outline) <= 10 else ():
        case (a, b, c, d):
            return a, b, c, d
    return None


@dataclass(slots=True)
class ParsedLabels:
    """The labels of a tileset, before any image is opened."""

    source: Path
    """The file or the folder."""
    images: list[ParsedImage]
    """One for each image, in the files' order."""
    classes: tuple[str, ...] = ()
    """Class names that a file declares, in its order; undeclared classes follow, sorted."""
    layout: str = ""
    """Name of the format."""
    split_source: str = ""
    """The source of the split: ``data.yaml``, ``ImageSets/Main``; empty if there is none."""
    notes: list[str] = field(default_factory=list)
    """Possible mistakes, to warn of."""


def parse_box(values: Sequence[str], where: str) -> Box:
    """Parse x1, y1, x2 and y2.

    Args:
        values: The four numbers as text.
        where: File and line, for the error message.

    Raises:
        TilesetError: They are not four numbers.
    """
    try:
        x1, y1, x2, y2 = (float(v) for v in values)
    except ValueError as error:
        raise TilesetError(
            f"{where}: the box {', '.join(map(shown, values))} is not four numbers",
            hint="correct the label; a box is four numbers",
        ) from error
    return x1, y1, x2, y2
