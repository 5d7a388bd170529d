"""Settings, and labels and detections of a scene."""

import functools
import json

import numpy as np
import rasterio
import tomli_w
from affine import Affine
from fuzz_documents import lines_of, save, target, to_csv, to_tomlable
from fuzz_mutations import mutate, odd_value


def to_toml(content):
    """Write TOML; what is nested more deeply than the writer can follow becomes nested lists."""
    try:
        return tomli_w.dumps(content)
    except RecursionError:
        return "a = " + "[" * 500 + "]" * 500


@target
def write_toml(folder, source):
    content = {
        "model": {"channels": 32, "anchor_sizes": [8.0, 16.0, 32.0], "levels": [2, 4]},
        "data": {"bands": [1, 2, 3], "class_map": {"a": "b"}, "gsd": 0.5},
        "train": {"epochs": 3, "optimizer": "sgd", "learning_rate": 0.1},
        "detect": {"chip_size": 512, "value_range": [0.0, 255.0]},
    }
    save(folder / "a.toml", to_toml(to_tomlable(mutate(content, source))))
    return ["config", "--config", folder / "a.toml"]


SETTINGS = ("detect.chip_size", "data.bands", "train.epochs", "model.anchor_sizes", "x", "detect.x")


@target
def write_setting(folder, source):
    value = odd_value(source)
    text = value if isinstance(value, str) else json.dumps(value)
    return ["config", "--set", f"{source.choice(SETTINGS)}={text}".replace("\0", "")]


CORNER = (447_000, 5_411_000)
PIXEL = 0.6


def place(x, y):
    return [CORNER[0] + x * PIXEL, CORNER[1] - y * PIXEL]


def feature(x, y, side, **properties):
    ring = [place(x, y), place(x + side, y), place(x + side, y + side), place(x, y + side)]
    shape = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    return {"type": "Feature", "properties": properties, "geometry": shape}


def collection(*features):
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    return {"type": "FeatureCollection", "crs": crs, "features": list(features)}


@functools.cache
def painted_scene():
    """Return the bytes of a scene of noise."""
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 3, "dtype": "uint8"}
    grid = Affine(PIXEL, 0, CORNER[0], 0, -PIXEL, CORNER[1])
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile, crs="EPSG:32633", transform=grid) as raster:
            raster.write(np.random.default_rng(0).integers(20, 91, (3, 64, 64)).astype(np.uint8))
        return memory.read()


def scene(folder):
    (folder / "scene.tif").write_bytes(painted_scene())
    return folder / "scene.tif"


@target
def write_vector_labels(folder, source):
    content = collection(*(feature(9 * n, 9, 5, label="tree", score=0.5) for n in range(5)))
    save(folder / "labels.geojson", json.dumps(mutate(content, source)))
    arguments = ["--set", "tile.chip_size=32", "-o", folder / "tiles"]
    return ["tile", scene(folder), "--labels", folder / "labels.geojson", *arguments]


@target
def write_vector_detections(folder, source):
    content = collection(*(feature(9 * n, 9, 5, label="tree", score=0.5) for n in range(5)))
    save(folder / "labels.geojson", json.dumps(content))
    save(folder / "found.geojson", json.dumps(mutate(content, source)))
    labels = ["--labels", folder / "labels.geojson"]
    return ["evaluate", "--detections", folder / "found.geojson", *labels]


@target
def write_coordinates(folder, source):
    xy = [[*place(9 * n + 2, 11), "tree"] for n in range(5)]
    boxes = [[*place(9 * n, 15), *place(9 * n + 5, 9), "tree"] for n in range(5)]
    wkt = [[f"POINT ({x} {y})", name] for x, y, name in xy]
    head, rows = source.choice(
        (
            (["x", "y", "label"], xy),
            (["xmin", "ymin", "xmax", "ymax", "label"], boxes),
            (["geom", "label"], wkt),
        )
    )
    save(folder / "labels.csv", to_csv([head, *mutate(rows, source)], source.choice(",;")))
    arguments = [
        "--set",
        "tile.chip_size=32",
        "--set",
        "data.box_size_px=5",
        "-o",
        folder / "tiles",
    ]
    return ["tile", scene(folder), "--labels", folder / "labels.csv", *arguments]


@target
def write_coco_results(folder, source):
    content = collection(*(feature(9 * n, 9, 5, label="tree") for n in range(5)))
    save(folder / "labels.geojson", json.dumps(content))
    entry = {"image_id": 1, "file_name": "scene.tif", "category": "tree", "category_id": 1}
    found = [entry | {"bbox": [9 * n, 9, 5, 5], "score": 0.5} for n in range(5)]
    save(folder / "found.json", json.dumps(mutate(found, source)))
    files = ["--labels", folder / "labels.geojson", "--scene", scene(folder)]
    return ["evaluate", "--detections", folder / "found.json", *files]


@target
def write_yolo_results(folder, source):
    content = collection(*(feature(9 * n, 9, 5, label="tree") for n in range(5)))
    save(folder / "labels.geojson", json.dumps(content))
    rows = [[0, 0.2 * n, 0.2, 0.1, 0.1, 0.5] for n in range(5)]
    save(folder / "found" / "scene.txt", lines_of(mutate(rows, source)))
    save(folder / "found" / "classes.txt", lines_of(mutate([["tree"]], source)))
    files = ["--labels", folder / "labels.geojson", "--scene", scene(folder)]
    return ["evaluate", "--detections", folder / "found", *files]
