"""Training chips that are varied on the device, tried out on the CPU."""

from pathlib import Path

import numpy as np
import pytest

import geodet
from geodet.config import AugmentConfig
from geodet.tilesets.labels import LabelledImage

FOLDER = Path(geodet.__file__).parents[1] / "benchmarks" / "gpu"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not in the wheel")

SIDE = 32
PLAIN = {"flips": False, "scale": 0, "brightness": 0, "contrast": 0, "tint": 0, "blur": 0}


def vary(pixels, monkeypatch, **settings):
    """Return sixteen chips of one image, in the units of the data: (16, 3, SIDE, SIDE)."""
    monkeypatch.syspath_prepend(str(FOLDER))
    from device_chips import DeviceChips

    box = np.array([[4.0, 4, 9, 9]])
    image = LabelledImage(
        Path("a"), SIDE, SIDE, box, np.zeros(1, np.int64), np.zeros((0, 4)), "a", "train", None
    )
    augment = AugmentConfig(**PLAIN | settings)
    chips = DeviceChips([image], [pixels], augment, size=SIDE, device="cpu", seed=0)
    return chips.batch(np.zeros(16, np.int64)).pixels.numpy()


def textured():
    return np.random.default_rng(1).integers(60, 190, (3, SIDE, SIDE)).astype(np.uint8)


def test_without_variation_a_chip_is_its_image(monkeypatch):
    pixels = textured()
    np.testing.assert_allclose(vary(pixels, monkeypatch), [pixels] * 16, atol=1)


def test_haze_brightens_and_lowers_the_contrast(monkeypatch):
    pixels = textured()
    hazy = vary(pixels, monkeypatch, haze=0.5)
    spread = hazy.std(axis=(1, 2, 3))
    assert (hazy >= pixels - 1).all()
    assert spread.min() < 0.8 * pixels.std()
    assert spread.max() == pytest.approx(pixels.std(), rel=0.01)  # half of the chips stay clear


def test_shading_is_a_plane_that_keeps_the_mean(monkeypatch):
    shaded = vary(np.full((3, SIDE, SIDE), 100, np.uint8), monkeypatch, shading=0.3)
    np.testing.assert_allclose(shaded.mean(axis=(1, 2, 3)), 100, atol=0.5)
    assert np.abs(np.diff(shaded, 2, axis=-1)).max() <= 2  # of whole numbers
    assert 69 <= shaded.min() < 90
    assert 110 < shaded.max() <= 131


def test_coarser_chips_are_smoother(monkeypatch):
    pixels = textured()
    coarse = vary(pixels, monkeypatch, coarsening=1.0)
    assert (coarse.std(axis=(1, 2, 3)) < 0.9 * pixels.std()).all()
