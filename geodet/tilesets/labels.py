"""What label files say of images, in whatever format, before any image is opened.

A reader for each format fills these: ``coco_labels``, ``yolo_labels``, ``voc_labels`` and
``tables``. Which files to read is decided in ``layouts``; what the numbers mean on an image is
settled in ``label_boxes``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from geodet.errors import TilesetError
from geodet.tilesets.splits import Split

__all__ = ["Box", "ParsedImage", "ParsedLabels", "find_image", "parse_box", "read_text"]

Box = tuple[float, float, float, float]
Frame = Literal["pixels", "whole", "shares", "centres"]


@dataclass(slots=True)
class ParsedImage:
    """What the label files say of one image, filled object by object."""

    path: Path
    """The image."""
    source: str
    """Where its objects stand; a number is added: ``"trees.csv, line "``."""
    frame: Frame = "pixels"
    """What the boxes are: corners in pixels, such corners that are not to be clipped at the image's
    edge, corners as shares of the image's sides, or a point given twice, in pixels."""
    boxes: list[Box] = field(default_factory=list)
    """x1 y1 x2 y2 of each object."""
    names: list[str | None] = field(default_factory=list)
    """Class of each object, None where the format has none."""
    numbers: list[int] = field(default_factory=list)
    """Line or element of each object, from 1."""
    ignored: list[bool] = field(default_factory=list)
    """Objects that neither train nor count."""
    size: tuple[int, int] | None = None
    """Width and height, where the labels say them."""
    place: str | None = None
    """Images that show the same ground share it."""
    split: Split | None = None
    """The tileset's own split."""
    gsd: float | None = None
    """Metres per pixel, where the labels say it."""

    def add(self, box: Box, name: str | None, number: int, *, ignored: bool = False) -> None:
        """Add an object; its name is None where the format has no classes at all.

        Raises:
            TilesetError: Its class is empty, or a coordinate is not a finite number.
        """
        if name is not None and not name:
            raise TilesetError(
                f"{self.source}{number}: no class", hint="name the class of every object"
            )
        if not all(math.isfinite(v) for v in box):
            raise TilesetError(
                f"{self.source}{number}: the box {box} is not finite", hint="correct the label"
            )
        self.boxes.append(box)
        self.names.append(name)
        self.numbers.append(number)
        self.ignored.append(ignored)


@dataclass(slots=True)
class ParsedLabels:
    """All that was read of a tileset, before any image is opened."""

    source: Path
    """The file or the folder."""
    images: list[ParsedImage]
    """One for each image, in the files' order."""
    classes: tuple[str, ...] = ()
    """Names that a file declares, in its order; classes that none declares follow, sorted."""


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Raises:
        TilesetError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TilesetError(
            f"{path}: cannot be read: {error}", hint="it must be a text file in UTF-8"
        ) from error


def parse_box(values: Sequence[str], where: str) -> Box:
    """Read x1, y1, x2 and y2 from texts.

    Raises:
        TilesetError: They are not four numbers; ``where`` says which.
    """
    try:
        x1, y1, x2, y2 = (float(v) for v in values)
    except ValueError as error:
        raise TilesetError(f"{where}: {error}", hint="a box is four numbers") from error
    return x1, y1, x2, y2


def find_image(name: str, folders: Sequence[Path]) -> Path:
    """Find an image in one of several folders.

    Returns:
        The first file of that name, or the first place where it should have been.
    """
    candidates = [folder / name.strip().replace("\\", "/") for folder in folders]
    return next((c for c in candidates if c.is_file()), candidates[0])
