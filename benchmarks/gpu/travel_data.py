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
from pack_data import BOXES, decode_chip, decode_frame, read_archives

from geodet.geometry.windows import Window
from geodet.raster.chip import Chip
from geodet.tilesets.labels import LabelledImage

__all__ = ["LabelledPixels", "read_labelled"]

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
    classes: tuple[str, ...] = ("",)
    """Names of the classes; one without a name is called what the recipe calls it."""

    def where(self, is_wanted: Callable[[dict[str, str]], bool]) -> LabelledPixels:
        """Return a part of the images."""
        kept = [i for i, about in enumerate(self.about) if is_wanted(about)]
        return LabelledPixels(
            tuple(self.images[i] for i in kept),
            tuple(self.pixels[i] for i in kept),
            tuple(self.about[i] for i in kept),
            self.classes,
        )

    def every(self, step: int) -> LabelledPixels:
        """Return each so-manieth image."""
        parts = (self.images[::step], self.pixels[::step], self.about[::step])
        return LabelledPixels(*parts, self.classes)

    def bands(self, count: int) -> LabelledPixels:
        """Return the first bands of all images."""
        pixels = tuple(p[:count] for p in self.pixels)
        return LabelledPixels(self.images, pixels, self.about, self.classes)

    def reader(self) -> Callable[[LabelledImage, Any], Chip]:
        """Return a function that reads the chip of an image from here."""
        found = {image.path: p for image, p in zip(self.images, self.pixels, strict=True)}

        def read(image: LabelledImage, _: Any) -> Chip:
            pixels = found[image.path]
            valid = np.ones(pixels.shape[1:], np.bool_)
            return Chip(Window(0, 0, image.width, image.height), pixels, valid)

        return read


def read_labelled(archives: list[Path]) -> dict[str, LabelledPixels]:
    """Decode all images of the archives: ``trees`` and ``vehicles``, or ``thermal``, or all."""
    files = read_archives(archives)
    found = {"thermal": _thermal(files)} if BOXES in files else {}
    if "urban-trees/images.csv" in files:
        found |= dict(zip(("trees", "vehicles"), _trees_and_vehicles(files), strict=True))
    return found


def _trees_and_vehicles(files: dict[str, bytes]) -> tuple[LabelledPixels, LabelledPixels]:
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


def _thermal(files: dict[str, bytes]) -> LabelledPixels:
    """Read the frames and their boxes; regions to ignore are left out of the training only."""
    classes, *rows = csv.reader(io.StringIO(files[BOXES].decode()))
    labels: dict[str, list[list[float]]] = defaultdict(list)
    for stem, _, *numbers in rows:
        labels[stem].append([float(number) for number in numbers])
    names = sorted(name for name in files if name.startswith("thermal/") and "webp" in name)
    with ProcessPoolExecutor() as pool:
        pictures = list(pool.map(decode_frame, [files[name] for name in names], chunksize=16))
    images, about = [], []
    for name, picture in zip(names, pictures, strict=True):
        _, fold, file = name.split("/")
        table = np.reshape(labels[Path(file).stem], (-1, 5))
        known = table[:, 0] >= 0
        height, width = picture.shape[1:]
        images.append(
            _labelled(
                Path(file).stem,
                table[known, 1:],
                (width, height),
                fold,
                file,
                None,
                table[~known, 1:],
                table[known, 0].astype(np.int64),
            )
        )
        about.append({"fold": fold, "city": "", "year": ""})
    pixels = tuple(picture[:1] for picture in pictures)
    return LabelledPixels(tuple(images), pixels, tuple(about), tuple(classes))


def _labelled(
    stem: str,
    boxes: NDArray[np.float64],
    size: tuple[int, int],
    fold: str,
    place: str,
    gsd: float | None,
    ignored: NDArray[np.float64] | None = None,
    labels: NDArray[np.int64] | None = None,
) -> LabelledImage:
    return LabelledImage(
        path=Path(stem),
        width=size[0],
        height=size[1],
        boxes=boxes,
        labels=np.zeros(len(boxes), np.int64) if labels is None else labels,
        ignored=np.zeros((0, 4)) if ignored is None else ignored,
        place=place,
        split="train" if fold == "train" else "val",
        gsd=gsd,
    )
