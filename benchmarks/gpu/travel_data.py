"""The data of travel.py in memory: labelled images and their pixels, from the archives."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pack_data import decode_chip, decode_frame, read_archives

from geodet.geometry.windows import Window
from geodet.raster.scene import Chip
from geodet.tilesets.labels import LabelledImage

__all__ = ["LabelledPixels", "read_trees_and_vehicles"]

_BOX = 12.0  # pixels around the point of a tree: 7.2 m
_CYCLIST = 4


@dataclass(frozen=True, slots=True)
class LabelledPixels:
    """Labelled images with their decoded pixels and what is known of them."""

    images: tuple[LabelledImage, ...]
    """The labels."""
    pixels: tuple[NDArray[np.uint8], ...]
    """(C, H, W) of each image."""
    about: tuple[dict[str, str], ...]
    """City, year and fold of each image."""

    def where(self, is_wanted: Callable[[dict[str, str]], bool]) -> LabelledPixels:
        """Return a part of the images."""
        kept = [i for i, about in enumerate(self.about) if is_wanted(about)]
        return LabelledPixels(
            tuple(self.images[i] for i in kept),
            tuple(self.pixels[i] for i in kept),
            tuple(self.about[i] for i in kept),
        )

    def every(self, step: int) -> LabelledPixels:
        """Return each so-manieth image."""
        return LabelledPixels(self.images[::step], self.pixels[::step], self.about[::step])

    def bands(self, count: int) -> LabelledPixels:
        """Return the first bands of all images."""
        return LabelledPixels(self.images, tuple(p[:count] for p in self.pixels), self.about)

    def reader(self) -> Callable[[LabelledImage, Any], Chip]:
        """Return a function that reads the chip of an image from here."""
        found = {image.path: p for image, p in zip(self.images, self.pixels, strict=True)}

        def read(image: LabelledImage, _: Any) -> Chip:
            pixels = found[image.path]
            valid = np.ones(pixels.shape[1:], np.bool_)
            return Chip(Window(0, 0, image.width, image.height), pixels, valid)

        return read


def read_trees_and_vehicles(archives: list[Path]) -> tuple[LabelledPixels, LabelledPixels]:
    """Decode all images in as many processes as there are cores."""
    files = read_archives(archives)
    with ProcessPoolExecutor() as pool:
        names = sorted(name for name in files if name.endswith(".rgb.webp"))
        parts = [(files[name], files[name.replace(".rgb.", ".nir.")]) for name in names]
        chips = list(pool.map(decode_chip, parts, chunksize=16))
        frames = sorted(
            name for name in files if name.startswith("vehicles/MOS") and "webp" in name
        )
        pictures = list(pool.map(decode_frame, [files[name] for name in frames]))
    stems = [Path(name).name.removesuffix(".rgb.webp") for name in names]
    return _trees(files, stems, chips), _vehicles(files, frames, pictures)


def _rows(files: dict[str, bytes], name: str) -> Iterator[dict[str, str]]:
    return csv.DictReader(io.StringIO(files[f"urban-trees/{name}.csv"].decode()))


def _trees(
    files: dict[str, bytes], stems: list[str], chips: list[NDArray[np.uint8]]
) -> LabelledPixels:
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in _rows(files, "trees"):
        points[row["image"]].append((float(row["x"]) + 0.5, float(row["y"]) + 0.5))
    about = {row["image"]: row for row in _rows(files, "images")}
    images = []
    for stem in stems:
        row = about[f"{stem}.tif"]
        centres = np.reshape(points[f"{stem}.tif"], (-1, 2))
        boxes = np.concatenate([centres - _BOX / 2, centres + _BOX / 2], axis=1)
        images.append(_labelled(stem, boxes, (256, 256), row["fold"], row["place"], 0.6))
    return LabelledPixels(tuple(images), tuple(chips), tuple(about[f"{s}.tif"] for s in stems))


def _vehicles(
    files: dict[str, bytes], frames: list[str], pictures: list[NDArray[np.uint8]]
) -> LabelledPixels:
    images, about = [], []
    for name, picture in zip(frames, pictures, strict=True):
        stem = Path(name).stem
        text = files[f"vehicles/{stem}.txt"].decode().split()
        rows = np.reshape([float(word) for word in text], (-1, 5))
        height, width = picture.shape[1:]
        centre, sides = rows[:, 1:3] * [width, height], rows[:, 3:5] * [width, height]
        boxes = np.concatenate([centre - sides / 2, centre + sides / 2], axis=1)
        boxes = boxes.clip(0, [width, height, width, height])
        fold = "train" if int(stem.removeprefix("MOS")) >= 100 else "val"
        known = rows[:, 0] != _CYCLIST
        images.append(
            _labelled(stem, boxes[known], (width, height), fold, fold, 0.13, boxes[~known])
        )
        about.append({"fold": fold, "city": fold, "year": ""})
    return LabelledPixels(tuple(images), tuple(pictures), tuple(about))


def _labelled(
    stem: str,
    boxes: NDArray[np.float64],
    size: tuple[int, int],
    fold: str,
    place: str,
    gsd: float,
    ignored: NDArray[np.float64] | None = None,
) -> LabelledImage:
    return LabelledImage(
        path=Path(stem),
        width=size[0],
        height=size[1],
        boxes=boxes,
        labels=np.zeros(len(boxes), np.int64),
        ignored=np.zeros((0, 4)) if ignored is None else ignored,
        place=place,
        split="train" if fold == "train" else "val",
        gsd=gsd,
    )
