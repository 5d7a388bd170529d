"""Every kind of raster, window by window: rasterio's pixels, the painted holes, its own place."""

import warnings

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from factories_rasters import HOLES, MADE, PAINTED, mosaic, read_whole, real_file, valid_of
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning

from geodet.geometry.windows import WindowGrid
from geodet.raster.scene import Scene


def check(path, holes):
    """Compare a scene's windows with rasterio's pixels and the painted holes."""
    with Scene(path) as scene:
        pixels, valid = mosaic(scene, WindowGrid(*scene.grid, 37, 11))
        expected = read_whole(path, scene.bands)
        assert scene.dtype == expected.dtype == pixels.dtype
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as raster:
                assert scene.geobox.crs == (CRS.from_user_input(raster.crs) if raster.crs else None)
                if raster.transform != Affine.identity():
                    assert scene.geobox.transform == raster.transform
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(valid, valid_of(holes))


@pytest.mark.parametrize("kind", PAINTED)
def test_painted_rasters_are_read_with_rasterios_pixels_and_the_painted_holes(make_scene, kind):
    options = PAINTED[kind]
    check(make_scene(**options), options.get("holes", ()))


@pytest.mark.parametrize("kind", MADE)
def test_other_formats_and_mosaics_are_read_with_rasterios_pixels(make_scene, kind):
    make, is_holed = MADE[kind]
    holes = HOLES if is_holed else ()
    if is_holed is None:  # what no file of the mosaic covers
        holes = [(10, 5, 40, 30), (40, 70, 96, 80), (10, 70, 40, 80)]
    check(make(make_scene), holes)


def test_a_geographic_scene_has_its_size_on_the_ground(make_scene):
    with Scene(make_scene(**PAINTED["geographic"])) as scene:
        assert scene.resolution == pytest.approx((5e-6 * 111_318, 5e-6 * 110_574), rel=1e-3)


# Real files


@pytest.mark.parametrize(
    ("folder", "pattern", "epsg", "count"),
    [
        ("scenes", "kampala_7cm.tif", 3857, 3),
        ("urban-trees", "*.tif", None, 4),
        ("thermal", "*.jpg", 0, None),
    ],
)
def test_real_rasters_are_read_with_rasterios_pixels_and_crs(folder, pattern, epsg, count):
    path = real_file(folder, pattern)
    with Scene(path) as scene:
        grid = WindowGrid(min(scene.grid[0], 700), min(scene.grid[1], 700), 300, 40)
        pixels, valid = mosaic(scene, grid)
        window = rasterio.windows.Window(0, 0, grid.width, grid.height)
        np.testing.assert_array_equal(pixels, read_whole(path, scene.bands, window=window))
        assert valid.mean() > 0.5
        assert count is None or len(scene.bands) == count
        assert (scene.geobox.crs is None) == (epsg == 0)
        assert not epsg or scene.geobox.crs == CRS.from_epsg(epsg)
