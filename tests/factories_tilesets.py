"""Painted images and label files in the formats that geodet reads."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from PIL import Image

NORTH_UP = Affine(0.5, 0, 600_000, 0, -0.5, 4_000_000)
"""Half a metre a pixel in EPSG:32610."""


def paint_image(path, width=64, height=48):
    """Write a plain image without a georeference; its suffix says the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width), np.uint8)).save(path)
    return path


def paint_geotiff(
    path,
    *,
    column=0,
    row=0,
    width=64,
    height=48,
    transform=NORTH_UP,
    epsg=32610,
    bands=1,
    dtype="uint8",
):
    """Write a GeoTIFF that lies some pixels right of and below the origin of a transform."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "width": width,
        "height": height,
        "count": bands,
        "dtype": dtype,
        "crs": f"EPSG:{epsg}",
        "transform": transform @ Affine.translation(column, row),
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(np.zeros((bands, height, width), dtype))
    return path


def paint_frames(folder, names, **options):
    return [paint_image(folder / name, **options) for name in names]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_coco(path, boxes, classes=("car", "bus"), *, size=(64, 48), **changes):
    """Write a COCO file from {file name: [(class index, x, y, width, height), ...]}."""
    images = [
        {"id": n, "file_name": name, "width": size[0], "height": size[1]}
        for n, name in enumerate(boxes, start=1)
    ]
    annotations = [
        {"id": 0, "image_id": n, "category_id": 10 + index, "bbox": list(box), "iscrowd": 0}
        for n, rows in enumerate(boxes.values(), start=1)
        for index, *box in rows
    ]
    categories = [{"id": 10 + n, "name": name} for n, name in enumerate(classes)]
    content = {"images": images, "annotations": annotations, "categories": categories} | changes
    return write(path, json.dumps(content))


def write_voc(path, objects, size=(64, 48)):
    """Write a Pascal VOC file from [(class, xmin, ymin, xmax, ymax), ...]."""
    corners = ("xmin", "ymin", "xmax", "ymax")
    body = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{k}>{v}</{k}>" for k, v in zip(corners, box, strict=True))
        + "</bndbox></object>"
        for name, *box in objects
    )
    head = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return write(path, f"<annotation>{head}{body}</annotation>")


def shared_data(name):
    """Return a folder of the real data, which lies beside the repository where there is any."""
    return Path(__file__).parents[1].parent / "shared" / "data" / name


def some_trees(folder, choose):
    """Copy some images of the real trees into a folder, with their rows of the two tables.

    GDAL takes 10 ms to open one of these images, and there are 1,476.

    Args:
        folder: The folder.
        choose: Says of the index of an image and of its row whether it is wanted.

    Returns:
        The folder, and the rows of its images.csv and of its trees.csv.
    """
    source = shared_data("urban-trees")
    images = [row for n, row in enumerate(read_table(source / "images.csv")) if choose(n, row)]
    names = {row["image"] for row in images}
    trees = [row for row in read_table(source / "trees.csv") if row["image"] in names]
    (folder / "images").mkdir(parents=True)
    for name in names:
        shutil.copyfile(source / "images" / name, folder / "images" / name)
    for name, rows in (("images.csv", images), ("trees.csv", trees)):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder, images, trees


def read_table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
