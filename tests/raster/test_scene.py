import logging
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from affine import Affine
from factories_rasters import HOLES, mosaic, read_mask, read_whole, side_by_side
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.windows import Window as RasterioWindow

import geodet.raster.block_layout
from geodet.errors import SceneError
from geodet.geometry.windows import Window, WindowGrid
from geodet.raster.scene import Scene
from geodet.raster.source import Source


@settings(max_examples=25)
@given(data=st.data(), dtype=st.sampled_from(["uint8", "uint16", "int16", "float32"]))
def test_a_window_has_the_pixels_that_rasterio_reads(make_scene, data, dtype):
    path = make_scene(dtype=dtype, tiled=True)
    column, row = data.draw(st.integers(0, 95)), data.draw(st.integers(0, 79))
    width, height = data.draw(st.integers(1, 96 - column)), data.draw(st.integers(1, 80 - row))
    with Scene(path) as scene, rasterio.open(path) as raster:
        chip = scene.read(Window(column, row, width, height))
        expected = raster.read(window=RasterioWindow(column, row, width, height))
        assert scene.dtype == chip.pixels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(chip.pixels, expected)
    assert chip.valid.all()


@pytest.mark.parametrize("kind", [{}, {"nodata": 0}, {"alpha": True}, {"mask": True}])
@pytest.mark.parametrize(("size", "overlap"), [(32, 0), (37, 11), (200, 20)])
def test_the_cores_of_all_windows_make_the_whole_raster(make_scene, kind, size, overlap):
    path = make_scene(holes=HOLES, **kind)
    with Scene(path) as scene:
        pixels, valid = mosaic(scene, WindowGrid(*scene.grid, size, overlap))
    np.testing.assert_array_equal(pixels, read_whole(path, [1, 2, 3]))
    np.testing.assert_array_equal(valid, read_mask(path))


@pytest.mark.parametrize(
    "kind",
    [
        {"nodata": 0},
        {"nodata": 255},
        {"alpha": True},
        {"alpha": True, "dtype": "uint16"},
        {"mask": True},
        {"mask": True, "tiled": True, "compress": "deflate"},
        {"nodata": -9999, "dtype": "float32"},
        {"nodata": np.nan, "dtype": "float32"},
    ],
)
def test_holes_are_not_valid(make_scene, kind):
    expected = np.ones((80, 96), bool)
    for x1, y1, x2, y2 in HOLES:
        expected[y1:y2, x1:x2] = False
    with Scene(make_scene(holes=HOLES, **kind)) as scene:
        assert scene.bands == (1, 2, 3)
        chip = scene.read(Window(0, 0, 96, 80))
    assert len(chip.pixels) == 3
    np.testing.assert_array_equal(chip.valid, expected)


def test_nan_and_infinity_are_not_valid(make_scene):
    path = make_scene(dtype="float32")
    with rasterio.open(path, "r+") as raster:
        pixels = raster.read()
        pixels[1, 3, 4], pixels[2, 5, 6] = np.nan, np.inf
        raster.write(pixels)
    with Scene(path) as scene:
        chip = scene.read(Window(0, 0, 96, 80))
    assert np.argwhere(~chip.valid).tolist() == [[3, 4], [5, 6]]
    with Scene(path, bands=[1, 3]) as scene:
        assert np.argwhere(~scene.read(Window(0, 0, 96, 80)).valid).tolist() == [[5, 6]]


def test_a_pixel_with_data_in_any_band_is_valid(make_scene):
    path = make_scene(nodata=0)
    with rasterio.open(path, "r+") as raster:
        pixels = raster.read()
        pixels[0, 3, 4] = 0
        pixels[:, 5, 6] = 0
        raster.write(pixels)
    with Scene(path) as scene:
        assert np.argwhere(~scene.read(Window(0, 0, 96, 80)).valid).tolist() == [[5, 6]]


def test_an_alpha_band_that_is_named_is_read_as_a_band(make_scene):
    path = make_scene(alpha=True, holes=HOLES)
    with Scene(path, bands=[4, 1]) as scene:
        chip = scene.read(Window(0, 0, 96, 80))
    np.testing.assert_array_equal(chip.pixels, read_whole(path, [4, 1]))
    assert chip.valid.all()


@pytest.mark.parametrize("name", ["nir", "NIR1"])
def test_near_infrared_that_is_flagged_as_alpha_is_data(make_scene, name):
    path = make_scene(alpha=True, holes=HOLES, descriptions=["red", "green", "blue", name])
    with rasterio.open(path) as raster:
        assert raster.colorinterp[3] == ColorInterp.alpha
    with Scene(path) as scene:
        chip = scene.read(Window(0, 0, 96, 80))
        assert scene.bands == (1, 2, 3, 4)
        assert scene.band_names == ("red", "green", "blue", name)
    np.testing.assert_array_equal(chip.pixels, read_whole(path))
    assert chip.valid.all()


def test_bands_are_read_in_the_order_that_they_are_named_in(make_scene):
    path = make_scene(bands=5)
    with Scene(path, bands=[4, 1, 1]) as scene:
        chip = scene.read(Window(7, 9, 30, 20))
        assert scene.count == 5
    np.testing.assert_array_equal(chip.pixels, read_whole(path, [4, 1, 1])[:, 9:29, 7:37])


def test_bands_have_names(make_scene):
    with Scene(make_scene()) as scene:
        assert scene.band_names == ("red", "green", "blue")
    with Scene(make_scene(bands=2, descriptions=["coast"]), bands=[2, 1]) as scene:
        assert scene.band_names == ("band 2", "coast")


@pytest.mark.parametrize("band", [0, 4, -1])
def test_a_band_that_does_not_exist_is_an_error(make_scene, band):
    with pytest.raises(SceneError, match=rf"no band {band} in .*scene\.tif, which has 3") as caught:
        Scene(make_scene(), bands=[1, band])
    assert "counted from 1" in caught.value.hint


# The grid of another resolution


@pytest.mark.parametrize("factor", [2, 4])
def test_a_coarser_grid_averages_blocks(make_scene, factor):
    path = make_scene(dtype="float32", tiled=True)
    blocks = read_whole(path).reshape(3, 80 // factor, factor, 96 // factor, factor)
    with Scene(path) as scene:
        scene.resample(96 // factor, 80 // factor)
        assert scene.scale == (factor, factor)
        pixels, valid = mosaic(scene, WindowGrid(*scene.grid, 13, 5))
    np.testing.assert_allclose(pixels, blocks.mean(axis=(2, 4)), rtol=1e-6)
    assert valid.all()


@pytest.mark.parametrize("grid", [(33, 29), (70, 61), (90, 77), (50, 11)])
@pytest.mark.parametrize("holes", [[], [(11, 11, 51, 43)]])
def test_averages_are_those_of_rasterio(make_scene, grid, holes):
    """Parts of pixels count by their share, also of factors that are no whole numbers."""
    path = make_scene(dtype="float32", nodata=-9999, holes=holes)
    shape = (3, grid[1], grid[0])
    expected = read_whole(path, out_shape=shape, resampling=Resampling.average)
    with Scene(path) as scene:
        scene.resample(*grid)
        pixels, valid = mosaic(scene, WindowGrid(*grid, 25, 7))
    assert (expected[0][valid] != -9999).all()
    np.testing.assert_allclose(pixels[:, valid], expected[:, valid], rtol=2e-3)
    assert valid.sum() >= (1 - 0.25 * bool(holes)) * valid.size


def test_overviews_are_read_where_there_are_any(make_scene):
    """They are a fraction of the bytes: the file's full size is not touched."""
    path = make_scene(width=512, height=512, tiled=True, nodata=0, holes=[(0, 0, 64, 64)])
    with rasterio.open(path, "r+") as raster:
        raster.build_overviews([2, 4], Resampling.average)
        full = raster.read()
        raster.write(np.zeros_like(full))
    with Scene(path) as scene:
        scene.resample(128, 128)
        pixels, valid = mosaic(scene, WindowGrid(128, 128, 50, 10))
        assert not valid[:15, :15].any()
        assert (pixels[:, 17:, 17:] > 0).all()


def test_a_row_of_windows_that_is_too_large_is_warned_of_once(make_scene, monkeypatch, caplog):
    path = make_scene(width=500, height=600, blockysize=2)
    monkeypatch.setattr(geodet.raster.block_layout, "_KEPT_BYTES", (100_000, 800_000))
    caplog.set_level(logging.WARNING, "geodet")
    with Scene(path) as scene:
        pixels, valid = mosaic(scene, WindowGrid(500, 600, 400, 10))
    np.testing.assert_array_equal(pixels, read_whole(path))
    assert valid.all()
    (record,) = caplog.records
    assert record.getMessage().startswith("scene.tif is too wide to keep a row of windows")


@pytest.mark.parametrize("kind", [{}, {"nodata": 0}, {"alpha": True}, {"mask": True}])
@pytest.mark.parametrize("grid", [(500, 600), (250, 300), (333, 400), (750, 900)])
def test_windows_no_taller_than_the_limit_decode_nothing_twice(
    make_scene, monkeypatch, caplog, decoded, kind, grid
):
    path = make_scene(width=500, height=600, blockysize=2, holes=HOLES, **kind)
    monkeypatch.setattr(geodet.raster.block_layout, "_KEPT_BYTES", (100_000, 1_000_000))
    with Scene(path) as scene:
        scene.resample(*grid)
        size = scene.window_limits.rows
        assert 32 <= size < grid[1] / 1.5
        mosaic(scene, WindowGrid(*grid, size, size // 4))
    assert (sum(decoded), caplog.records) == (500 * 600, [])


@pytest.mark.parametrize(("usual", "is_kept"), [(300_000, True), (299_999, False)])
def test_a_small_raster_is_decoded_once_however_often_it_is_read(
    make_scene, monkeypatch, decoded, usual, is_kept
):
    """Of four times the usual bytes, three bands and a mask, all is kept."""
    path = make_scene(width=500, height=600, blockysize=100)
    monkeypatch.setattr(geodet.raster.block_layout, "_KEPT_BYTES", (usual, 10_000_000))
    with Scene(path) as scene:
        for _ in range(2):
            mosaic(scene, WindowGrid(500, 600, 100, 10))
    assert (sum(decoded) == 500 * 600) is is_kept


def test_any_row_is_allowed_for_tiles_and_for_rasters_without_blocks(make_scene, monkeypatch):
    monkeypatch.setattr(geodet.raster.block_layout, "_KEPT_BYTES", (100_000, 1_000_000))
    for kind in ({"tiled": True, "height": 200}, {"blockysize": 900, "height": 900}):
        with Scene(make_scene(width=900, **kind)) as scene:
            scene.resample(450, kind["height"] // 2)
            assert scene.window_limits.rows == math.inf


@pytest.fixture
def decoded(monkeypatch):
    """List how many pixels are decoded at a time."""
    pixels = []
    read = Source.read

    def counted(self, bands, masks, window, shape):
        pixels.append(window.width * window.height)
        return read(self, bands, masks, window, shape)

    monkeypatch.setattr(Source, "read", counted)
    return pixels


def test_blocks_that_are_too_large_are_read_by_gdal_directly(make_scene, monkeypatch):
    path = make_scene(blockysize=80)
    monkeypatch.setattr(geodet.raster.block_layout, "_KEPT_BYTES", (1000, 2000))
    with Scene(path) as scene:
        scene.resample(48, 40)
        coarse, _ = mosaic(scene, WindowGrid(48, 40, 16, 4))
    with Scene(path) as scene:
        monkeypatch.undo()
        scene.resample(48, 40)
        whole = scene.read(Window(0, 0, 48, 40)).pixels
    assert np.abs(coarse.astype(int) - whole).max() <= 1


def test_averages_of_bytes_are_rounded(make_scene):
    path = make_scene()
    blocks = read_whole(path).reshape(3, 40, 2, 48, 2)
    with Scene(path) as scene:
        scene.resample(48, 40)
        chip = scene.read(Window(0, 0, 48, 40))
    np.testing.assert_array_equal(chip.pixels, np.floor(blocks.mean(axis=(2, 4)) + 0.5))
    assert chip.pixels.dtype == np.uint8


@pytest.mark.parametrize("grid", [(48, 40), (33, 29), (70, 61), (90, 77), (150, 130), (192, 160)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_windows_of_another_grid_tile_without_seams(make_scene, grid, dtype):
    with Scene(make_scene(dtype=dtype, nodata=0, holes=HOLES)) as scene:
        scene.resample(*grid)
        whole = scene.read(Window(0, 0, *grid))
        for size, overlap in [(16, 0), (25, 7)]:
            pixels, valid = mosaic(scene, WindowGrid(*grid, size, overlap))
            np.testing.assert_array_equal(valid, whole.valid)
            inside = np.broadcast_to(valid, pixels.shape)
            tie = 1 if dtype == "uint8" else 0  # half a unit may be rounded either way
            np.testing.assert_allclose(
                pixels[inside].astype(float), whole.pixels[inside], rtol=1e-5, atol=tie
            )


def test_holes_do_not_darken_averages(make_scene):
    path = make_scene(dtype="float32", nodata=-9999, holes=[(11, 11, 31, 31)])
    with Scene(path) as scene:
        scene.resample(48, 40)
        chip = scene.read(Window(0, 0, 48, 40))
    assert not chip.valid[6:15, 6:15].any()
    assert chip.valid.sum() > 48 * 40 - 11 * 11
    assert chip.pixels[:, chip.valid].min() > 20 / 255 - 1e-6


def test_a_finer_grid_interpolates(make_scene):
    path = make_scene(dtype="float32", bands=1)
    ramp = np.add.outer(np.arange(80), 10 * np.arange(96)).astype(np.float32)
    with rasterio.open(path, "r+") as raster:
        raster.write(ramp, 1)
    with Scene(path) as scene:
        scene.resample(192, 160)
        chip = scene.read(Window(60, 40, 50, 40))
    rows, columns = (np.arange(n) / 2 - 0.25 for n in (160, 192))  # centres in source centres
    expected = np.add.outer(rows, 10 * columns)[40:80, 60:110]
    np.testing.assert_allclose(chip.pixels[0], expected, rtol=1e-5)


def test_a_grid_has_one_pixel_at_least(make_scene):
    with Scene(make_scene()) as scene:
        scene.resample(0, 0)
        assert scene.grid == (1, 1)
        assert scene.read(Window(0, 0, 1, 1)).pixels.shape == (3, 1, 1)


def test_an_overview_shows_the_whole_and_leaves_the_grid_alone(make_scene):
    path = make_scene(holes=HOLES, mask=True)
    with Scene(path) as scene:
        scene.resample(50, 50)
        chip = scene.read_overview(48)
        assert chip.pixels.shape == (3, 40, 48)
        assert chip.window == Window(0, 0, 48, 40)
        assert scene.grid == (50, 50)
        assert not chip.valid[3:14, 6:19].any()
        large = scene.read_overview(5000)
        np.testing.assert_array_equal(large.pixels, read_whole(path))


# Where it lies


@pytest.mark.parametrize("rotation", [0, 30])
def test_the_geobox_is_the_rasters(make_scene, rotation):
    path = make_scene(rotation=rotation)
    with Scene(path) as scene, rasterio.open(path) as raster:
        assert scene.geobox.transform == raster.transform
        assert scene.geobox.crs == CRS.from_epsg(32633)
        assert (scene.geobox.width, scene.geobox.height) == scene.grid == (96, 80)
        assert scene.gsd == pytest.approx(0.6, rel=1e-3)
        assert scene.name == "scene.tif"


def test_a_raster_without_a_georeference_has_y_of_minus_the_row(make_scene):
    with Scene(make_scene(epsg=None)) as scene:
        assert scene.geobox.crs is None
        assert scene.geobox.transform == Affine(1, 0, 0, 0, -1, 0)
        assert scene.geobox.to_world(np.array([3.0, 5.0])).tolist() == [3, -5]
        assert scene.gsd is None
        assert scene.resolution is None


def test_a_transform_without_a_crs_is_kept(make_scene):
    transform = Affine(0.5, 0, 100, 0, -0.5, 200)
    with Scene(make_scene(epsg=None, transform=transform)) as scene:
        assert scene.geobox.transform == transform
        assert scene.gsd is None


def test_a_given_gsd_replaces_that_of_the_georeference(make_scene):
    with Scene(make_scene(epsg=None), gsd=0.25) as scene:
        assert scene.gsd == 0.25
    with Scene(make_scene(), gsd=0.25) as scene:
        assert scene.resolution == (0.25, 0.25)


# Files


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_plain_images_are_scenes(make_scene, suffix):
    path = make_scene(f"scene.{suffix}", epsg=None)
    with Scene(path) as scene:
        chip = scene.read(Window(5, 6, 40, 30))
        assert scene.geobox.crs is None
    np.testing.assert_array_equal(chip.pixels, read_whole(path)[:, 6:36, 5:45])


def test_threads_read_the_same(make_scene):
    path = make_scene(tiled=True, compress="deflate", nodata=0, holes=HOLES)
    windows = list(WindowGrid(96, 80, 16, 9)) * 3
    with Scene(path) as scene:
        alone = [scene.read(window) for window in windows]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(scene.read, windows))
    for one, other in zip(alone, together, strict=True):
        assert one.window == other.window
        np.testing.assert_array_equal(one.pixels, other.pixels)
        np.testing.assert_array_equal(one.valid, other.valid)


def test_a_failed_opening_leaves_no_handle(make_scene):
    path = make_scene()
    with pytest.raises(SceneError, match="no band 9"):
        Scene(path, bands=[9])
    path.unlink()


def test_bands_may_be_named(make_scene):
    path = make_scene(bands=4, descriptions=["Blue", "Green", "Red", "B8"])
    with Scene(path, bands=["red", 2, "blue"]) as scene:
        assert scene.bands == (3, 2, 1)
        assert scene.band_names == ("Red", "Green", "Blue")
        assert scene.band_meanings == ("red", "green", "blue")
    with pytest.raises(
        SceneError, match=r"no band purple in .*, which has 4: Blue, Green, Red, B8"
    ):
        Scene(path, bands=["purple"])


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(SceneError, match=r"no such file: .*away\.tif") as caught:
        Scene(tmp_path / "away.tif")
    assert caught.value.hint == "check the path of the scene"


@pytest.mark.parametrize("content", ["", "not a raster, but long enough to look at" * 9])
def test_a_file_that_is_no_raster_is_an_error(tmp_path, content):
    path = tmp_path / "text.tif"
    path.write_text(content)
    with pytest.raises(SceneError, match=r"cannot open .*text\.tif as a raster") as caught:
        Scene(path)
    assert "GeoTIFF" in caught.value.hint


def test_a_folder_is_an_error(tmp_path):
    with pytest.raises(SceneError, match=r"cannot open .* as a raster") as caught:
        Scene(tmp_path)
    assert caught.value.hint == "it is a folder, but one scene is needed: give a file in it"


def test_a_truncated_file_is_an_error_that_names_the_window(make_scene):
    path = make_scene(tiled=True)
    path.write_bytes(path.read_bytes()[:-9000])
    last = Window(64, 64, 32, 16)
    with Scene(path) as scene:
        assert scene.read(Window(0, 0, 32, 32)).valid.all()
        with pytest.raises(SceneError, match=r"cannot read window 64,.* of .*scene") as error:
            scene.read(last)
    assert "truncated" in error.value.hint
    assert str(last) in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("names", [("a.tif", "gone.tif"), ("gone.tif", "a.tif")])
@pytest.mark.parametrize("size", [20, 96])
def test_a_mosaic_never_has_a_hole_where_a_file_is_missing(make_scene, tmp_path, names, size):
    """GDAL fails once for a file that it cannot open, and gives zeros from then on."""
    make_scene("a.tif", width=48)
    with Scene(side_by_side(tmp_path / "mosaic.vrt", names)) as scene:
        for window in [*WindowGrid(96, 80, size, 4)] * 2:
            whole = names.index("a.tif") * 48 <= window.col_off
            whole &= window.col_end <= names.index("a.tif") * 48 + 48
            if whole:
                assert scene.read(window).valid.all()
                continue
            with pytest.raises(SceneError, match=r"cannot read window.*gone\.tif: No such file"):
                scene.read(window)


def test_an_undescribed_fourth_band_may_hold_near_infrared(make_scene):
    """GDAL calls it alpha, and its values are no shares of opacity."""
    path = make_scene(bands=4, width=64, height=64)
    with rasterio.open(path, "r+") as raster:
        raster.colorinterp = [*raster.colorinterp[:3], ColorInterp.alpha]
        raster.write(np.full((64, 64), 40, np.uint8), 4)
    with Scene(path) as scene:
        assert scene.bands == (1, 2, 3)
        scene.resample(32, 32)
        assert scene.read(Window(0, 0, 32, 32)).valid.all()


def test_blocks_are_kept_for_the_next_window(make_scene):
    """A strip is decoded once for all windows that cross it."""
    path = make_scene(width=4096, height=64, tiled=False)
    with Scene(path) as scene:
        scene.read(Window(0, 0, 64, 64))
        path.write_bytes(b"\0" * path.stat().st_size)  # whoever reads again finds nothing
        assert scene.read(Window(64, 0, 64, 64)).pixels.any()


def test_bands_that_are_selected_later_are_those_of_a_new_opening(make_scene, handles):
    path = make_scene(bands=5, descriptions=("", "blue", "nir", "green", "red"), tiled=True)
    window = Window(3, 5, 60, 50)
    with Scene(path) as scene:
        scene.read(window)
        for bands in ((5, 4, 2), ("red", "nir"), (), (1,)):
            scene.select(bands)
            with rasterio.open(path) as raster:
                expected = raster.read(scene.bands, window=RasterioWindow(3, 5, 60, 50))
            np.testing.assert_array_equal(scene.read(window).pixels, expected)
        assert (scene.band_names, scene.band_meanings) == (("gray",), ("",))
        assert len(handles) == 1
        with pytest.raises(SceneError, match=r"no band 6 in .*scene\.tif, which has 5: gray, blue"):
            scene.select([6])


def test_selecting_bands_keeps_the_grid(make_scene):
    with Scene(make_scene(), gsd=2.0) as scene:
        scene.resample(48, 40)
        scene.select([2])
        assert (scene.grid, scene.gsd) == ((48, 40), 2.0)
        assert scene.read(Window(0, 0, 48, 40)).pixels.shape == (1, 40, 48)


def test_a_scene_without_holes_has_masks_that_take_no_memory(make_scene):
    with Scene(make_scene(width=1100, height=900, tiled=True)) as scene:
        whole = scene.read(Window(0, 0, 1100, 900)).valid
        scene.resample(550, 450)
        half = scene.read(Window(10, 10, 500, 400)).valid
    for valid, shape in ((whole, (900, 1100)), (half, (400, 500))):
        assert valid.shape == shape
        assert valid.all()
        assert not any(valid.strides)
