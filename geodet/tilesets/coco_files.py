"""Write a tileset's labels as COCO files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from geodet.errors import OutputError, TilesetError
from geodet.geometry.arrays import Floats
from geodet.tilesets.splits import Split
from geodet.tilesets.tileset import LabelledImage, Tileset

__all__ = ["write_tileset"]


def write_tileset(tileset: Tileset) -> None:
    """Write ``train.json`` and ``val.json``, two COCO files, into the tileset's folder.

    ``bbox`` is clipped to the image, as other tools expect; where that changes a box, the whole one
    is kept under ``whole_bbox``. Each image also says its ``place`` and, if known, its ``gsd``.

    Args:
        tileset: Its images must lie below its root.

    Raises:
        TilesetError: An image lies elsewhere.
        OutputError: A file cannot be written.
    """
    written = []
    try:
        for split in ("train", "val"):
            partial = tileset.root / f".{split}.json.partial"
            partial.write_text(json.dumps(_to_coco(tileset, split)), encoding="utf-8")
            written.append((partial, tileset.root / f"{split}.json"))
        for partial, file in written:
            partial.replace(file)
    except OSError as error:
        raise OutputError(
            f"{tileset.root}: cannot write the labels: {error}",
            hint="check the free space and the permissions",
        ) from error


def _to_coco(tileset: Tileset, split: Split) -> dict[str, Any]:
    images = tileset.split(split)
    annotations = [
        annotation
        for number, image in enumerate(images, start=1)
        for annotation in _to_coco_annotations(number, image)
    ]
    return {
        "info": {"description": f"{split} images of a geodet tileset"},
        "images": [_to_coco_image(n, i, tileset.root) for n, i in enumerate(images, start=1)],
        "annotations": [{"id": n} | a for n, a in enumerate(annotations, start=1)],
        "categories": [{"id": n, "name": c} for n, c in enumerate(tileset.classes, start=1)],
    }


def _to_coco_annotations(number: int, image: LabelledImage) -> Iterator[dict[str, Any]]:
    """Give the objects, then the ignored regions, which need a category although they have none."""
    boxes = np.concatenate([image.boxes, image.ignored])
    labels = [*image.labels.tolist(), *[0] * len(image.ignored)]
    clipped = np.clip(boxes, 0, [image.width, image.height] * 2)
    for index, (box, visible) in enumerate(zip(boxes, clipped, strict=True)):
        x, y, width, height = _to_xywh(visible)
        annotation = {
            "image_id": number,
            "category_id": labels[index] + 1,
            "bbox": [x, y, width, height],
            "area": width * height,
            "iscrowd": int(index >= len(image.boxes)),
        }
        whole = {} if np.array_equal(box, visible) else {"whole_bbox": _to_xywh(box)}
        yield annotation | whole


def _to_coco_image(number: int, image: LabelledImage, root: Path) -> dict[str, Any]:
    if not image.path.is_relative_to(root):
        raise TilesetError(
            f"{image.path} does not lie in {root}", hint="a tileset holds its own images"
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
