import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from geodet.boxes import Detections
from geodet.palette import class_colour
from geodet.previews.density import draw_density, is_crowded

SIZE = (160, 120)


def at(xy, labels=0):
    """Give objects of 2 x 2 px around some points."""
    xy = np.asarray(xy, float).reshape(-1, 2)
    return Detections(np.hstack([xy - 1, xy + 1]), np.ones(len(xy)), np.zeros(len(xy)) + labels)


def lattice(step, x1=0, x2=SIZE[0]):
    """Give points in the middle of every so many pixels of the columns x1 to x2."""
    x, y = np.meshgrid(np.arange(x1, x2, step), np.arange(0, SIZE[1], step))
    return np.stack([x.ravel(), y.ravel()], axis=-1) + step / 2


def shaded(shown, value=200, size=SIZE):
    """Shade an image of one grey: (H, W, 3), and the objects per pixel where it is full."""
    image = Image.new("RGB", size, (value,) * 3)
    peak = draw_density(image, shown)
    return np.asarray(image).astype(float), peak


@pytest.mark.parametrize("step", [1, 2, 4])
def test_the_peak_is_the_number_of_objects_in_a_pixel(step):
    assert shaded(at(lattice(step)))[1] == pytest.approx(1 / step**2, rel=0.08)


@settings(max_examples=10)
@given(st.integers(1, 5000))
def test_thousands_at_one_place_are_all_counted(count):
    """A blur of sigma 3 px gives one object a part of 1 / (2 pi 9) of its pixel."""
    one, many = (shaded(at([[80.5, 60.5]] * n)) for n in (1, count))
    assert many[1] == pytest.approx(count * one[1])
    assert one[1] == pytest.approx(1 / (2 * np.pi * 9), rel=0.2)
    strange = np.abs(many[0] - class_colour(0)).sum(axis=2)
    assert strange[60, 80] == strange.min()


def test_a_quarter_of_the_objects_has_half_of_the_ink():
    dense, thin = lattice(2, 0, 80), lattice(4, 80)
    image, _ = shaded(at(np.vstack([dense, thin])))
    ground = shaded(Detections.empty())[0][0, 0]
    ink = [
        np.abs(image[40:80, columns].mean(axis=(0, 1)) - ground).max()
        for columns in (slice(20, 60), slice(100, 140))
    ]
    assert ink[1] / ink[0] == pytest.approx(0.5, abs=0.04)


def test_the_colour_is_the_mean_of_the_objects():
    points = lattice(2)
    labels = np.where(np.arange(len(points)) % 4 == 0, 1, 0)  # one of four
    image, _ = shaded(at(points, labels))
    mixed = 0.75 * np.array(class_colour(0)) + 0.25 * np.array(class_colour(1))
    np.testing.assert_allclose(image[30:90, 40:120].mean(axis=(0, 1)), mixed, atol=6)


def test_where_nothing_is_the_image_is_grey_and_dark():
    image, peak = shaded(Detections.empty())
    assert peak == 0.0
    assert (image == image[0, 0]).all()
    assert 60 < image[0, 0, 0] < 110
    colourful = Image.new("RGB", SIZE, (250, 10, 10))
    draw_density(colourful, at([[20.5, 20.5]] * 9))
    away = np.asarray(colourful).astype(int)[100, 140]
    assert np.ptp(away) < 10  # the colours are for the objects


def test_objects_beyond_the_image_do_not_count():
    outside = at([[-5, 10], [170, 10], [10, -9], [10, 130]] * 500)
    assert shaded(outside)[1] == 0.0
    assert not is_crowded(outside, SIZE)


@pytest.mark.parametrize(("each", "expected"), [(6, False), (7, True)])
def test_more_than_six_dots_in_a_cell_are_a_crowd(each, expected):
    cells = np.repeat(lattice(8), each, axis=0)
    assert is_crowded(at(cells), SIZE) is expected


@pytest.mark.parametrize(("heap", "expected"), [(40, False), (60, True)])
def test_a_crowd_is_what_most_objects_are_in(heap, expected):
    """299 alone and a heap of h: the mean over the objects is (299 + h^2) / (299 + h)."""
    shown = at(np.vstack([lattice(8)[:299], np.repeat([[156.0, 116.0]], heap, axis=0)]))
    assert is_crowded(shown, SIZE) is expected


def test_no_objects_are_no_crowd():
    assert not is_crowded(Detections.empty(), SIZE)
