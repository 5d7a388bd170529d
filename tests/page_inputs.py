"""What the pages of the documentation find in their folder, by the names in ``<!-- needs: -->``."""

import csv
import json
import shutil

import geopandas
import numpy as np
import rasterio
import shapely
from affine import Affine
from factories_photographs import nadir_pose, write_photograph
from PIL import Image
from pyproj import Transformer

import geodet
from geodet.raster.scene import Scene
from geodet.viewer.review_desk import ReviewDesk
from geodet.viewer.shown_scene import read_shown_scene

BYTES = 256
"""Side of the chips in pixels."""


def demo(folder, painted):
    """Copy the painted scene, its truth and the detections, as `geodet demo demo` leaves them."""
    shutil.copytree(painted, folder / "demo", dirs_exist_ok=True)


def aoi(folder, painted):
    """Draw a polygon over a part of the scene: park.geojson, in longitude and latitude."""
    with rasterio.open(painted / "scene.tif") as scene:
        left, bottom, right, top = scene.bounds
        crs = scene.crs
    part = shapely.box(left, bottom, (left + right) / 2, (bottom + top) / 2)
    frame = geopandas.GeoDataFrame(geometry=[part], crs=crs).to_crs(4326)
    frame.to_file(folder / "park.geojson")


def tiles(folder, painted):
    """Cut the tileset that `geodet tile` makes of the scene."""
    cut(painted, folder / "tiles")


def yolo(folder, painted):
    """Write chips with YOLO text, the last third of them named west."""
    images = labelled_images(folder, painted)
    chips = folder / "chips"
    chips.mkdir(exist_ok=True)
    (chips / "classes.txt").write_text("tree\n")
    for index, (pixels, boxes) in enumerate(images):
        name = f"{'west' if index >= 2 * len(images) // 3 else 'east'}{index}"
        height, width = pixels.shape[:2]
        Image.fromarray(pixels).save(chips / f"{name}.png")
        shares = [
            ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
            for x, y, w, h in boxes
        ]
        lines = ["0 " + " ".join(f"{value:.6f}" for value in box) for box in shares]
        (chips / f"{name}.txt").write_text("\n".join(lines) + "\n")


def deepforest(folder, painted):
    """Write chips with a CSV as DeepForest reads it."""
    chips = folder / "annotated"
    chips.mkdir()
    rows = []
    for index, (pixels, boxes) in enumerate(labelled_images(folder, painted)):
        Image.fromarray(pixels).save(chips / f"plot{index}.png")
        rows += [[f"plot{index}.png", x, y, x + w, y + h, "Tree"] for x, y, w, h in boxes]
    with (chips / "annotations.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_path", "xmin", "ymin", "xmax", "ymax", "label"])
        writer.writerows(rows)


def coco_results(folder, painted):
    """Write the labels of the validation chips as COCO results of another program."""
    coco = json.loads((folder / "tiles" / "val.json").read_text())
    results = [
        {key: one[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9}
        for one in coco["annotations"]
    ]
    (folder / "results.json").write_text(json.dumps(results))


def scenes(folder, painted):
    """Cut the scene into two that overlap, in the folder, in a folder of their own, in a list."""
    (folder / "scenes").mkdir()
    with rasterio.open(painted / "scene.tif") as scene:
        half, profile = scene.width // 2, scene.profile
        for name, start in (("west", 0), ("east", half - 100)):
            window = rasterio.windows.Window(start, 0, half + 100, scene.height)
            transform = scene.transform @ Affine.translation(start, 0)
            place = {"width": half + 100, "transform": transform}
            with rasterio.open(folder / f"{name}.tif", "w", **profile | place) as part:
                part.write(scene.read(window=window))
            shutil.copy(folder / f"{name}.tif", folder / "scenes" / f"{name}.tif")
    (folder / "scenes.txt").write_text("# one entry a line\nwest.tif\neast.tif\n")


def deep(folder, painted):
    """Write the scene as 16 bits with a fourth band, named: scene16.tif and labels.gpkg."""
    with rasterio.open(painted / "scene.tif") as scene:
        pixels, profile = scene.read().astype(np.uint16), scene.profile
    more = np.concatenate([pixels, pixels[1:2]]) * 60 + 300
    profile = profile | {"count": 4, "dtype": "uint16"}
    profile.pop("photometric", None)
    with rasterio.open(folder / "scene16.tif", "w", **profile) as target:
        target.write(more)
        for band, name in enumerate(("red", "green", "blue", "nir"), 1):
            target.set_band_description(band, name)
    shutil.copy(painted / "truth.gpkg", folder / "labels.gpkg")


def reviews(folder, painted):
    """Review the first windows of the scene: reviews.gpkg, as `geodet view --reviews` writes it."""
    with Scene(painted / "scene.tif") as scene:
        shown = read_shown_scene(scene, painted / "trees.gpkg")
        desk = ReviewDesk(folder / "reviews.gpkg", scene, shown.layers["objects"], shown.frame)
        for number in range(len(desk.describe()["windows"])):
            desk.act({"do": "window", "number": number, "at": 0.4, "hidden": []})
        shown.pictures.close()


def photographs(folder, painted):
    """Photograph the scene as a drone that looks down: photos/, in two rows of three that overlap.

    The rows were flown in opposite directions, so every other one is upside down.
    """
    (folder / "photos").mkdir()
    with rasterio.open(painted / "scene.tif") as scene:
        pixels, transform = np.moveaxis(scene.read(), 0, -1), scene.transform
        to_degrees = Transformer.from_crs(scene.crs, 4326, always_xy=True)
    rows, columns = 240, 320
    height = transform.a * 24 * np.hypot(rows, columns) / np.hypot(36, 24)  # a lens of 24 mm
    for number in range(6):
        row, column = divmod(number, 3)
        top, left = row * (len(pixels) - rows), column * (pixels.shape[1] - columns) // 2
        part = pixels[top : top + rows, left : left + columns]
        centre = to_degrees.transform(*(transform @ (left + columns / 2, top + rows / 2)))
        write_photograph(
            folder / "photos" / f"DJI_{number + 1:04}.JPG",
            part[::-1, ::-1] if row else part,
            lonlat=centre,
            altitude=300 + height,
            film=24,
            time=f"2024:05:01 10:20:{5 * number:02}",
            offset="+02:00",
            xmp=nadir_pose(height, yaw=180.0 if row else 0.0),
        )


def empty(folder, painted):
    """Leave the folder as it is: the page makes what it needs."""


INPUTS = {
    "aoi": aoi,
    "coco-results": coco_results,
    "deep": deep,
    "deepforest": deepforest,
    "demo": demo,
    "empty": empty,
    "photographs": photographs,
    "reviews": reviews,
    "scenes": scenes,
    "tiles": tiles,
    "yolo": yolo,
}


def cut(painted, output):
    """Cut the chips of the painted scene."""
    geodet.tile(painted / "scene.tif", painted / "truth.gpkg", output, chip_size=BYTES)


def labelled_images(folder, painted):
    """Read chips and their boxes (x, y, width, height) from a tileset that is removed again."""
    root = folder / "cut"
    cut(painted, root)
    found = []
    for part in ("train", "val"):
        coco = json.loads((root / f"{part}.json").read_text())
        for image in coco["images"]:
            boxes = [a["bbox"] for a in coco["annotations"] if a["image_id"] == image["id"]]
            with rasterio.open(next(root.rglob(image["file_name"]))) as chip:
                found.append((np.moveaxis(chip.read(), 0, -1), boxes))
    shutil.rmtree(root)
    return found
