"""Fit rectangles to vehicles that are labelled with axis-aligned boxes; score models by them.

A rectangle of a known ratio of its sides is given by its bounds, but for the sign of its angle: of
the two that a box may stand around, the one is taken that parts a car from even ground better.

    python benchmarks/fitted_rectangles.py --folder oriented-vehicles
    geodet train --data oriented-vehicles -o turned.safetensors --config vehicles-oriented
    python benchmarks/fitted_rectangles.py --folder oriented-vehicles --score turned.safetensors

Each model is scored on the frames of the crossing, and on parking lots painted at 0.13 m, whose
rectangles are exact.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from oriented import paint_lots, score_rectangles
from PIL import Image
from places import DATA

from geodet.config import DataConfig
from geodet.config.recipes import resolve_config
from geodet.geometry.arrays import Floats
from geodet.tilesets.coco import write_tileset
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.tileset import read_tileset

RATIO = 2.3
"""Length of a car by its width, seen from above."""
LOTS = 40
"""Painted images."""
UPRIGHT = {"train": 20.0, "val": 6.0}
"""Degrees: less is taken for none. The street of the training frames runs along their rows, and a
loose box there looks like one around a tilted car."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=DATA / "vehicles")
    parser.add_argument("--score", nargs="*", default=[], metavar="MODEL")
    options = parser.parse_args()
    if not options.folder.exists():
        write_fitted(options.data, options.folder)
    config = resolve_config("vehicles")
    lots = options.folder / "lots"
    places = {
        "crossing": read_tileset(options.folder, DataConfig(), part="val").split("val"),
        "painted lots": paint_lots(lots, LOTS),
    }
    print("| images | model | AP50 by rectangles | AP75 by rectangles | AP50 by bounds |")
    print("|---|---|---|---|---|")
    for place, model in itertools.product(places, options.score):
        cells = [f"{cell:.3f}" for cell in score_rectangles(model, places[place], config)]
        print(f"| {place} | {model} | {' | '.join(cells)} |", flush=True)


def write_fitted(data: Path, folder: Path) -> None:
    """Write the frames with fitted rectangles as a tileset."""
    whole = read_tileset(data, resolve_config("vehicles").data)
    (folder / "images").mkdir(parents=True)
    images = []
    for image in whole.images:
        copy = folder / "images" / image.path.name
        shutil.copy(image.path, copy)
        images.append(_fit(replace(image, path=copy)))
    write_tileset(Tileset(folder, whole.classes, tuple(images)))


def _fit(image: LabelledImage) -> LabelledImage:
    pixels = np.asarray(Image.open(image.path).convert("RGB")).transpose(2, 0, 1)
    fitted = fit_rectangles(image.boxes, pixels, upright=UPRIGHT[image.split])
    return replace(image, oriented=fitted)


def fit_rectangles(
    boxes: Floats, pixels: NDArray[np.uint8], *, ratio: float = RATIO, upright: float = 6.0
) -> Floats:
    """Fit a rectangle into each box.

    With sides l and w = l / ratio at an angle a the bounds are ``l cos a + w sin a`` by
    ``l sin a + w cos a``. So their difference by their sum is ``k (1 - tan a) / (1 + tan a)``, with
    k = (ratio - 1) / (ratio + 1).

    Args:
        boxes: (N, 4) x1 y1 x2 y2 in pixels.
        pixels: (bands, height, width) the image.
        ratio: Length by width.
        upright: Degrees from the axes of the image that are taken for none.

    Returns:
        (N, 5) cx cy length width angle. A box that is longer than the ratio is its own rectangle.
    """
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    k = (ratio - 1) / (ratio + 1)
    share = (widths - heights) / (widths + heights) / k
    angles = np.pi / 4 - np.arctan(share.clip(-1, 1))
    turn = np.abs(np.cos(angles)) + np.abs(np.sin(angles))
    lengths = (widths + heights) / turn / (1 + 1 / ratio)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    fitted = np.column_stack([centres, lengths, lengths / ratio, angles])
    for row, (rectangle, box) in enumerate(zip(fitted, boxes, strict=True)):
        angle = rectangle[4]
        if min(angle, np.pi / 2 - angle) < np.radians(upright):
            sides = box[2:] - box[:2]
            is_wide = sides[0] >= sides[1]
            fitted[row, 2:] = sides.max(), sides.min(), 0.0 if is_wide else np.pi / 2
            continue
        mirrored = rectangle * [1, 1, 1, 1, -1]
        if _contrast(pixels, box, mirrored) > _contrast(pixels, box, rectangle):
            fitted[row] = mirrored
    return fitted


def _contrast(pixels: NDArray[np.uint8], box: Floats, rectangle: Floats) -> float:
    """Return how far the colours in a rectangle are from those beside it, which should be even."""
    x1, y1 = np.floor(box[:2]).clip(0).astype(int)
    x2, y2 = np.ceil(box[2:]).astype(int)
    part = pixels[:, y1:y2, x1:x2].astype(float)
    down, across = np.mgrid[y1 : y1 + part.shape[1], x1 : x1 + part.shape[2]] + 0.5
    x, y, length, width, angle = rectangle
    along = (across - x) * np.cos(angle) + (down - y) * np.sin(angle)
    aside = (down - y) * np.cos(angle) - (across - x) * np.sin(angle)
    beside = (np.abs(along) > length / 2) | (np.abs(aside) > width / 2)
    if beside.all() or not beside.any():
        return 0.0
    between = part[:, beside].mean(axis=1) - part[:, ~beside].mean(axis=1)
    return float((between**2).sum() - beside.mean() * part[:, beside].var(axis=1).sum())


if __name__ == "__main__":
    main()
