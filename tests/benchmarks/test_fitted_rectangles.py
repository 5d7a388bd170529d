"""Rectangles are fitted to painted cars that are labelled with their bounds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import geodet
from geodet.geometry.oriented_boxes import hulls, oriented_corners

FOLDER = Path(geodet.__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not in the wheel")


@pytest.fixture
def fit_rectangles(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    from fitted_rectangles import fit_rectangles

    return fit_rectangles


def paint(rectangle):
    """Paint a car on even ground, in a box that is as labels are; (bands, height, width)."""
    image = Image.new("RGB", (80, 80), (104, 103, 106))
    corners = oriented_corners(rectangle[None])[0]
    ImageDraw.Draw(image).polygon([tuple(p) for p in corners.tolist()], fill=(40, 44, 60))
    noise = np.random.default_rng(0).normal(0, 2, (80, 80, 3))
    return (np.asarray(image, float) + noise).clip(0, 255).astype(np.uint8).transpose(2, 0, 1)


@pytest.mark.parametrize("degrees", [-70, -45, -20, 0, 12, 30, 60, 80, 90])
def test_a_rectangle_is_found_from_its_bounds_and_the_ground_beside_it(degrees, fit_rectangles):
    car = np.array([40.0, 41.0, 34.5, 15.0, np.radians(degrees)])
    (found,) = fit_rectangles(hulls(car[None]), paint(car))
    np.testing.assert_allclose(found[:4], car[:4], atol=0.01)
    turned = np.degrees(found[4]) - degrees
    assert min(turned % 180, -turned % 180) < 0.1


def test_a_small_tilt_is_taken_for_none(fit_rectangles):
    car = np.array([40.0, 41.0, 34.5, 15.0, np.radians(5)])
    bounds = hulls(car[None])
    (found,) = fit_rectangles(bounds, paint(car))
    np.testing.assert_allclose(hulls(found[None]), bounds)
    assert found[4] == 0


def test_what_is_longer_than_a_car_is_its_own_rectangle(fit_rectangles):
    bus = np.array([[10.0, 20.0, 70.0, 34.0], [30.0, 5.0, 44.0, 75.0]])
    np.testing.assert_allclose(hulls(fit_rectangles(bus, np.zeros((3, 80, 80), np.uint8))), bus)
