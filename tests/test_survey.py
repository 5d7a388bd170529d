import math

import numpy as np
import pytest
import rasterio

from geodet.scene import Scene
from geodet.survey import survey


def test_a_small_scene_is_looked_at_as_a_whole(make_scene):
    path = make_scene(dtype="uint16", nodata=0, holes=[(0, 0, 48, 80)])
    with Scene(path) as scene:
        seen = survey(scene)
    assert seen.empty_share == pytest.approx(0.5)
    assert (seen.low, seen.high) == pytest.approx((21 * 257, 88 * 257), abs=2 * 257)


def test_a_large_scene_is_looked_at_in_places(make_scene):
    path = make_scene(width=2000, height=1500, bands=1, nodata=0, holes=[(0, 0, 2000, 1000)])
    with Scene(path) as scene:
        seen = survey(scene)
    assert seen.empty_share == pytest.approx(2 / 3, abs=0.1)
    assert (seen.low, seen.high) == pytest.approx((21, 88), abs=2)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_the_smallest_scenes_can_be_looked_at(make_scene, size):
    with Scene(make_scene(width=size[0], height=size[1])) as scene:
        assert survey(scene).empty_share == 0


def test_pixels_that_are_black_in_all_bands_are_counted(make_scene):
    path = make_scene(nodata=None)
    with rasterio.open(path, "r+") as raster:
        pixels = raster.read()
        pixels[:, :, :24] = 0  # a quarter
        pixels[0, :, 24:48] = 0
        raster.write(pixels)
    with Scene(path) as scene:
        seen = survey(scene)
    assert (seen.empty_share, seen.black_share) == (0, 0.25)


def test_nothing_has_no_percentiles(make_scene):
    path = make_scene(nodata=np.nan, dtype="float32", holes=[(0, 0, 96, 80)])
    with Scene(path) as scene:
        seen = survey(scene)
    assert (seen.empty_share, seen.black_share) == (1, 0)
    assert math.isnan(seen.low)
    assert math.isnan(seen.high)
