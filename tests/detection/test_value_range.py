import logging
import math

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from geodet.config import DetectConfig
from geodet.detection.scene_statistics import SceneStatistics, iter_sample_chips, measure_chips
from geodet.detection.value_range import fit_input_values, input_values
from geodet.raster.scene import Scene

MEAN, STD = (100.0, 110.0, 90.0), (40.0, 30.0, 50.0)


@pytest.fixture(scope="module")
def rgb(tiny_model):
    statistics = {
        "mean": MEAN,
        "std": STD,
        "low": (30.0, 40.0, 20.0),
        "high": (230.0, 240.0, 220.0),
    }
    return tiny_model.description.model_copy(update=statistics)


def seen_as(mean=100.0, std=40.0, *, correlation=0.9):
    return SceneStatistics(0.0, 0.0, np.full(3, mean), np.full(3, std), correlation)


def look(scene):
    return measure_chips(iter_sample_chips(scene))


def fit(seen, about, dtype="uint8", value_range=None):
    return fit_input_values(seen, "scene.tif", dtype, about, DetectConfig(value_range=value_range))


@given(gain=st.floats(1e-3, 1e3), offset=st.floats(-1e4, 1e4), is_bytes=st.booleans())
def test_a_scene_gets_the_mean_and_the_contrast_of_training(rgb, gain, offset, is_bytes):
    """Where it is what training saw in other units, each band comes out as in training."""
    about = rgb if is_bytes else rgb.model_copy(update={"dtype": "uint16"})
    values = fit(seen_as(gain * 100 + offset, gain * 40), about, about.dtype, value_range="scene")
    lows, highs = (0, 255) if is_bytes else (np.array(about.low), np.array(about.high))
    wanted = (np.array(MEAN), np.array(STD) - offset / gain, lows, highs)
    for got, expected in zip(values, wanted, strict=True):
        np.testing.assert_allclose(got, gain * expected + offset, rtol=1e-6, atol=1e-6)


@given(st.lists(st.floats(0.1, 1e3), min_size=3, max_size=3), st.floats(-1e4, 1e4))
def test_bands_of_another_type_have_gains_of_their_own(rgb, gains, offset):
    gain = np.array(gains)
    seen = SceneStatistics(0.0, 0.0, gain * MEAN + 3e4 + offset, gain * STD, 0.9)
    values = fit(seen, rgb, "uint16")
    np.testing.assert_allclose(values.mean, seen.mean)
    np.testing.assert_allclose(values.std, seen.std)
    np.testing.assert_allclose(np.array(values.high) - values.low, 255 * gain)


def test_a_band_without_contrast_keeps_the_gain_of_all(rgb):
    seen = SceneStatistics(0.0, 0.0, np.array([2000.0, 2000, 700]), np.array([400.0, 300, 0]), 0.9)
    values = fit(seen, rgb, "uint16")
    assert values.std == pytest.approx([400, 300, 50 * 700 / 120])
    assert values.mean[2] == pytest.approx(700)
    nothing = SceneStatistics(
        0.0, 0.0, np.array([2000.0, 2000, math.nan]), np.array([400.0, 300, 0]), 0.9
    )
    assert np.isfinite(fit(nothing, rgb, "uint16").mean).all()


def test_bytes_in_their_own_range_are_as_in_training(rgb):
    values = input_values(rgb, (0.0, 255.0))
    np.testing.assert_allclose([values.mean, values.std], [MEAN, STD])
    assert input_values(rgb) == (MEAN, STD, (), ())


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_values_like_those_of_training_are_used_as_they_are(rgb, said, dtype):
    """Bytes in a file of 16 bits, too."""
    assert fit(seen_as(150, 30), rgb, dtype) is None
    assert said() == []


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (seen_as(std=19.9), "its contrast is 0.5 times theirs"),
        (seen_as(std=101), "its contrast is 2.5 times theirs"),
        (seen_as(15), "its mean is 2.1 of their standard deviations below"),
        (seen_as(185), "its mean is 2.1 of their standard deviations above"),
    ],
)
def test_bytes_far_from_the_training_images_are_warned_of(rgb, said, seen, text):
    assert fit(seen, rgb) is None
    (warning,) = said()
    assert warning.startswith("scene.tif differs from the training images of tiny")
    assert text in warning
    assert "--set detect.value_range=scene" in warning
    assert fit(seen, rgb, value_range=(0, 255)) is None
    assert len(said()) == 1


def test_values_of_another_dtype_that_are_far_off_are_matched(rgb, said):
    fit(seen_as(2000, 400), rgb, "uint16")
    (text,) = said()
    assert text.startswith(
        "scene.tif: uint16 values, but tiny was trained on uint8: the value range "
    )
    assert "1000 to 3550 (red), 533.333 to 3933.33 (green), 1280 to 3320 (blue) is used" in text


def test_a_range_that_is_chosen_on_request_is_logged(rgb, said):
    assert fit(seen_as(140), rgb, value_range="scene").mean == pytest.approx([140, 150, 130])
    assert said(logging.INFO) == ["scene.tif: the value range 40 to 295 is used"]
    assert said() == []


@pytest.mark.parametrize("seen", [seen_as(std=0.0), seen_as(700, 8, correlation=0.1)])
def test_a_scene_without_contrast_or_of_noise_is_not_matched(rgb, said, seen):
    """Open water would become a picture of its noise."""
    assert fit(seen, rgb, value_range="scene") is None
    assert fit(seen, rgb, "uint16") is None
    assert said() == ["scene.tif contains only noise: its values are not rescaled"] * 2
    assert fit(seen, rgb) is None
    assert len(said()) == 2


def test_a_range_that_misses_the_values_is_warned_of(rgb, said):
    assert fit(seen_as(1500, 300), rgb, "uint16", (0, 1)) is None
    assert said() == [
        "most values of scene.tif are outside of detect.value_range=0,1: their mean is 1500"
    ]
    assert fit(seen_as(1500, 300), rgb, "uint16", (0, 3000)) is None
    assert len(said()) == 1


def test_an_empty_scene_of_another_dtype_is_only_warned_of_as_empty(make_scene, rgb, said):
    with Scene(make_scene(dtype="float32", nodata=0, holes=[(0, 0, 96, 80)])) as scene:
        assert fit(look(scene), rgb, "float32") is None
    assert said() == ["more than half of scene.tif has no data: 100 % of the sampled pixels"]


@pytest.mark.parametrize(("end", "is_mostly_empty"), [(45, False), (60, True)])
def test_a_scene_that_is_mostly_empty_is_warned_of(make_scene, rgb, said, end, is_mostly_empty):
    with Scene(make_scene(mask=True, holes=[(0, 0, end, 80)])) as scene:
        fit(look(scene), rgb, value_range=(0, 255))
    assert [text.split(":")[0] for text in said()] == [
        "more than half of scene.tif has no data"
    ] * is_mostly_empty


@pytest.mark.parametrize(("end", "is_mostly_black"), [(45, False), (60, True)])
def test_a_scene_of_undeclared_fill_is_warned_of(make_scene, rgb, said, end, is_mostly_black):
    path = make_scene()
    with rasterio.open(path, "r+") as raster:
        pixels = raster.read()
        pixels[:, :, :end] = 0
        raster.write(pixels)
    with Scene(path) as scene:
        fit(look(scene), rgb, value_range=(0, 255))
    assert len(said()) == is_mostly_black
    assert ("is 0 in all bands or has no data: 62 %" in "".join(said())) == is_mostly_black
