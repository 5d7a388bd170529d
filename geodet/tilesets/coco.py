"""Read labels from COCO files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geodet.errors import TilesetError
from geodet.tilesets.labels import ParsedImage, ParsedLabels, find_image, read_text

__all__ = ["read_coco"]


def read_coco(path: Path, folders: Sequence[Path]) -> ParsedLabels:
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
    return ParsedLabels(
        path, list(images.values()), tuple(n for n in names.values() if n not in groups)
    )


def _coco_image(entry: dict[str, Any], path: Path, folders: Sequence[Path]) -> ParsedImage:
    image = ParsedImage(find_image(str(entry["file_name"]), folders), f"{path}, annotation ")
    if entry.get("width") and entry.get("height"):
        image.size = (int(entry["width"]), int(entry["height"]))
    image.place = None if entry.get("place") is None else str(entry["place"])
    image.gsd = None if entry.get("gsd") is None else float(entry["gsd"])
    return image


def _add_coco(
    entry: dict[str, Any], number: int, images: dict[int, ParsedImage], names: dict[int, str]
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
