"""Labelled chips of painted towns, to train on where there is no data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from geodet.demo.town import paint_town
from geodet.training.losses import Target

__all__ = ["paint_targets", "write_tileset"]

_LEAST = 4.0  # pixels of a crown's radius


def paint_targets(count: int, side: int) -> tuple[Tensor, list[Target]]:
    """Cut chips of a town with the boxes around its trees: pixels (N, 3, S, S) and labels."""
    town = paint_town(4 * side, 4 * side, seed=5)
    boxes = _boxes(town.centres, town.radii)
    places = [(x, y) for y in range(4) for x in range(4)]
    chips = [_cut(town.pixels, boxes, x * side, y * side, side) for x, y in places]
    chosen = [chips[n % len(chips)] for n in range(count)]
    pixels = torch.from_numpy(np.stack([one for one, _ in chosen]))
    return pixels, [_target(own) for _, own in chosen]


def write_tileset(folder: Path, *, train: int, val: int, side: int) -> Path:
    """Write a COCO tileset of painted towns."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, first, count in (("train", 0, train), ("val", 1000, val)):
        images, annotations = [], []
        for number in range(count):
            town = paint_town(side, side, seed=first + number)
            name = f"{split}_{number}.png"
            Image.fromarray(town.pixels.transpose(1, 2, 0)).save(folder / name, compress_level=1)
            size = {"width": side, "height": side}
            images.append({"id": number, "file_name": name, "place": name} | size)
            for x1, y1, x2, y2 in _boxes(town.centres, town.radii).clip(0, side).tolist():
                box = [x1, y1, x2 - x1, y2 - y1]
                one = {"id": len(annotations), "image_id": number, "category_id": 1, "iscrowd": 0}
                annotations.append(one | {"bbox": box})
        content = {"images": images, "annotations": annotations}
        content["categories"] = [{"id": 1, "name": "tree"}]
        (folder / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def _boxes(centres: NDArray[np.float64], radii: NDArray[np.float64]) -> NDArray[np.float64]:
    half = np.maximum(radii, _LEAST)[:, None]
    return np.hstack([centres - half, centres + half])


def _cut(
    pixels: NDArray[np.uint8], boxes: NDArray[np.float64], x: int, y: int, side: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    moved = boxes - np.array([x, y, x, y])
    centres = (moved[:, :2] + moved[:, 2:]) / 2
    inside = ((centres >= 0) & (centres < side)).all(axis=1)
    return pixels[:, y : y + side, x : x + side], moved[inside].clip(0, side)


def _target(boxes: NDArray[np.float64]) -> Target:
    return Target(
        torch.from_numpy(boxes.astype(np.float32)),
        torch.zeros(len(boxes), dtype=torch.int64),
        torch.zeros(0, 4),
    )
