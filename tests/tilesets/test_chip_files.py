import numpy as np
import pytest
import rasterio
from affine import Affine
from factories_rasters import HOLES, make_palette, with_points
from factories_tilesets import NORTH_UP
from rasterio.enums import ColorInterp

from geodet.geometry.windows import Window
from geodet.raster.scene import Scene
from geodet.tilesets.chip_files import ChipCopier

WINDOW = Window(25, 13, 20, 16)
TURNED = NORTH_UP @ Affine.rotation(20)


def paint_scene(path, *, dtype="uint8", bands=3, nodata=None, transform=NORTH_UP, **options):
    """Write a scene of noise whose top left quarter has no data, if it can be marked."""
    pixels = np.random.default_rng(0).integers(1, 200, (bands, 40, 60)).astype(dtype)
    if nodata is not None:
        pixels[:, :20, :30] = nodata
    profile = {"width": 60, "height": 40, "count": bands, "dtype": dtype, "nodata": nodata}
    place = {"crs": "EPSG:32610", "transform": transform}
    with rasterio.open(path, "w", driver="GTiff", **profile, **place, **options) as raster:
        raster.write(pixels)
        raster.descriptions = [f"b{band}" for band in range(bands)]
    return path


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize("nodata", [None, 0])
@pytest.mark.parametrize("transform", [NORTH_UP, TURNED])
def test_a_chip_has_the_pixels_that_rasterio_reads_from_the_scene(
    tmp_path, dtype, nodata, transform
):
    scene = paint_scene(tmp_path / "s.tif", dtype=dtype, nodata=nodata, transform=transform)
    with ChipCopier(scene) as copier:
        assert copier.copy(WINDOW, tmp_path / "c.tif")
    window = rasterio.windows.Window(25, 13, 20, 16)
    with rasterio.open(scene) as whole, rasterio.open(tmp_path / "c.tif") as chip:
        np.testing.assert_array_equal(chip.read(), whole.read(window=window))
        np.testing.assert_array_equal(chip.dataset_mask(), whole.dataset_mask(window=window))
        assert chip.transform.almost_equals(transform @ Affine.translation(25, 13))
        assert chip.compression.name == "deflate"
        for what in ("crs", "dtypes", "nodata", "descriptions", "colorinterp"):
            assert getattr(chip, what) == getattr(whole, what), what


def test_a_fourth_band_does_not_become_alpha(tmp_path):
    scene = paint_scene(tmp_path / "s.tif", bands=4, photometric="RGB", alpha="unspecified")
    with ChipCopier(scene) as copier:
        copier.copy(WINDOW, tmp_path / "c.tif")
    with rasterio.open(scene) as whole, rasterio.open(tmp_path / "c.tif") as chip:
        assert chip.colorinterp == whole.colorinterp
        assert chip.colorinterp[0] == ColorInterp.red
        assert chip.colorinterp[3] != ColorInterp.alpha


def test_an_alpha_band_stays_a_band(tmp_path):
    scene = paint_scene(tmp_path / "s.tif", bands=4, photometric="RGB")
    with rasterio.open(scene, "r+") as raster:
        raster.descriptions = [None] * 4
        raster.colorinterp = [*raster.colorinterp[:3], ColorInterp.alpha]
        alpha = np.full((40, 60), 255, np.uint8)
        alpha[:20, :30] = 0
        raster.write(alpha, 4)
    with ChipCopier(scene) as copier:
        assert copier.copy(Window(20, 10, 20, 20), tmp_path / "c.tif")
        assert not copier.copy(Window(0, 0, 20, 20), tmp_path / "none.tif")
    with rasterio.open(tmp_path / "c.tif") as chip:
        assert chip.colorinterp[3] == ColorInterp.alpha
        np.testing.assert_array_equal(chip.read(4), alpha[10:30, 20:40])


def test_a_mask_stays_a_mask(tmp_path):
    scene = paint_scene(tmp_path / "s.tif")
    valid = np.ones((40, 60), bool)
    valid[:20, :30] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(scene, "r+") as raster:
        raster.write_mask(valid)
    with ChipCopier(scene) as copier:
        assert copier.copy(Window(20, 10, 20, 20), tmp_path / "c.tif")
    with rasterio.open(tmp_path / "c.tif") as chip:
        np.testing.assert_array_equal(chip.dataset_mask() > 0, valid[10:30, 20:40])
    assert [path.name for path in tmp_path.glob("c*")] == ["c.tif"]


def one_bit(make_scene):
    return make_scene(bands=1, nbits=1)


def with_alpha(make_scene):
    return make_scene(alpha=True, holes=HOLES)


def with_alpha_and_nodata(make_scene):
    return make_scene(alpha=True, holes=HOLES, nodata=0)


def with_alpha_and_a_mask(make_scene):
    path = make_scene(alpha=True, mask=True, holes=HOLES)
    with rasterio.open(path, "r+") as raster:
        raster.write(np.full((80, 96), 255, np.uint8), 4)
        raster.write(np.zeros((9, 9), np.uint8), 4, window=rasterio.windows.Window(15, 8, 9, 9))
    return path


def with_a_mask_and_near_infrared_that_is_flagged_as_alpha(make_scene):
    path = make_scene(alpha=True, mask=True, holes=HOLES)
    with rasterio.open(path, "r+") as raster:
        raster.write(np.random.default_rng(1).integers(1, 250, (80, 96), np.uint8), 4)
    return path


def with_colours(make_scene):
    return make_palette(make_scene)


def with_a_transparent_colour(make_scene):
    return make_palette(make_scene, nodata=0, holes=HOLES)


def with_turned_points(make_scene):
    return with_points(make_scene, TURNED)


def with_points_and_one_band(make_scene):
    return with_points(make_scene, TURNED, bands=1, dtype="float32")


def with_points_and_nodata(make_scene):
    return with_points(make_scene, NORTH_UP, nodata=0, holes=HOLES)


def with_points_and_alpha(make_scene):
    return with_points(make_scene, NORTH_UP, alpha=True, holes=HOLES)


@pytest.mark.parametrize(
    "make",
    [
        one_bit,
        with_alpha,
        with_alpha_and_nodata,
        with_alpha_and_a_mask,
        with_a_mask_and_near_infrared_that_is_flagged_as_alpha,
        with_colours,
        with_a_transparent_colour,
        with_turned_points,
        with_points_and_one_band,
        with_points_and_nodata,
        with_points_and_alpha,
    ],
)
@pytest.mark.parametrize("gsd", [None, 1.2])
def test_a_chip_has_what_is_read_of_the_scene_with_alpha_a_palette_or_points(
    make_scene, tmp_path, make, gsd
):
    path = make(make_scene)
    with Scene(path) as scene, ChipCopier(path, gsd=gsd) as copier:
        scene.resample(copier.geobox.width, copier.geobox.height)
        window = Window(8, 5, 40, 30)
        expected, geobox = scene.read(window), copier.geobox.crop(window)
        assert copier.copy(window, tmp_path / "c.tif")
        names = scene.band_names
    with Scene(tmp_path / "c.tif") as chip:
        found = chip.read(Window(0, 0, 40, 30))
        assert chip.geobox == geobox
        assert (chip.band_names, chip.warped_by) == (names, "")
    np.testing.assert_array_equal(found.valid, expected.valid)
    np.testing.assert_array_equal(found.pixels[:, found.valid], expected.pixels[:, found.valid])


def test_windows_without_data_are_not_written(tmp_path):
    with ChipCopier(paint_scene(tmp_path / "s.tif", nodata=0)) as copier:
        assert not copier.copy(Window(0, 0, 20, 20), tmp_path / "c.tif")
    assert not (tmp_path / "c.tif").exists()


def test_a_chip_that_cannot_be_written_is_named(tmp_path):
    with (
        ChipCopier(paint_scene(tmp_path / "s.tif")) as copier,
        pytest.raises(FileNotFoundError, match=r"No such file .*gone.+c\.tif"),
    ):
        copier.copy(WINDOW, tmp_path / "gone" / "c.tif")
