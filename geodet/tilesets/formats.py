"""Readers of the label formats other tools write: COCO, YOLO and Pascal VOC.

Each reader turns files into :class:`Labels` and opens no image; ``tables`` reads CSV files.
Which files to read is decided in ``layouts``; what the numbers mean on an image is settled in
``label_boxes``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from geodet.errors import TilesetError
from geodet.tilesets.splits import Split

__all__ = [
    "Box",
    "ImageLabels",
    "Labels",
    "find_image",
    "parse_box",
    "read_coco",
    "read_text",
    "read_voc",
    "read_yolo",
]

Box = tuple[float, float, float, float]
Frame = Literal["pixels", "whole", "shares", "centres"]


@dataclass(slots=True)
class ImageLabels:
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
class Labels:
    """All that was read of a tileset, before any image is opened."""

    source: Path
    """The file or the folder."""
    images: list[ImageLabels]
    """One for each image, in the files' order."""
    classes: tuple[str, ...] = ()
    """Names that a file declares, in its order; classes that none declares follow, sorted."""


def read_coco(path: Path, folders: Sequence[Path]) -> Labels:
    """Read one COCO JSON file.

    ``iscrowd`` objects are ignored ones. geodet's own keys are read too: ``place`` and ``gsd`` of
    an image, and ``whole_bbox`` of an object, its box where ``bbox`` is clipped.

    Args:
        path: The file.
        folders: Folders in which an image's ``file_name`` may lie, the first that fits counts.

    Raises:
        TilesetError: The file is broken, or its ids contradict each other.
    """
    content = _load_json(path)
    try:
        names = {int(c["id"]): str(c["name"]) for c in content["categories"]}
        images = {int(i["id"]): _coco_image(i, path, folders) for i in content["images"]}
    except (KeyError, TypeError, ValueError) as error:
        raise TilesetError(
            f"{path}: broken images or categories: {error!r}",
            hint="see the COCO format for what each entry needs",
        ) from error
    if len(images) < len(content["images"]):
        raise TilesetError(f"{path}: two images share an id", hint="number the images apart")
    for number, annotation in enumerate(_entries(content, "annotations", path), start=1):
        try:
            _add_coco(annotation, number, images, names)
        except (KeyError, TypeError, ValueError) as error:
            raise TilesetError(
                f"{path}, annotation {number}: broken: {error!r}",
                hint="it needs image_id, category_id and bbox",
            ) from error
    used = {name for image in images.values() for name in image.names}
    # Roboflow heads its categories with a group that no object has
    groups = {c.get("supercategory") for c in content["categories"]} - used
    return Labels(path, list(images.values()), tuple(n for n in names.values() if n not in groups))


def _coco_image(entry: dict[str, Any], path: Path, folders: Sequence[Path]) -> ImageLabels:
    image = ImageLabels(find_image(str(entry["file_name"]), folders), f"{path}, annotation ")
    if entry.get("width") and entry.get("height"):
        image.size = (int(entry["width"]), int(entry["height"]))
    image.place = None if entry.get("place") is None else str(entry["place"])
    image.gsd = None if entry.get("gsd") is None else float(entry["gsd"])
    return image


def _add_coco(
    entry: dict[str, Any], number: int, images: dict[int, ImageLabels], names: dict[int, str]
) -> None:
    image_id, category = int(entry["image_id"]), int(entry["category_id"])
    if image_id not in images:
        raise ValueError(f"no image has the id {image_id}")
    if category not in names:
        raise ValueError(f"no category has the id {category}")
    image = images[image_id]
    if "whole_bbox" in entry:
        image.frame = "whole"
    x, y, width, height = (float(v) for v in entry.get("whole_bbox", entry["bbox"]))
    box = (x, y, x + width, y + height)
    image.add(box, names[category], number, ignored=bool(entry.get("iscrowd", 0)))


def read_yolo(pairs: Iterable[tuple[Path, Path]], names: Sequence[str], names_file: Path) -> Labels:
    """Read YOLO text files: a class index and, as shares of the sides, centre x, centre y, w, h.

    A polygon (three corners or more) counts by its bounds.

    Args:
        pairs: Each image and its text file, which need not exist: an image without objects.
        names: The classes.
        names_file: Where they stand.

    Raises:
        TilesetError: A line is broken, or a class has no name.
    """
    images = []
    for path, file in pairs:
        image = ImageLabels(path, f"{file}, line ", frame="shares")
        lines = read_text(file).splitlines() if file.is_file() else []
        for number, line in enumerate(lines, start=1):
            if line.strip():
                index, box = _parse_yolo(line, f"{file}, line {number}")
                if not 0 <= index < len(names):
                    raise TilesetError(
                        f"{file}, line {number}: class {index} is not one of the {len(names)}"
                        f" in {names_file}",
                        hint="classes are counted from 0; name the missing ones",
                    )
                image.add(box, names[index], number)
        images.append(image)
    return Labels(names_file, images, tuple(names))


def _parse_yolo(line: str, where: str) -> tuple[int, Box]:
    try:
        index, *values = line.split()
        numbers = [float(v) for v in values]
        if len(numbers) == 4:
            x, y, w, h = numbers
            return int(index), (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        if len(numbers) >= 6 and len(numbers) % 2 == 0:
            xs, ys = numbers[::2], numbers[1::2]
            return int(index), (min(xs), min(ys), max(xs), max(ys))
    except ValueError as error:
        raise TilesetError(
            f"{where}: {error}", hint="a line is: class index, centre x, centre y, width, height"
        ) from error
    raise TilesetError(
        f"{where}: {len(numbers)} numbers after the class",
        hint="a line is: class index, centre x, centre y, width, height",
    )


def read_voc(pairs: Iterable[tuple[Path, Path]]) -> Labels:
    """Read Pascal VOC XML files.

    The corners are taken as continuous coordinates, from 0, with ``xmax`` one past the last column.
    The challenge's own files count pixels from 1 and include the last, but the tools that write
    this format since (labelImg, CVAT, Roboflow, HIT-UAV) write edges: their zeros and their
    ``xmax`` equal to the width would fall outside the image otherwise. Objects marked ``difficult``
    are ignored ones, as in the challenge.

    Args:
        pairs: Each image and its XML file, which need not exist: an image without objects.

    Raises:
        TilesetError: A file is broken.
    """
    return Labels(Path(), [_read_voc_image(path, file) for path, file in pairs])


def _read_voc_image(path: Path, file: Path) -> ImageLabels:
    image = ImageLabels(path, f"{file}, object ")
    if not file.is_file():
        return image
    try:
        root = ElementTree.fromstring(read_text(file))
    except ElementTree.ParseError as error:
        raise TilesetError(
            f"{file}: broken XML: {error}", hint="write the labels of this image again"
        ) from error
    width, height = (root.findtext(f"size/{key}", "0") for key in ("width", "height"))
    if width.strip().isdigit() and height.strip().isdigit() and int(width) and int(height):
        image.size = (int(width), int(height))
    for number, item in enumerate(root.iter("object"), start=1):
        name = item.findtext("name", "").strip()
        values = [item.findtext(f"bndbox/{k}", "") for k in ("xmin", "ymin", "xmax", "ymax")]
        difficult = item.findtext("difficult", "0").strip() == "1"
        image.add(parse_box(values, f"{file}, object {number}"), name, number, ignored=difficult)
    return image


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


def _load_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise TilesetError(f"{path}: broken JSON: {error}", hint="write the file again") from error
    for key in ("images", "categories", "annotations"):
        _entries(content, key, path)
    return dict(content)


def _entries(content: Any, key: str, path: Path) -> list[Any]:
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise TilesetError(
            f"{path}: no list {key!r}, so it is not a COCO file",
            hint="a COCO file lists images, annotations and categories",
        )
    return entries
