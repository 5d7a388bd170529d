"""Scenes and chips on the two sides of the antimeridian: the same ground is the same place."""

import itertools

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS

from geodet.config import DataConfig, TileConfig
from geodet.tilesets.tile import tile_scene
from geodet.tilesets.tileset import read_tileset

STEP, TOP = 0.6 / 111_320, -17.0
DEGREES = CRS.from_epsg(4326)


def paint(path, left, columns, rows=128):
    """Write a scene from a column of a grid whose column 0 lies at 180 degrees."""
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": DEGREES}
    profile |= {"width": columns, "height": rows}
    place = Affine(STEP, 0, left, 0, -STEP, TOP)
    with rasterio.open(path, "w", transform=place, **profile) as raster:
        raster.write(np.full((1, rows, columns), 9, np.uint8))
    return path


def label(path, columns, rows=(20, 60, 100)):
    """Write squares of 8 x 8 px; one over 180 degrees is cut there."""
    shapes = []
    for x, y in itertools.product(columns, rows):
        west, east, top = STEP * x, STEP * (x + 8), TOP - STEP * y
        pieces = [(180 + west, min(180 + east, 180.0)), (max(west, 0) - 180, east - 180)]
        boxes = [shapely.box(a, top - 8 * STEP, b, top) for a, b in pieces if a < b]
        shapes.append(shapely.multipolygons(boxes) if len(boxes) > 1 else boxes[0])
    gpd.GeoDataFrame({"label": ["tree"] * len(shapes)}, geometry=shapes, crs=DEGREES).to_file(path)
    return len(shapes)


@pytest.mark.parametrize("shift", [0, -360])
def test_chips_with_one_vector_file_have_the_labels_of_both_sides(tmp_path, shift):
    images = tmp_path / "images"
    images.mkdir()
    for number, column in enumerate((-128, -64, 0, 64)):
        paint(images / f"{number}.tif", 180 + column * STEP + shift, 64)
    count = label(tmp_path / "labels.geojson", range(-124, 116, 20))
    tileset = read_tileset(tmp_path, DataConfig(val=("3.tif",)))
    # Those over 180 degrees are in the chips of both sides.
    assert sum(len(image.boxes) for image in tileset.images) == count + 3
    assert all(len(image.boxes) for image in tileset.images)


@pytest.mark.parametrize("side", [180.0, -180.0])
@pytest.mark.parametrize("shift", [32, 40])
def test_scenes_of_both_sides_share_no_ground_between_the_parts(tmp_path, side, shift):
    scenes = [
        paint(tmp_path / "a.tif", 180 - 128 * STEP, 160),
        paint(tmp_path / "b.tif", side - shift * STEP, 160),
    ]
    label(tmp_path / "l.gpkg", range(-124, 116, 20))
    options = TileConfig(chip_size=32, block_size=64, val_fraction=0.3, empty_share=1)
    report = tile_scene(scenes, tmp_path / "l.gpkg", tmp_path / "out", options, DataConfig())
    # With 32 px the chips of both lie on one grid, and so they do in the blocks that both share.
    assert (report.skipped_elsewhere > 0) == (shift == 40)
    assert report.skipped_overlap == report.skipped_elsewhere
    shapes = {"train": [], "val": []}
    for image in read_tileset(tmp_path / "out", DataConfig()).images:
        with rasterio.open(image.path) as raster:
            west, bottom, east, top = raster.bounds
        turn = 360 if west < 0 else 0
        shapes[image.split].append(shapely.box(west + turn, bottom, east + turn, top))
    assert all(shapes.values())
    for one in shapes["train"]:
        for other in shapes["val"]:
            assert shapely.intersection(one, other).area < 1e-3 * one.area
