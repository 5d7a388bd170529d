import random

import numpy as np
import pytest

from geodet.config import AugmentConfig
from geodet.training.pixel_variations import compose_variations

PLAIN = {"brightness": 0, "contrast": 0, "tint": 0, "blur": 0}
SIDE = 64


def vary(image, *, seed=0, **settings):
    """Vary an image (H, W, C) by nothing but some settings."""
    pipeline = compose_variations(AugmentConfig(**PLAIN | settings), SIDE)
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
    return pipeline(image=image, mask=np.ones(image.shape[:2], np.uint8))["image"]


def textured(dtype, *, bands=3):
    values = np.random.default_rng(1).integers(40, 180, (SIDE, SIDE, bands))
    return values.astype(np.uint8) if dtype == np.uint8 else (values / 255).astype(np.float32)


def roughness(image):
    return np.abs(np.diff(image.astype(float), axis=1)).mean() / np.ptp(image)


@pytest.mark.parametrize("bands", [1, 3, 4, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    "setting", [{"haze": 0.5}, {"shading": 0.2}, {"coarsening": 1.0}, {"jpeg": 1.0}], ids=str
)
def test_each_variation_keeps_shape_and_type_and_changes_values(setting, dtype, bands):
    image = textured(dtype, bands=bands)
    varied = [vary(image.copy(), seed=seed, **setting) for seed in range(6)]
    assert all(one.shape == image.shape and one.dtype == dtype for one in varied)
    assert all(one.min() >= 0 and one.max() <= (255 if dtype == np.uint8 else 1) for one in varied)
    assert any((one != image).any() for one in varied)


def test_the_same_seed_gives_the_same_chip():
    settings = {"haze": 0.5, "shading": 0.2, "coarsening": 0.5, "jpeg": 0.5}
    image = textured(np.uint8)
    for seed in range(4):
        pair = [vary(image.copy(), seed=seed, **settings) for _ in range(2)]
        np.testing.assert_array_equal(*pair)


def test_haze_moves_all_values_towards_white():
    image = textured(np.float32)
    for seed in range(8):
        hazy = vary(image.copy(), seed=seed, haze=0.6)
        share = (hazy - image)[image < 1] / (1 - image)[image < 1]
        np.testing.assert_allclose(share, share.mean(), atol=1e-4)
        assert 0 <= share.mean() <= 0.6


def test_shading_is_a_plane_over_the_chip():
    image = np.full((SIDE, SIDE, 3), 0.5, np.float32)
    shaded = [vary(image.copy(), seed=seed, shading=0.2) / image for seed in range(8)]
    assert any(np.ptp(one) > 0.02 for one in shaded)
    for one in shaded:
        plane = one[..., 0]
        np.testing.assert_allclose(np.diff(plane, 2, axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(np.diff(plane, 2, axis=1), 0, atol=1e-5)
        assert plane.mean() == pytest.approx(1, abs=1e-3)
        assert 0.799 < plane.min() <= plane.max() < 1.201


def test_coarsening_smooths_and_jpeg_of_grey_stays_near():
    image = textured(np.uint8)
    assert roughness(vary(image.copy(), coarsening=1.0)) < 0.9 * roughness(image)
    grey = np.full((SIDE, SIDE, 3), 90, np.uint8)
    assert np.abs(vary(grey, jpeg=1.0).astype(int) - 90).max() <= 3
