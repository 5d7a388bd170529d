"""Read and write labels as COCO files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geodet.config import DataConfig
from geodet.documents.values import finite_number, plain_word, shown, whole_number
from geodet.errors import ConfigError, TilesetError
from geodet.geometry.arrays import Floats
from geodet.geometry.oriented_boxes import oriented_corners
from geodet.tilesets.coco_shapes import (
    annotation_box,
    annotation_rotation,
    has_other_polygons,
    single_outline,
)
from geodet.tilesets.label_documents import find_image, read_json_labels
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.outlines import bounds_of, turned_corners
from geodet.tilesets.parsed_labels import BoxForm, ParsedImage, ParsedLabels
from geodet.tilesets.split_files import set_parts
from geodet.tilesets.splits import PART_WORDS, Split

__all__ = ["read_coco", "write_tileset"]

_CUT_WITH = ("class_map", "ignore_classes")  # of ``data``, as keys of ``info``
_COMPARED = 1000  # annotations of which bbox and segmentation are compared, which takes a while


def read_coco(path: Path, folders: Sequence[Path]) -> ParsedLabels:
    """Read a COCO JSON file.

    Objects with ``iscrowd`` become ignored regions. An object without ``bbox`` has the bounds of
    its ``segmentation``; a polygon with four corners is an oriented box, too, and so is a box that
    CVAT turned. Ids are numbers or text. An image may have the key ``split``. The keys that
    :func:`write_tileset` adds are read as well: ``place`` and ``gsd`` of an image, ``whole_bbox``
    of an object, ``data.class_map`` and ``data.ignore_classes`` of ``info``.

    Args:
        path: The file.
        folders: Folders that may contain an image's ``file_name``; the first that does is used.

    Returns:
        The labels of every image that the file lists.

    Raises:
        TilesetError: The file is broken, two images or categories share an id, or an object names
            an unknown one.
    """
    content = _load_json(path)
    names = _read_categories(content["categories"], path)
    images = _read_images(content["images"], path, folders)
    cut_with = _read_cut_with(content, path)
    for image in images.values():
        image.class_map, image.ignored_classes = cut_with.class_map, cut_with.ignore_classes
    empty = []
    for number, annotation in enumerate(content["annotations"], start=1):
        try:
            if not _add_annotation(annotation, number, images, names):
                empty.append(number)
        except TilesetError:
            raise
        except ValueError as error:
            raise TilesetError(
                f"{path}, annotation {number}: {error}",
                hint="it needs image_id, category_id, and bbox or segmentation",
                path=path,
            ) from error
    used = {name for image in images.values() for name in image.names}
    # Roboflow adds the group of its categories as a category that no object has. A class without
    # objects may be its own group.
    groups = {
        str(category.get("supercategory"))
        for category, name in zip(content["categories"], names.values(), strict=True)
        if str(category.get("supercategory")) != name
    } - used
    labels = ParsedLabels(
        path, list(images.values()), tuple(n for n in names.values() if n not in groups)
    )
    if empty:
        labels.notes.append(
            f"{path}: {len(empty)} annotations have an empty bbox and no segmentation and are left"
            f" out, the first is number {empty[0]}"
        )
    sample = content["annotations"][:_COMPARED]
    if odd := [n for n, one in enumerate(sample, start=1) if has_other_polygons(one)]:
        labels.notes.append(
            f"{path}: the bbox is elsewhere than the segmentation in {len(odd)} of the first"
            f" {len(sample)} annotations, such as number {odd[0]}: a bbox is x, y, width, height"
        )
    parts = {image.path: image.split for image in labels.images if image.split}
    return set_parts(labels, parts, path.name) if len(parts) == len(labels.images) else labels


def _read_categories(entries: Sequence[Any], path: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for number, entry in enumerate(entries, start=1):
        key, name = _read_entry(entry, "name", f"{path}, category {number}")
        if key in names:
            raise TilesetError(
                f"{path}: the categories {names[key]!r} and {name!r} share the id {key}",
                hint="give each category its own id",
                path=path,
            )
        names[key] = name
    return names


def _read_images(
    entries: Sequence[Any], path: Path, folders: Sequence[Path]
) -> dict[str, ParsedImage]:
    images: dict[str, ParsedImage] = {}
    for number, entry in enumerate(entries, start=1):
        where = f"{path}, image {number}"
        key, name = _read_entry(entry, "file_name", where)
        if key in images:
            raise TilesetError(
                f"{path}: two images share an id: {images[key].path.name} and {name} have the id"
                f" {key}",
                hint="give each image its own id",
                path=path,
            )
        try:
            images[key] = _parse_image(entry, path, folders)
        except ValueError as error:
            hint = getattr(error, "hint", "width, height and gsd are numbers above 0")
            raise TilesetError(f"{where}: {error}", hint=hint, path=path) from error
    return images


def _read_entry(entry: Any, name: str, where: str) -> tuple[str, str]:
    """Read the id and the name of an image or a category."""
    for key in ("id", name):
        if not isinstance(entry, dict) or entry.get(key) in (None, ""):
            raise TilesetError(
                f"{where}: it has no {key}",
                hint="an image needs id and file_name, a category needs id and name",
            )
    try:
        key, value = plain_word(entry["id"]), entry[name]
        return key, str(value) if name == "file_name" else plain_word(value)
    except ValueError as error:
        raise TilesetError(
            f"{where}: its id or {name}: {error}", hint="both are numbers or short texts"
        ) from error


def _parse_image(entry: dict[str, Any], path: Path, folders: Sequence[Path]) -> ParsedImage:
    image = ParsedImage(find_image(str(entry["file_name"]), folders), f"{path}, annotation ")
    if entry.get("width") and entry.get("height"):
        image.size = (whole_number(entry["width"]), whole_number(entry["height"]))
    image.place = None if entry.get("place") is None else plain_word(entry["place"])
    image.gsd = None if entry.get("gsd") is None else finite_number(entry["gsd"])
    if image.gsd is not None and image.gsd <= 0:
        raise ValueError(f"gsd is {image.gsd:g}")
    image.split = PART_WORDS.get(str(entry.get("split", "")).lower())
    return image


def _add_annotation(
    entry: dict[str, Any], number: int, images: dict[str, ParsedImage], names: dict[str, str]
) -> bool:
    """Add an object; return whether it has a box."""
    if not isinstance(entry, dict):
        raise ValueError(f"it is {shown(entry)}, not an object")
    found = {}
    for key, kind, known in (("image_id", "image", images), ("category_id", "category", names)):
        if entry.get(key) is None:
            raise ValueError(f"it has no {key}")
        found[kind] = plain_word(entry[key])
        if found[kind] not in known:
            listed = ", ".join(list(known)[:10])
            raise ValueError(f"no {kind} has the id {found[kind]}; there are {listed or 'none'}")
    image = images[found["image"]]
    box = annotation_box(entry, image.size)
    if box is None:
        return False
    outline = () if "whole_bbox" in entry else single_outline(entry)
    if "whole_bbox" in entry:
        image.frame = "whole"
    if degrees := annotation_rotation(entry):
        outline = turned_corners(box, degrees)
        box = bounds_of(outline)
    ignored = str(entry.get("iscrowd", 0)).lower() in ("1", "true")
    has_numbers = not (degrees or entry.get("segmentation") or "whole_bbox" in entry)
    form: BoxForm | None = "sizes" if has_numbers else None
    name = names[found["category"]]
    image.add(box, name, number, ignored=ignored, outline=outline, form=form)
    return True


def _load_json(path: Path) -> dict[str, Any]:
    content = read_json_labels(path)
    for key in ("images", "categories", "annotations"):
        _entries(content, key, path)
    return dict(content)


def _entries(content: Any, key: str, path: Path) -> list[Any]:
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise TilesetError(
            f"{path}: no list {key!r}, so it is not a COCO file",
            hint="a COCO file lists images, annotations and categories",
            path=path,
        )
    return entries


def _read_cut_with(content: dict[str, Any], path: Path) -> DataConfig:
    """Read the settings that the labels were cut with; the defaults where the file has none."""
    info = content.get("info")
    found = info if isinstance(info, dict) else {}
    try:
        return DataConfig(**{k: found[f"data.{k}"] for k in _CUT_WITH if f"data.{k}" in found})
    except ConfigError as error:
        raise TilesetError(
            f"{path}: info: {error}", hint="cut the tileset again with geodet tile", path=path
        ) from error


def write_tileset(tileset: Tileset, data: DataConfig | None = None) -> None:
    """Write the labels of a tileset into its folder, as the COCO files train.json and val.json.

    ``bbox`` is clipped to the image, as other tools expect. If that changes a box, the whole box is
    stored in ``whole_bbox``. Oriented boxes are polygons in ``segmentation``. Each image has its
    ``place`` and, if known, its ``gsd``.

    Args:
        tileset: All images must be below its root.
        data: Settings of which the labels have the ``class_map`` and the ``ignore_classes``
            already: they are written down, for :func:`geodet.tilesets.tileset.read_tileset`.

    Raises:
        TilesetError: An image is not below the root.
        OSError: A file cannot be written. The folder may be a temporary one, which the caller
            names as what it becomes.
    """
    written = []
    for split in ("train", "val"):
        new = tileset.root / f"{split}.json.partial"
        new.write_text(json.dumps(_to_coco(tileset, split, data)), encoding="utf-8")
        written.append((new, tileset.root / f"{split}.json"))
    for new, file in written:
        new.replace(file)


def _to_coco(tileset: Tileset, split: Split, data: DataConfig | None) -> dict[str, Any]:
    images = tileset.split(split)
    annotations = [
        annotation
        for number, image in enumerate(images, start=1)
        for annotation in _iter_annotations(number, image)
    ]
    info: dict[str, Any] = {"description": f"{split} images of a geodet tileset"}
    if data is not None:
        info |= {f"data.{key}": getattr(data, key) for key in _CUT_WITH if getattr(data, key)}
    return {
        "info": info,
        "images": [_to_image_entry(n, i, tileset.root) for n, i in enumerate(images, start=1)],
        "annotations": [{"id": n} | a for n, a in enumerate(annotations, start=1)],
        "categories": [{"id": n, "name": c} for n, c in enumerate(tileset.classes, start=1)],
    }


def _iter_annotations(number: int, image: LabelledImage) -> Iterator[dict[str, Any]]:
    """Yield the objects, then the ignored regions as crowds of the first category.

    COCO requires a category of every annotation, which an ignored region does not have.
    """
    boxes = np.concatenate([image.boxes, image.ignored])
    labels = [*image.labels.tolist(), *[0] * len(image.ignored)]
    clipped = np.clip(boxes, 0, [image.width, image.height] * 2)
    turned = np.zeros((0, 5)) if image.oriented is None else image.oriented
    shapes = oriented_corners(turned).reshape(-1, 8).round(3).tolist()
    corners = dict(enumerate(shapes))
    for index, (box, visible) in enumerate(zip(boxes, clipped, strict=True)):
        x, y, width, height = _to_xywh(visible)
        annotation = {
            "image_id": number,
            "category_id": labels[index] + 1,
            "bbox": [x, y, width, height],
            "area": width * height,
            "iscrowd": int(index >= len(image.boxes)),
        }
        if index in corners:
            annotation["segmentation"] = [corners[index]]
        whole = {} if np.array_equal(box, visible) else {"whole_bbox": _to_xywh(box)}
        yield annotation | whole


def _to_image_entry(number: int, image: LabelledImage, root: Path) -> dict[str, Any]:
    if not image.path.is_relative_to(root):
        raise TilesetError(
            f"{image.path} is not below {root}",
            hint="move the image into the folder of the tileset",
            path=image.path,
        )
    entry = {
        "id": number,
        "file_name": image.path.relative_to(root).as_posix(),
        "width": image.width,
        "height": image.height,
        "place": image.place,
    }
    return entry if image.gsd is None else entry | {"gsd": image.gsd}


def _to_xywh(box: Floats) -> list[float]:
    x1, y1, x2, y2 = box.tolist()
    return [x1, y1, x2 - x1, y2 - y1]
