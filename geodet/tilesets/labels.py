"""Labels of images: as label files hold them, and as boxes on their images.

A reader for each format (``coco``, ``yolo``, ``voc``, ``csv_tables``) fills a :class:`ParsedImage`
for each image, before any image is opened. ``layouts`` decides which files to read, and
``label_boxes`` turns what was parsed into boxes in pixels: a :class:`LabelledImage`.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geodet.documents.json_documents import read_json
from geodet.documents.text import DocumentError, read_document, to_text
from geodet.documents.values import check_name, shown, whole_number
from geodet.documents.yaml_documents import parse_yaml
from geodet.errors import TilesetError
from geodet.files.existence import find_alike
from geodet.geometry.arrays import Floats
from geodet.geometry.oriented_boxes import oriented_of_boxes, oriented_shapes
from geodet.tilesets.boundary import check_inside, is_inside
from geodet.tilesets.splits import Part, Split

__all__ = [
    "FARTHEST_PX",
    "Box",
    "BoxForm",
    "LabelledImage",
    "ParsedImage",
    "ParsedLabels",
    "Point",
    "Quad",
    "Tileset",
    "find_image",
    "join_path",
    "parse_box",
    "parse_yaml_labels",
    "raising_tileset_errors",
    "read_json_labels",
    "read_text",
]

FARTHEST_PX = 1e9
"""Pixels beyond which no image has a place; NumPy computes with their squares and more."""

Box = tuple[float, float, float, float]
Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]
BoxForm = Literal["corners", "sizes", "centres"]
_Frame = Literal["pixels", "whole", "shares", "centres"]


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image and its objects."""

    path: Path
    """File of the image."""
    width: int
    """Columns."""
    height: int
    """Rows."""
    boxes: Floats
    """(N, 4) float64, x1 y1 x2 y2 in continuous pixels; (0, 0) is the image's outer corner."""
    labels: NDArray[np.int64]
    """(N,) int64, index into the tileset's classes."""
    ignored: Floats
    """(M, 4) float64, regions that neither train nor count."""
    place: str
    """Images of the same ground have the same place."""
    split: Split
    """Part of the split: training, validation or test."""
    gsd: float | None
    """Metres per pixel on the ground, None if unknown."""
    as_stored: bool = False
    """Whether it is neither turned nor warped: the labels are of the pixels as they are stored."""
    oriented: Floats | None = None
    """(N, 5) float64 oriented boxes of labels with four corners, and the boxes of others; None: no
    label stands at an angle. See :mod:`geodet.geometry.oriented_boxes`."""
    steps: Floats | None = None
    """(2, 2) that map a step in pixels to metres east and north; None: ``gsd`` in all directions.
    """

    @property
    def oriented_boxes(self) -> Floats:
        """(N, 5) oriented boxes; of labels without them, the boxes."""
        return oriented_of_boxes(self.boxes) if self.oriented is None else self.oriented

    @property
    def shapes(self) -> Floats:
        """(N, 4) boxes, or (N, 9) with oriented ones, as ``Detections.shapes``."""
        return self.boxes if self.oriented is None else oriented_shapes(self.oriented)


@dataclass(frozen=True, slots=True)
class Tileset:
    """Labelled images and the names of their classes."""

    root: Path
    """Folder of the tileset."""
    classes: tuple[str, ...]
    """Names; an object's label is an index into them."""
    images: tuple[LabelledImage, ...]
    """All images, in natural order of their names."""

    def split(self, name: Part) -> tuple[LabelledImage, ...]:
        """Return the images of one part of the split, or all."""
        return tuple(image for image in self.images if name in (image.split, "all"))

    @property
    def validating(self) -> tuple[LabelledImage, ...]:
        """The validation images; none if they have no object, since no score can be right there."""
        images = self.split("val")
        return images if any(len(image.boxes) for image in images) else ()


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


@contextmanager
def raising_tileset_errors(path: Path) -> Iterator[None]:
    """Raise what is wrong with a document as an error of the tileset.

    Raises:
        TilesetError: The document in this file is broken or beyond a limit, or the file is outside
            of the tileset that is being read.
    """
    check_inside(path)
    try:
        yield
    except DocumentError as error:
        raise TilesetError(f"{path}: {error}", hint=error.hint, path=path) from error


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Raises:
        TilesetError: The file cannot be read.
    """
    with raising_tileset_errors(path):
        text = to_text(read_document(path))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json_labels(path: Path) -> Any:
    """Read a JSON file, within the limits of :mod:`geodet.documents`.

    Raises:
        TilesetError: It cannot be read, is broken or beyond a limit.
    """
    with raising_tileset_errors(path):
        return read_json(path)


def parse_yaml_labels(text: str, path: Path) -> Any:
    """Parse the text of a YAML file, within the limits of :mod:`geodet.documents`.

    Raises:
        TilesetError: It is broken or beyond a limit.
    """
    with raising_tileset_errors(path):
        return parse_yaml(text)


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


def find_image(name: str, folders: Sequence[Path]) -> Path:
    """Find an image in one of several folders.

    Returns:
        The first existing file of that path, or else of that name without folders, since programs
        write paths of their own, or one that differs in case or accents; if there is none, its path
        in the first folder. One that is outside of the tileset that is being read comes last, to be
        refused with the others.

    Raises:
        TilesetError: There can be no file of that name.
    """
    try:
        path = check_name(name.strip().replace("\\", "/"))
    except ValueError as error:
        raise TilesetError(
            f"the image {error}", hint="correct the name of the image in the label file"
        ) from error
    words = dict.fromkeys((path, path.rpartition("/")[2] or path))
    candidates = [join_path(folder, word) for word in words for folder in folders]
    found = [candidate for candidate in candidates if candidate.is_file()]
    alike = None if found else find_alike(list(filter(is_inside, candidates)))
    return alike or next((c for c in found if is_inside(c)), (found or candidates)[0])


def join_path(folder: Path, path: str | PurePosixPath) -> Path:
    """Return a path from a folder without ``..``, as far as the folder has a name.

    Each image then has one path, by whichever files it is named, and the folder stays as it was
    typed.

    Args:
        folder: Where the path begins.
        path: As a label file has it; an absolute one stays as it is.

    Example:
        >>> join_path(Path("a/../tiles/labels"), "../images/./1.png").as_posix()
        'a/../tiles/images/1.png'
    """
    parts = PurePosixPath(posixpath.normpath(path)).parts
    while parts[:1] == ("..",) and folder.name not in ("", ".."):
        folder, parts = folder.parent, parts[1:]
    return folder / str(PurePosixPath(*parts))  # as one text: a drive alone is no root on Windows
