"""The images of a task, decoded once, as every detector of the comparison gets them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geodet.config import Config
from geodet.config.recipes import resolve_config
from geodet.tilesets.displayed_images import read_chip
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.tileset import read_tileset

CONFIGS = Path(__file__).parents[2] / "configs"
BATCH = 4  # of the detection that is timed


@dataclass(frozen=True, slots=True)
class Dataset:
    """A task's labelled images and geodet's recipe for it."""

    name: str
    """Of the task."""
    root: Path
    """The tileset's folder."""
    config: Config
    """Geodet's recipe."""
    tileset: Tileset
    """All images."""

    @property
    def train(self) -> tuple[LabelledImage, ...]:
        """Images that train."""
        return self.tileset.split("train")

    @property
    def val(self) -> tuple[LabelledImage, ...]:
        """Images that are scored."""
        return self.tileset.split("val")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.tileset.classes

    @property
    def bands(self) -> tuple[int, ...]:
        """Bands that are read; empty: all."""
        return self.config.data.bands


def read_dataset(
    root: Path,
    name: str,
    *,
    weights: str = "",
    is_held_out: Callable[[LabelledImage], bool] | None = None,
) -> Dataset:
    """Read a tileset the way geodet's recipe does, without weights of another model.

    Args:
        root: The tileset.
        name: The recipe.
        weights: First weights of the backbone, EfficientNet-Lite0; empty: random ones.
        is_held_out: Whether an image is scored and not trained on; the other validation images are
            left out, then. None: the tileset's own split.
    """
    first = {"init": None, "pretrained": weights or None, "int8": False}
    config = resolve_config(CONFIGS / f"{name}.toml", flags={"train": {"seed": 0}})
    config = config.model_copy(update={"train": config.train.model_copy(update=first)})
    if weights:
        model = config.model.model_copy(update={"backbone": "efficientnet_lite0"})
        config = config.model_copy(update={"model": model})
    tileset = read_tileset(root, config.data)
    if is_held_out is not None:
        tileset = _hold_out(tileset, is_held_out)
    return Dataset(name, root, config, tileset)


def _hold_out(tileset: Tileset, is_held_out: Callable[[LabelledImage], bool]) -> Tileset:
    images = [
        replace(image, split="val" if is_held_out(image) else "train")
        for image in tileset.images
        if is_held_out(image) or image.split == "train"
    ]
    return replace(tileset, images=tuple(images))


def read_rgb(image: LabelledImage, bands: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read (H, W, 3) bytes; one band is repeated, which is what the peers do with grey images."""
    pixels = read_chip(image, bands).pixels
    rgb = pixels if len(pixels) == 3 else np.repeat(pixels[:1], 3, axis=0)
    return np.ascontiguousarray(rgb.transpose(1, 2, 0), dtype=np.uint8)


def clip_boxes(image: LabelledImage) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cut boxes to their image, as the peers want them, and drop what has less than a pixel."""
    limits = np.array([image.width, image.height] * 2)
    boxes = np.clip(image.boxes, 0, limits)
    kept = np.all(boxes[:, 2:] - boxes[:, :2] >= 1, axis=1)
    return boxes[kept], image.labels[kept]


def export_split(
    images: tuple[LabelledImage, ...], dataset: Dataset, folder: Path, table: Path
) -> list[str]:
    """Write images as PNG and their boxes as the CSV that DeepForest reads.

    Returns:
        Names of the images, in their order.
    """
    names = []
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image_path", "xmin", "ymin", "xmax", "ymax", "label"])
        for number, image in enumerate(images):
            name = f"{table.stem}_{number:05}.png"
            Image.fromarray(read_rgb(image, dataset.bands)).save(folder / name)
            names.append(name)
            boxes, labels = clip_boxes(image)
            for box, label in zip(boxes.tolist(), labels.tolist(), strict=True):
                rows.writerow([name, *box, dataset.classes[label]])
            if not len(boxes):  # how DeepForest writes an image without objects
                rows.writerow([name, 0, 0, 0, 0, dataset.classes[0]])
    return names
