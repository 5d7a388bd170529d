"""Networks, outputs, painted chips and tilesets that are small enough to train on in seconds."""

import json
import math
import warnings

import numpy as np
import rasterio
import torch
from rasterio.errors import NotGeoreferencedWarning

from geodet.config import ModelConfig
from geodet.geometry.boxes import Detections
from geodet.models.description import ModelDescription
from geodet.models.retinanet import RetinaNet
from geodet.tilesets.labels import LabelledImage
from geodet.training.assigners import IGNORED
from geodet.training.losses import Target

EMPTY = np.zeros((0, 4))


def architecture(levels=(2, 2), backbone_level=None, **changes):
    """Configure the smallest network with these levels."""
    first, last = levels
    options = {
        "levels": levels,
        "backbone_level": backbone_level or min(last, 5),
        "channels": 16,
        "head_convs": 1,
        "anchor_sizes": tuple(3.0 * 2**level for level in range(first, last + 1)),
        "anchor_scales": (1.0,),
        "anchor_ratios": (1.0,),
    }
    return ModelConfig(**options | changes)


def seeded_network(config=None, *, bands=3, classes=1, seed=0):
    """Build a network whose random weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RetinaNet(config or architecture(), bands=bands, classes=classes).eval()


def target(boxes=(), labels=None, ignored=()):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = [0] * len(boxes) if labels is None else labels
    regions = torch.tensor(ignored, dtype=torch.float32).reshape(-1, 4)
    return Target(boxes, torch.tensor(labels, dtype=torch.int64), regions)


def detections(boxes=(), scores=None, labels=None):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    scores = [0.9] * len(boxes) if scores is None else scores
    labels = np.zeros(len(boxes)) if labels is None else labels
    return Detections(boxes, np.array(scores), np.array(labels))


def paint_chip(path, boxes=(), *, size=(64, 64), bands=3, dtype="uint8", dark=20, bright=230):
    """Write a dark picture without a georeference, with bright boxes at whole pixels."""
    width, height = size
    pixels = np.full((bands, height, width), dark, dtype)
    for x1, y1, x2, y2 in np.asarray(boxes, int).reshape(-1, 4):
        pixels[:, y1:y2, x1:x2] = bright
    return write_pixels(path, pixels)


def write_pixels(path, pixels, **profile):
    """Write (C, H, W) as PNG or GeoTIFF, as the suffix says."""
    bands, height, width = pixels.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    # Four bands that are not declared grey would be red, green, blue and alpha.
    kind = {".png": {"driver": "PNG"}}.get(
        path.suffix, {"driver": "GTiff", "photometric": "MINISBLACK"}
    )
    options = kind | {
        "width": width,
        "height": height,
        "count": bands,
        "dtype": pixels.dtype,
    }
    with warnings.catch_warnings(), rasterio.Env(GDAL_PAM_ENABLED=False):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **options | profile) as raster:
            raster.write(pixels)
    return path


def labelled(path, boxes=(), labels=None, *, ignored=(), split="train", gsd=None):
    """Return the labels of a picture that is there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as raster:
            size = raster.width, raster.height
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    labels = np.zeros(len(boxes), np.int64) if labels is None else np.array(labels, np.int64)
    regions = np.array(ignored, np.float64).reshape(-1, 4)
    return LabelledImage(path, *size, boxes, labels, regions, path.name, split, gsd)


def painted(path, boxes=(), labels=None, *, ignored=(), split="train", gsd=None, **paint):
    """Paint a picture and give its labels."""
    paint_chip(path, boxes, **paint)
    return labelled(path, boxes, labels, ignored=ignored, split=split, gsd=gsd)


def random_squares(seed, *, count=3, side=12, size=64):
    """Place squares that do not touch, on a grid of cells, at whole pixels."""
    random = np.random.default_rng(seed)
    cell = size // 3
    cells = random.permutation(9)[:count]
    corners = np.stack([cells % 3, cells // 3], axis=1) * cell
    corners = corners + random.integers(0, cell - side - 1, (count, 2))
    return np.concatenate([corners, corners + side], axis=1)


def write_tileset(folder, *, train=8, val=4, classes=("square",), size=64):
    """Write a COCO tileset of bright squares on dark ground and return its folder."""
    for offset, split, count in ((0, "train", train), (100, "val", val)):
        scenes = {f"{split}_{i}.png": random_squares(offset + i, size=size) for i in range(count)}
        for name, boxes in scenes.items():
            paint_chip(folder / name, boxes, size=(size, size))
        write_coco(folder / f"{split}.json", scenes, classes, size=size)
    return folder


def write_coco(path, scenes, classes=("square",), *, size=64, labels=None):
    """Write {file name: boxes} as COCO; the classes alternate unless labels are given."""
    annotations = [
        {
            "id": 1000 * n + m,
            "image_id": n,
            "category_id": 1 + (labels[name][m] if labels else m % len(classes)),
            "bbox": [float(v) for v in (*box[:2], box[2] - box[0], box[3] - box[1])],
            "iscrowd": 0,
        }
        for n, (name, boxes) in enumerate(scenes.items())
        for m, box in enumerate(boxes)
    ]
    content = {
        "images": [
            {"id": n, "file_name": name, "width": size, "height": size, "place": name}
            for n, name in enumerate(scenes)
        ],
        "annotations": annotations,
        "categories": [{"id": n, "name": name} for n, name in enumerate(classes, start=1)],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def define_focal_loss(logits, matches, labels, alpha, gamma):
    """Write out equation 5 of the paper, number by number."""
    total = 0.0
    for row, match in zip(logits.tolist(), matches.tolist(), strict=True):
        for index, logit in enumerate(row):
            p = 1 / (1 + math.exp(-logit))
            if match >= 0 and labels[match] == index:
                total += -alpha * (1 - p) ** gamma * math.log(p)
            elif match != IGNORED:
                total += -(1 - alpha) * p**gamma * math.log(1 - p)
    return total


EXPORTED = {
    "one level": architecture((2, 2), 3),
    "ratios": architecture((2, 4), 4, anchor_ratios=(0.5, 2.0), anchor_scales=(1.0, 1.5)),
    "P3 to P7": architecture((3, 7), head_convs=0),
    "short box head": architecture((2, 3), head_convs=2, box_head_convs=0),
    "group norms": architecture((2, 3), 3, backbone_norm="group", head_norm="group", channels=32),
    "plain heads": architecture((3, 3), 3, backbone_norm="frozen_batch", head_norm="none"),
    "bottlenecks": architecture((2, 2), 2, backbone="resnet50"),
    "smoothed strides": architecture((2, 3), antialias=True),
    "limited activations": architecture((2, 3), activation="relu6"),
    "EfficientNet-Lite0": architecture((2, 3), backbone="efficientnet_lite0", antialias=True),
}

EXPORTED_CLASSES = ("car", "tree")


def describe(config, bands=3):
    return ModelDescription(
        name="tiny",
        architecture=config,
        classes=EXPORTED_CLASSES,
        bands=tuple("rgbn"[:bands]),
        dtype="uint8",
        mean=(60.0, 50.0, 55.0, 40.0)[:bands],
        std=(25.0, 20.0, 30.0, 35.0)[:bands],
        low=(0.0,) * bands,
        high=(255.0,) * bands,
        gsd=0.5,
        score_threshold=0.3,
    )
