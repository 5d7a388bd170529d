"""Train a model of oriented and one of axis-aligned boxes on painted cars and ships; print AP50.

The same chips, the same first weights, the same number of steps. Each model is scored by the
overlap with the true rectangles, an axis-aligned box being one itself, and by that of the bounds.

    python benchmarks/oriented.py --folder oriented-runs --epochs 20
"""

from __future__ import annotations

import argparse
import itertools
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import print_machine
from PIL import Image, ImageDraw, ImageFilter

from geodet.config import Config, DataConfig, MatchConfig
from geodet.detection.predictor import build_predictor
from geodet.evaluation.average_precision import AveragePrecision, mean_ap, measure_ap
from geodet.evaluation.evaluated_chips import predict_images
from geodet.evaluation.threshold_curves import Comparison
from geodet.geometry.boxes import Detections
from geodet.geometry.oriented_boxes import (
    cut_oriented,
    hulls,
    oriented_corners,
    oriented_of_boxes,
    with_longer_side_first,
)
from geodet.models.checkpoint import load_checkpoint
from geodet.models.description import find_model
from geodet.tilesets.coco import write_tileset
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.tileset import read_tileset
from geodet.training.train import run_training

SIDE = 96
CLASSES = ("car", "ship")
ZOOM = 4  # subpixels that are painted
FINER = 1.4  # a car of 34 x 14 px is 4.4 x 1.9 m at 0.13 m per pixel
ROW, BAY = 56, 13.5  # of a parking lot, in pixels
CAR_INKS = ((226, 226, 226), (150, 152, 156), (48, 50, 56), (62, 74, 100), (122, 58, 54))
MODEL = {  # small, and from random weights: minutes on two cores
    "backbone_level": 2,
    "levels": (2, 2),
    "channels": 32,
    "head_convs": 1,
    "anchors": "fit",
    "anchor_sizes": (24.0,),
}
TRAIN = {
    "batch_size": 8,
    "chip_size": SIDE,
    "learning_rate": 2e-3,
    "ema_decay": 0.95,
    "int8": False,
}
AUGMENT = {"rotate": 45, "scale": 0.1, "brightness": 0.1, "contrast": 0.1, "blur": 0.0}


def main() -> None:
    """Paint, train both models and print the table."""
    logging.getLogger("geodet").setLevel(logging.ERROR)
    wanted = _parse()
    folder = wanted.folder
    torch.set_num_threads(wanted.threads)
    data = folder / "tiles"
    if not data.exists():
        paint_tileset(data, train=wanted.train, test=wanted.test)
    print_machine()
    images = read_tileset(data, DataConfig(), part="val").split("val")
    objects = sum(len(image.boxes) for image in images)
    print(f"{wanted.train} training images, {len(images)} test images of {objects} objects")
    print("| boxes | AP50 by rectangles | car | ship | AP75 by rectangles | AP50 by bounds |")
    print("|---|---|---|---|---|---|")
    for boxes in ("axis_aligned", "oriented"):
        model = folder / f"{boxes}-{wanted.epochs}-{wanted.seed}.safetensors"
        config = configure(boxes, wanted)
        if not model.exists():
            run_training(data, model, config, device="cpu", overwrite=True)
        print(_row(boxes, model, images, config), flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--train", type=int, default=48)
    parser.add_argument("--test", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def configure(boxes: str, wanted: argparse.Namespace) -> Config:
    """Return the settings of a run."""
    train = {"epochs": wanted.epochs, "seed": wanted.seed, "validate_every": wanted.epochs}
    return Config.model_validate(
        {"model": MODEL | {"boxes": boxes}, "train": TRAIN | train, "augment": AUGMENT}
    )


def paint_tileset(folder: Path, *, train: int, test: int) -> None:
    """Paint images of parking lots and harbours, and write them as a tileset."""
    images = []
    (folder / "images").mkdir(parents=True)
    for number in range(train + test):
        split = "train" if number < train else "val"
        path = folder / "images" / f"{number:03d}.png"
        pixels, boxes, labels = paint_image(np.random.default_rng(number))
        Image.fromarray(pixels).save(path)
        nothing = np.zeros((0, 4))
        bounds = hulls(boxes).clip(0, SIDE)
        images.append(
            LabelledImage(
                path, SIDE, SIDE, bounds, labels, nothing, path.name, split, 0.3, oriented=boxes
            )
        )
    write_tileset(Tileset(folder, CLASSES, tuple(images)))


def paint_lots(folder: Path, count: int) -> list[LabelledImage]:
    """Paint parking lots whose cars are as large as at 0.13 m per pixel.

    Args:
        folder: Where; created if it is not there.
        count: How many.
    """
    folder.mkdir(parents=True, exist_ok=True)
    side, found = round(SIDE * FINER), list[LabelledImage]()
    for seed in itertools.count(5000):  # none that trains or tests
        pixels, boxes, labels = paint_image(np.random.default_rng(seed))
        if not len(labels) or labels[0] != CLASSES.index("car"):
            continue
        path = folder / f"{seed}.png"
        larger = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
        larger.save(path)
        boxes = boxes * np.array([FINER, FINER, FINER, FINER, 1])
        bounds, none = hulls(boxes).clip(0, side), np.zeros((0, 4))
        found.append(
            LabelledImage(
                path, side, side, bounds, labels, none, path.name, "val", 0.13, oriented=boxes
            )
        )
        if len(found) == count:
            break
    return found


def paint_image(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paint one image: uint8 pixels, (N, 5) rectangles and (N,) classes."""
    is_harbour = random.random() < 0.4
    ground = (58, 76, 84) if is_harbour else (104, 103, 106)
    canvas = Image.new("RGB", (SIDE * ZOOM, SIDE * ZOOM), ground)
    draw = ImageDraw.Draw(canvas)
    place = place_ships if is_harbour else place_cars
    boxes = place(random)
    for box in boxes:
        (_paint_ship if is_harbour else _paint_car)(draw, box, random)
    small = canvas.resize((SIDE, SIDE), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.6))
    noise = random.normal(0, 5, (SIDE, SIDE, 1)) + random.normal(0, 3, (SIDE, SIDE, 3))
    pixels = (np.asarray(small, float) + noise).clip(0, 255).astype(np.uint8)
    seen = cut_oriented(boxes, SIDE, SIDE)
    whole = boxes[:, 2:4].prod(axis=1)
    kept = (seen[:, 2:4].prod(axis=1) > 0.4 * whole) & (seen[:, 3] > 2)
    return pixels, seen[kept], np.full(int(kept.sum()), int(is_harbour))


def place_cars(random: np.random.Generator) -> np.ndarray:
    """Park cars side by side in rows of one angle, with gaps."""
    angle, rows = random.uniform(-np.pi, np.pi), []
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    slant = random.choice([0.0, 0.0, 0.6])  # slanted bays
    for down in np.arange(-SIDE, SIDE, ROW):
        for along in np.arange(-SIDE, SIDE, BAY):
            if random.random() < 0.35:
                continue
            centre = turn @ [along, down] + SIDE / 2 + random.normal(0, 0.5, 2)
            sides = random.uniform([22, 9.5], [26, 11])
            rows.append([*centre, *sides, angle + np.pi / 2 + slant + random.normal(0, 0.03)])
    return _inside(np.array(rows))


def place_ships(random: np.random.Generator) -> np.ndarray:
    """Anchor ships at any angles and moor some side by side."""
    rows: list[list[float]] = []
    for _ in range(random.integers(2, 5)):
        centre, angle = random.uniform(20, SIDE - 20, 2), random.uniform(-np.pi, np.pi)
        length = random.uniform(26, 64)
        width = length * random.uniform(0.18, 0.26)
        across = np.array([-np.sin(angle), np.cos(angle)])
        for step in range(random.integers(1, 4)):
            moored = centre + across * step * (width + 2)
            rows.append([*moored, length * random.uniform(0.8, 1), width, angle])
    return _inside(_apart(np.array(rows)))


def _inside(rows: np.ndarray) -> np.ndarray:
    bounds = hulls(rows)
    meets = np.all((bounds[:, 2:] > 0) & (bounds[:, :2] < SIDE), axis=1)
    return with_longer_side_first(rows[meets])


def _apart(rows: np.ndarray) -> np.ndarray:
    """Drop rectangles that touch one before them."""
    import shapely

    kept: list[int] = []
    shapes = shapely.polygons(oriented_corners(rows))
    for row, shape in enumerate(shapes):
        if not any(shape.intersects(shapes[other]) for other in kept):
            kept.append(row)
    return rows[kept]


def _paint_car(draw: ImageDraw.ImageDraw, box: np.ndarray, random: np.random.Generator) -> None:
    ink = CAR_INKS[random.integers(len(CAR_INKS))]
    shadow = box + np.array([1.2, 1.2, 0, 0, 0])
    _fill(draw, oriented_corners(shadow[None])[0], (60, 60, 64))
    _fill(draw, oriented_corners(box[None])[0], ink)
    glass = box.copy()
    glass[2:4] = box[2] * 0.55, box[3] * 0.8
    _fill(draw, oriented_corners(glass[None])[0], tuple(int(v * 0.6) for v in ink))


def _paint_ship(draw: ImageDraw.ImageDraw, box: np.ndarray, random: np.random.Generator) -> None:
    x, y, length, width, angle = box
    outline = np.array([[-0.5, -0.35], [-0.4, -0.5], [0.25, -0.5], [0.5, 0], [0.25, 0.5]])
    outline = np.vstack([outline, [[-0.4, 0.5], [-0.5, 0.35]]]) * [length, width]
    outline *= random.choice([-1, 1])  # the bow may be at either end
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    _fill(draw, outline @ turn.T + [x, y], (168, 164, 158))
    _fill(draw, outline * 0.7 @ turn.T + [x, y], (128, 92, 82))


def _fill(draw: ImageDraw.ImageDraw, points: np.ndarray, ink: tuple[int, ...]) -> None:
    draw.polygon([(float(x) * ZOOM, float(y) * ZOOM) for x, y in points], fill=ink)


def _row(boxes: str, model: Path, images: Sequence[LabelledImage], config: Config) -> str:
    found, turned = _predict(model, images, config)
    by_rectangle = _measure(turned, images, oriented=True)
    both = mean_ap(by_rectangle), mean_ap(_measure(found, images, oriented=False))
    cells = (both[0].ap50, *(one.ap50 for one in by_rectangle), both[0].ap75, both[1].ap50)
    return f"| {boxes} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |"


def score_rectangles(
    model: str | Path, images: Sequence[LabelledImage], config: Config
) -> tuple[float, float, float]:
    """Return AP50 and AP75 by rectangles, and AP50 by bounds; an axis-aligned box is a rectangle.

    Args:
        model: A model file, or the name of a bundled one.
        images: With labels of a single class.
        config: Of the detection.
    """
    found, turned = _predict(find_model(model), images, config)
    by_rectangle = mean_ap(_measure(turned, images, oriented=True, classes=1))
    by_bounds = mean_ap(_measure(found, images, oriented=False, classes=1))
    return by_rectangle.ap50, by_rectangle.ap75, by_bounds.ap50


def _predict(
    model: Path, images: Sequence[LabelledImage], config: Config
) -> tuple[list[Detections], list[Detections]]:
    """Return what a model finds, as it is and as rectangles."""
    predictor = build_predictor(load_checkpoint(model), config.detect, "cpu", score_threshold=0.01)
    found = predict_images(predictor, images, config.data.bands, config.detect)
    return found, [replace(one, oriented=_rectangles(one)) for one in found]


def _rectangles(found: Detections) -> np.ndarray:
    return oriented_of_boxes(found.boxes) if found.oriented is None else found.oriented


def _measure(
    found: list[Detections],
    images: Sequence[LabelledImage],
    *,
    oriented: bool,
    classes: int = len(CLASSES),
) -> list[AveragePrecision]:
    rule = MatchConfig(by="iou", iou=0.5)
    compared = [
        Comparison.of(
            one if oriented else replace(one, oriented=None),
            hulls(image.oriented_boxes),
            image.labels,
            ignored=image.ignored,
            rule=rule,
            gsd=None,
            oriented=image.oriented_boxes if oriented else None,
        )
        for one, image in zip(found, images, strict=True)
    ]
    return measure_ap(compared, classes, sides=None)


if __name__ == "__main__":
    main()
