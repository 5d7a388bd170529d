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
GAP = np.zeros((SIDE, SIDE), bool)
GAP[:, :120] = True  # more than half
NODATA = 7


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
    def write(fourth, *, description="", overviews=False, gap_by="", **profile):
        rgb = np.stack([imagery(fourth.dtype, seed) for seed in (2, 3, 4)])
        if gap_by == "nodata":
            profile["nodata"], rgb[rgb == NODATA], rgb[:, GAP] = NODATA, NODATA + 1, NODATA
        path = tmp_path / "scene.tif"
        size = {"width": SIDE, "height": SIDE, "count": 4, "dtype": fourth.dtype.name}
        place = {"crs": "EPSG:32633", "transform": NORTH_UP, "driver": "GTiff"}
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(path, "w", **place, **size, **profile) as raster,
        ):
            raster.colorinterp = [
                ColorInterp.red,
                ColorInterp.green,
                ColorInterp.blue,
                ColorInterp.alpha,
            ]
            if description:
                raster.set_band_description(4, description)
            raster.write(np.concatenate([rgb, fourth[None]]))
            if gap_by == "mask":
                raster.write_mask(~GAP)
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


@pytest.mark.parametrize("gap_by", ["nodata", "mask"])
@pytest.mark.parametrize("profile", [{}, {"tiled": True, "blockxsize": 64, "blockysize": 64}])
@pytest.mark.parametrize("side", [SIDE, SIDE // 2])
def test_a_nodata_value_or_a_mask_counts_beside_a_band_that_is_no_alpha(
    gap_by, profile, side, save
):
    fourth = imagery("uint8")
    fourth[150:, 150:] = 0  # water
    if gap_by == "nodata":
        fourth[GAP] = NODATA
    with Scene(save(fourth, gap_by=gap_by, **profile)) as scene:
        assert scene.doubtful_alpha == 4
        scene.resample(side, side)
        valid = scene.read(Window(0, 0, side, side)).valid
    np.testing.assert_array_equal(valid, ~GAP[:: SIDE // side, :: SIDE // side])


@pytest.mark.parametrize("gap_by", ["nodata", "mask"])
@pytest.mark.parametrize("profile", [{}, {"tiled": True, "blockxsize": 64, "blockysize": 64}])
@pytest.mark.parametrize("side", [SIDE, SIDE // 2])
def test_a_nodata_value_or_a_mask_counts_beside_an_alpha_band(gap_by, profile, side, save):
    opacity = np.full((SIDE, SIDE), 255, np.uint8)
    opacity[:40, 100:] = 0
    with Scene(save(opacity, gap_by=gap_by, **profile)) as scene:
        assert scene.doubtful_alpha is None
        scene.resample(side, side)
        valid = scene.read(Window(0, 0, side, side)).valid
        overview = scene.read_overview(side).valid
    expected = (~GAP & (opacity > 0))[:: SIDE // side, :: SIDE // side]
    np.testing.assert_array_equal(valid, expected)
    np.testing.assert_array_equal(overview, expected)


class Listing:
    """A dataset that lists what is read of it."""

    def __init__(self, dataset):
        self.dataset, self.calls = dataset, []

    def __getattr__(self, name):
        if name.startswith("read"):
            self.calls.append(name)
        return getattr(self.dataset, name)


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        ({}, ["read"]),
        ({"alpha": True}, ["read", "read"]),
        ({"mask": True}, ["read", "read_masks"]),
        ({"alpha": True, "nodata": 0}, ["read", "read_masks", "read"]),
    ],
)
def test_only_masks_that_a_raster_has_are_read_and_each_once(make_scene, monkeypatch, kind, calls):
    with Scene(make_scene(**kind)) as scene, scene._sources.lend() as source:
        dataset = Listing(source.dataset)
        monkeypatch.setattr(source, "dataset", dataset)
        source.read(scene.bands, scene.masks, Window(0, 0, 96, 80), (80, 96))
    assert dataset.calls == calls
