import warnings

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from geodet.scene import Scene
from geodet.sources.expanding import expanded_palette
from geodet.windows import Window

PALETTE = {n: (n, 255 - n, (7 * n) % 256, 255) for n in range(256)}


def make_palette(make_scene, palette=PALETTE, name="scene.tif", **options):
    """Paint one band and say that its values are numbers of colours."""
    if name.endswith(".tif"):
        options["photometric"] = "palette"
    path = make_scene(bands=1, name=name, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "r+") as raster:
            raster.write_colormap(1, palette)
    return path


def expected_colours(path, palette=PALETTE):
    with rasterio.open(path) as raster:
        return np.array([palette[n] for n in range(256)], np.uint8)[raster.read(1)].transpose(
            2, 0, 1
        )


def test_colours_come_out_in_place_of_numbers(make_scene):
    path = make_palette(make_scene)
    with Scene(path) as scene, rasterio.open(path) as raster:
        chip = scene.read(Window(0, 0, 96, 80))
        assert scene.band_names == ("red", "green", "blue")
        assert scene.geobox.transform == raster.transform
        assert scene.geobox.crs == raster.crs
    np.testing.assert_array_equal(chip.pixels, expected_colours(path)[:3])
    assert chip.valid.all()


def test_colours_are_averaged_not_numbers(make_scene):
    path = make_palette(make_scene)
    with Scene(path) as scene:
        scene.resample(48, 40)
        chip = scene.read(Window(0, 0, 48, 40))
    blocks = expected_colours(path)[:3].reshape(3, 40, 2, 48, 2).mean(axis=(2, 4))
    np.testing.assert_array_equal(chip.pixels, np.floor(blocks + 0.5))


@pytest.mark.parametrize("kind", [{"nodata": 0}, {"mask": True}])
def test_holes_are_not_valid(make_scene, kind):
    path = make_palette(make_scene, holes=[(10, 5, 40, 30)], **kind)
    with Scene(path) as scene:
        chip = scene.read(Window(0, 0, 96, 80))
        assert scene.bands == (1, 2, 3)
    expected = np.ones((80, 96), bool)
    expected[5:30, 10:40] = False
    np.testing.assert_array_equal(chip.valid, expected)


def test_transparent_colours_are_not_valid(make_scene):
    palette = PALETTE | dict.fromkeys(range(40, 50), (1, 2, 3, 0))
    path = make_palette(make_scene, palette, "scene.png", epsg=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        alpha = expected_colours(path, palette)[3]
    with Scene(path) as scene:
        chip = scene.read(Window(0, 0, 96, 80))
    assert 0 < (alpha == 0).mean() < 1
    np.testing.assert_array_equal(chip.valid, alpha > 0)


def test_ground_control_points_are_kept(make_scene):
    corners = [(0, 0), (96, 0), (0, 80), (96, 80)]
    points = [
        rasterio.control.GroundControlPoint(row=r, col=c, x=5e5 + 0.6 * c, y=4e6 - 0.6 * r)
        for c, r in corners
    ]
    path = make_palette(make_scene, epsg=None, gcps=points, crs="EPSG:32633")
    with Scene(path) as scene:
        assert scene.warped_by == "ground control points"
        chip = scene.read(Window(0, 0, *scene.grid))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        np.testing.assert_array_equal(chip.pixels, expected_colours(path)[:3])


def test_a_raster_without_a_palette_is_left_alone(make_scene):
    with rasterio.open(make_scene(bands=1)) as raster:
        assert expanded_palette(raster) is None
