import threading

import numpy as np
import pytest
import rasterio
import shapely

from geodet.detection.scene_statistics import iter_sample_chips, measure_chips
from geodet.errors import SceneError
from geodet.geometry.windows import Window
from geodet.raster.chip import Chip
from geodet.raster.scene import Scene
from geodet.vector.area_of_interest import AreaOfInterest


def survey(path, aoi=None):
    with Scene(path) as scene:
        return measure_chips(iter_sample_chips(scene, aoi))


def pixels_of(path):
    with rasterio.open(path) as raster:
        return raster.read().reshape(raster.count, -1)


@pytest.fixture
def chip_of():
    def make(pixels):
        return Chip(Window(0, 0, *pixels.shape[:0:-1]), pixels, np.ones(pixels.shape[1:], bool))

    return make


def test_all_pixels_of_a_small_scene_are_sampled(make_scene):
    path = make_scene(dtype="uint16", nodata=0, holes=[(0, 0, 48, 80)])
    seen = survey(path)
    assert seen.empty_share == pytest.approx(0.5)
    values = pixels_of(path)
    values = values[:, values.any(axis=0)]
    np.testing.assert_allclose(seen.mean, values.mean(axis=1), rtol=1e-3)
    np.testing.assert_allclose(seen.std, values.std(axis=1), rtol=1e-2)


def test_a_large_scene_is_sampled_evenly(make_scene):
    path = make_scene(width=2000, height=1500, bands=1, nodata=0, holes=[(0, 0, 2000, 1000)])
    seen = survey(path)
    assert seen.empty_share == pytest.approx(2 / 3, abs=0.1)
    assert (seen.mean[0], seen.std[0]) == pytest.approx((54.5, 20.2), rel=0.02)


def test_samples_keep_no_blocks_in_memory(make_scene):
    """A window of 16 x 16 px is a part of a decoded block, of which 144 would be 110 MB."""
    with Scene(make_scene(width=600, height=600, tiled=True)) as scene:
        chips = list(iter_sample_chips(scene))
    assert len(chips) == 144
    assert all(chip.pixels.base is None and chip.valid.base is None for chip in chips)


def test_several_threads_read_the_same_samples_at_the_same_time(make_scene, monkeypatch):
    with Scene(make_scene(width=600, height=600, tiled=True)) as scene:
        alone = list(iter_sample_chips(scene))
        read, both = Scene.read_sample, threading.Barrier(2, timeout=10)

        def meet(self, window):
            both.wait()
            return read(self, window)

        monkeypatch.setattr(Scene, "read_sample", meet)
        together = list(iter_sample_chips(scene, workers=2))
    assert [chip.window for chip in together] == [chip.window for chip in alone]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_the_smallest_scenes_can_be_sampled(make_scene, size):
    assert survey(make_scene(width=size[0], height=size[1])).empty_share == 0


@pytest.mark.parametrize("size", [(7, 5), (16, 100), (192, 191), (40_000, 300)])
def test_windows_lie_in_the_scene_and_cover_a_small_one(size):
    class Blank:
        grid, scale, abandon_reads = size, (1.0, 1.0), None

        def read_sample(self, window):
            return window

    windows = list(iter_sample_chips(Blank()))
    assert all(0 <= w.col_off < w.col_end <= size[0] for w in windows)
    assert all(0 <= w.row_off < w.row_end <= size[1] for w in windows)
    columns = {x for w in windows for x in range(w.col_off, w.col_end)}
    assert len(columns) == min(size[0], 192)


def test_only_the_region_is_sampled(make_scene):
    """In the scene's own pixels, whatever the grid."""
    path = make_scene(width=400, height=300, objects=[(200, 100, 300, 200, 250)])
    aoi = AreaOfInterest(np.array([shapely.box(210, 110, 290, 190)]), 400, 300, "")
    for shrink in (1, 2):
        with Scene(path) as scene:
            scene.resample(400 // shrink, 300 // shrink)
            seen = measure_chips(iter_sample_chips(scene, aoi))
        assert seen.mean.tolist() == [250] * 3
        assert not seen.std.any()


def test_a_region_that_meets_no_window_is_sampled_in_its_extent(make_scene):
    aoi = AreaOfInterest(
        np.array([shapely.box(0, 0, 1, 1), shapely.box(1999, 1499, 2000, 1500)]), 2000, 1500, ""
    )
    assert len(survey(make_scene(width=2000, height=1500), aoi).mean) == 3


def test_windows_that_cannot_be_read_are_left_out(make_scene):
    path = make_scene(width=600, height=600, tiled=True, blockxsize=64, blockysize=64)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)
    seen = survey(path)
    np.testing.assert_allclose(seen.mean, 54.5, rtol=0.02)


@pytest.mark.parametrize("workers", [1, 4])
def test_sampling_stops_after_eight_failures(workers):
    asked = []

    class Gone:
        grid, scale, abandon_reads = (5000, 5000), (1.0, 1.0), None

        def read_sample(self, window):
            asked.append(window)
            raise SceneError("gone", hint="wait")

    seen = measure_chips(iter_sample_chips(Gone(), workers=workers))
    assert 8 <= len(asked) <= 8 + 1 + workers  # with those that were under way
    assert seen.mean.size == seen.std.size == 0


def test_pixels_that_are_black_in_all_bands_are_counted(make_scene):
    path = make_scene(nodata=None)
    with rasterio.open(path, "r+") as raster:
        pixels = raster.read()
        pixels[:, :, :24] = 0  # a quarter
        pixels[0, :, 24:48] = 0
        raster.write(pixels)
    seen = survey(path)
    assert (seen.empty_share, seen.black_share) == (0, 0.25)
    shown = pixels[:, :, 24:].reshape(3, -1)
    np.testing.assert_allclose(seen.mean, shown.mean(axis=1), rtol=1e-2)
    np.testing.assert_allclose(seen.std, shown.std(axis=1), rtol=1e-2)


def test_no_pixels_have_no_statistics(make_scene):
    seen = survey(make_scene(nodata=np.nan, dtype="float32", holes=[(0, 0, 96, 80)]))
    assert (seen.empty_share, seen.black_share) == (1, 0)
    assert seen.mean.size == seen.std.size == 0


@pytest.mark.parametrize(
    ("fills", "share"),
    [
        ([-9999], 0.4),
        ([65535], 0.4),
        ([1e38], 0.004),
        ([-3.4e38], 0.2),
        ([np.nan], 0.3),
        ([-3.4e38, -9999, 65535], 0.15),
        ([0, -9999], 0.2),
    ],
)
@pytest.mark.parametrize("bands", [slice(None), slice(2, None)])
def test_fill_and_broken_pixels_do_not_change_the_statistics(chip_of, fills, share, bands):
    pixels = np.random.default_rng(0).normal(500, 100, (3, 100, 500)).astype(np.float32)
    width = round(500 * share)
    for n, fill in enumerate(fills):
        pixels[bands, :, n * width : (n + 1) * width] = fill
    seen = measure_chips([chip_of(pixels)])
    is_zero_in_one = 0 in fills and bands.start == 2  # that may be a value
    if not is_zero_in_one:
        np.testing.assert_allclose(seen.mean, 500, rtol=0.02)
        np.testing.assert_allclose(seen.std, 100, rtol=0.05)


def test_saturated_pixels_are_no_fill(chip_of):
    pixels = np.random.default_rng(0).normal(200, 60, (3, 100, 100)).clip(0, 255).astype(np.uint8)
    assert (pixels == 255).mean() > 0.1
    seen = measure_chips([chip_of(pixels)])
    np.testing.assert_allclose(seen.std, pixels.std(axis=(1, 2)), rtol=0.02)


@pytest.mark.parametrize("value", [0, 255])
def test_a_picture_of_one_value_has_no_contrast(chip_of, value):
    seen = measure_chips([chip_of(np.full((3, 8, 8), value, np.uint8))])
    assert seen.mean.tolist() == [value] * 3
    assert seen.std.tolist() == [0] * 3


def test_rounding_is_no_contrast(chip_of):
    assert not measure_chips([chip_of(np.full((1, 1000, 1000), 0.3))]).std.any()


def test_noise_has_no_correlation_and_a_smooth_image_has(chip_of):
    """By hand: a random walk in the mean of k values has a correlation of (k - 1) / k."""
    noise = np.random.default_rng(0).normal(500, 50, (2, 300, 300))
    assert measure_chips([chip_of(noise)]).correlation == pytest.approx(0, abs=0.07)
    for count in (2, 5):
        smooth = np.mean([noise[:, :, n : n + 290] for n in range(count)], axis=0)
        seen = measure_chips([chip_of(smooth)])
        assert seen.correlation == pytest.approx((count - 1) / count, abs=0.03)
