"""Scenes and chips whose pixels are not square on the ground, such as those in degrees."""

import re

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from factories_tilesets import NORTH_UP, paint_geotiff, write
from pyproj import CRS, Geod

from geodet.config import DataConfig, TileConfig
from geodet.errors import SceneError
from geodet.geometry.geobox import GeoBox, step_lengths
from geodet.raster.ground_grids import scale_factors, scaled_grid
from geodet.raster.scene import Scene
from geodet.tilesets.tile import tile_scene
from geodet.tilesets.tile_inputs import read_tile_inputs
from geodet.tilesets.tileset import read_tileset
from geodet.tilesets.tileset_summary import summarise_tileset

OBLONG = Affine(5.1e-6, 0, 10, 0, -5.1e-6, 60)
"""Square pixels in degrees, at 60 degrees north half as wide as high on the ground."""
SIZE = (200, 160)
CHIPS = TileConfig(chip_size=64, block_size=64, val_fraction=0.25)
TURNED = OBLONG @ Affine.rotation(30)


def make_inputs(folder, shapes, transform=OBLONG, epsg=4326):
    """Paint a scene, and write shapes in its pixels as labels."""
    scene = paint_geotiff(
        folder / "s.tif", width=SIZE[0], height=SIZE[1], transform=transform, epsg=epsg
    )
    place = GeoBox(*SIZE, transform, None).to_world
    placed = shapely.transform(np.array(list(shapes), object), place)
    labels = folder / "l.gpkg"
    geopandas.GeoDataFrame(geometry=placed, crs=epsg).to_file(labels)
    return scene, labels


def squares(step=23, side=9):
    spread = np.mgrid[2 : SIZE[0] - side : step, 2 : SIZE[1] - side : step].reshape(2, -1).T
    return shapely.box(*spread.T, *(spread + side).T)


def points(count=20):
    return shapely.points(np.random.default_rng(0).uniform(30, 130, (count, 2)))


def measure(box, transform):
    """Measure the width and height of a box in pixels on the ellipsoid, in metres."""
    (x1, y1, x2, y2), geod = box, Geod(ellps="WGS84")
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    sides = [((x1, y), (x2, y)), ((x, y1), (x, y2))]
    return [geod.inv(*(transform @ start), *(transform @ end))[2] for start, end in sides]


@pytest.mark.parametrize("transform", [OBLONG, TURNED])
def test_the_box_around_a_point_of_a_scene_has_its_size_along_both_axes(tmp_path, transform):
    scene, labels = make_inputs(tmp_path, points(), transform)
    inputs = read_tile_inputs([str(scene)], labels, CHIPS, DataConfig(box_size_m=8))
    there = inputs.scenes[0].geobox.transform
    sides = [measure(box, there) for box in inputs.boxes]
    np.testing.assert_allclose(sides, np.full((20, 2), 8.0), rtol=1e-3)


@pytest.mark.parametrize("transform", [OBLONG, TURNED])
def test_the_box_around_a_point_of_a_chip_has_its_size_along_both_axes(tmp_path, transform):
    for name, column in (("a.tif", 0), ("b.tif", 5000)):
        paint_geotiff(tmp_path / name, column=column, transform=transform, epsg=4326)
    write(tmp_path / "points.csv", "image,x,y,class\na.tif,30,20,t\nb.tif,30,20,t\n")
    image = read_tileset(tmp_path, DataConfig(box_size_m=4)).images[0]
    np.testing.assert_allclose(measure(image.boxes[0], transform), [4, 4], rtol=1e-3)


def test_chips_of_a_scene_have_square_pixels_of_its_shorter_side(tmp_path, caplog):
    caplog.set_level("INFO")
    scene, labels = make_inputs(tmp_path, squares())
    tile_scene(scene, labels, tmp_path / "out", CHIPS, DataConfig())
    said = r"s.tif are 0\.285 x 0\.568 m on the ground: resampled to 0\.285 m, 200 x 319 px"
    assert re.search(said, caplog.text)
    with Scene(scene) as opened:
        shorter = min(opened.resolution)
        factors = scale_factors(opened.resolution, shorter)  # as detect, for a model of that GSD
        assert scaled_grid(opened.grid, factors) == (200, 319)
    images = read_tileset(tmp_path / "out", DataConfig()).images
    for image in images:
        np.testing.assert_allclose(step_lengths(image.steps), shorter, rtol=5e-3)
    sides = np.concatenate([image.boxes[:, 2:] - image.boxes[:, :2] for image in images])
    np.testing.assert_allclose(sides.max(axis=0), [9, 9 * 319 / 160])  # some are cut
    assert "not square" not in caplog.text


@pytest.mark.parametrize("side", [0.6, 0.65])
def test_pixels_that_are_nearly_square_are_copied_as_they_are(tmp_path, side):
    transform = Affine(0.6, 0, 500_000, 0, -side, 4_500_000)
    scene, labels = make_inputs(tmp_path, squares(), transform, 32610)
    (read,) = read_tile_inputs([str(scene)], labels, CHIPS, DataConfig()).scenes
    assert read.geobox == GeoBox(*SIZE, transform, CRS.from_epsg(32610))


def test_a_scene_whose_pixels_are_far_from_square_is_refused(tmp_path):
    transform = Affine(0.6, 0, 500_000, 0, -15, 4_500_000)
    scene, labels = make_inputs(tmp_path, squares(), transform, 32610)
    with pytest.raises(SceneError, match=r"0\.6 x 15 m on the ground, too far from square"):
        read_tile_inputs([str(scene)], labels, CHIPS, DataConfig())


def paint_chips(folder, transform, epsg):
    for name, column in (("a.tif", 0), ("b.tif", 5000)):
        paint_geotiff(folder / name, column=column, transform=transform, epsg=epsg)
    # Eight metres in both directions of the oblong pixels.
    rows = [f"{name},2,3,30.1,17.1,tree" for name in ("a.tif", "b.tif")]
    write(folder / "boxes.csv", "\n".join(["image,xmin,ymin,xmax,ymax,class", *rows]))


def test_chips_of_oblong_pixels_are_warned_of_once_and_described(tmp_path, caplog):
    paint_chips(tmp_path, OBLONG, 4326)
    read_tileset(tmp_path, DataConfig())
    (warning,) = [one.getMessage() for one in caplog.records if "square" in one.getMessage()]
    said = r"the pixels of 2 of 2 images are not square on the ground, such as 0\.285 x 0\.568 m"
    assert re.search(f"{said} in a.tif.*geodet tile.*gdalwarp -t_srs", warning)
    summary = summarise_tileset(tmp_path)
    np.testing.assert_allclose(summary.sides_m, 8, rtol=5e-3)
    assert [one for one in summary.warnings if re.search(said, one)]


def test_chips_of_square_pixels_are_not_warned_of(tmp_path, caplog):
    paint_chips(tmp_path, NORTH_UP, 32610)
    read_tileset(tmp_path, DataConfig())
    assert "square" not in caplog.text
