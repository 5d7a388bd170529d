"""Fourth bands that are flagged as alpha, and hold near-infrared."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.enums import ColorInterp, Resampling

from geodet.geometry.windows import Window
from geodet.raster.scene import Scene

SIDE = 200
NORTH_UP = Affine(0.6, 0, 500_000, 0, -0.6, 4_500_000)


def imagery(dtype, seed=1):
    rng = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(SIDE), np.arange(SIDE)) / (2 * SIDE)
    return ((ramp * 0.7 + rng.random((SIDE, SIDE)) * 0.25) * np.iinfo(dtype).max).astype(dtype)


def opaque_inside(dtype, feather=0):
    """Opacity with a slanted edge, over which it falls to nothing within some pixels."""
    distance = np.add.outer(np.arange(SIDE), np.arange(SIDE)) - SIDE / 2
    share = np.clip(distance / feather, 0, 1) if feather else distance > 0
    return (share * np.iinfo(dtype).max).astype(dtype)


@pytest.fixture
def save(tmp_path):
    def write(fourth, *, description="", overviews=False, **profile):
        rgb = np.stack([imagery(fourth.dtype, seed) for seed in (2, 3, 4)])
        path = tmp_path / "scene.tif"
        size = {"width": SIDE, "height": SIDE, "count": 4, "dtype": fourth.dtype.name}
        with rasterio.open(
            path, "w", crs="EPSG:32633", transform=NORTH_UP, driver="GTiff", **size, **profile
        ) as raster:
            raster.colorinterp = [
                ColorInterp.red,
                ColorInterp.green,
                ColorInterp.blue,
                ColorInterp.alpha,
            ]
            if description:
                raster.set_band_description(4, description)
            raster.write(np.concatenate([rgb, fourth[None]]))
        if overviews:
            with rasterio.open(path, "r+") as raster:
                raster.build_overviews([2, 4], Resampling.average)
        return path

    return write


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("profile", [{}, {"tiled": True, "blockxsize": 64, "blockysize": 64}])
@pytest.mark.parametrize("overviews", [False, True])
def test_a_band_that_varies_is_no_mask_and_looks_like_near_infrared(
    dtype, profile, overviews, save
):
    fourth = imagery(dtype)
    fourth[:20, :30] = 0  # water is black in near-infrared
    with Scene(save(fourth, overviews=overviews, **profile)) as scene:
        assert scene.doubtful_alpha == 4
        assert scene.data_bands == (1, 2, 3)
        assert scene.all_meanings == ("red", "green", "blue", "nir")
        assert scene.read(Window(0, 0, SIDE, SIDE)).valid.all()
        scene.select([1, 2, 3, "nir"])
        chip = scene.read(Window(0, 0, SIDE, SIDE))
    assert chip.valid.all()
    np.testing.assert_array_equal(chip.pixels[3], fourth)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("feather", [0, 20])
@pytest.mark.parametrize("overviews", [False, True])
def test_opacity_stays_a_mask(dtype, feather, overviews, save):
    fourth = opaque_inside(dtype, feather)
    with Scene(save(fourth, overviews=overviews)) as scene:
        assert scene.doubtful_alpha is None
        np.testing.assert_array_equal(scene.read(Window(0, 0, SIDE, SIDE)).valid, fourth > 0)


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_a_constant_alpha_is_not_doubted(value, save):
    with Scene(save(np.full((SIDE, SIDE), value, np.uint8))) as scene:
        assert scene.doubtful_alpha is None


def test_a_band_that_is_named_alpha_is_not_doubted(save):
    with Scene(save(imagery("uint8"), description="alpha")) as scene:
        assert scene.doubtful_alpha is None


def test_the_fourth_band_of_a_png_is_looked_at_as_well(tmp_path):
    pixels = np.stack([imagery("uint8", seed) for seed in range(4)], axis=-1)
    Image.fromarray(pixels).save(tmp_path / "scene.png")
    with Scene(tmp_path / "scene.png") as scene:
        assert scene.doubtful_alpha == 4
