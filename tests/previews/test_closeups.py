"""Small pictures of objects show the right place of a scene."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from geodet.geometry.windows import Window
from geodet.previews.closeups import _span_around, cut_closeups
from geodet.raster.scene import Scene


def cut(path, boxes):
    with Scene(path) as scene:
        return list(cut_closeups(scene, np.array(boxes, float)))


def to_array(closeup):
    return np.asarray(Image.open(io.BytesIO(closeup.jpeg)))


def test_the_object_is_in_the_middle_of_its_picture(make_scene):
    path = make_scene(width=300, height=200, bands=3, objects=[(142, 92, 158, 108)])
    (closeup,) = cut(path, [[142, 92, 158, 108]])
    assert closeup.window == Window(126, 76, 48, 48)
    assert closeup.place(np.array([[142, 92, 158, 108.0]])).tolist() == [[16, 16, 32, 32]]
    assert to_array(closeup).shape == (48, 48, 3)
    with Scene(path) as scene:
        pixels = scene.read(closeup.window).pixels.transpose(1, 2, 0)
    grey = [image.astype(float).mean(axis=2) for image in (to_array(closeup), pixels)]
    assert np.corrcoef(grey[0].ravel(), grey[1].ravel())[0, 1] > 0.95  # JPEG


@pytest.mark.parametrize("box", [[0, 0, 4, 4], [296, 196, 300, 200], [-5, 90, 5, 100]])
def test_at_the_edge_of_a_scene_the_picture_stays_whole(make_scene, box):
    (closeup,) = cut(make_scene(width=300, height=200), [box])
    assert (closeup.width, closeup.height) == (40, 40)
    assert closeup.window.col_off >= 0
    assert closeup.window.row_end <= 200


def test_a_large_object_is_reduced_to_224_pixels(make_scene):
    (closeup,) = cut(make_scene(width=900, height=700), [[100, 100, 400, 300]])
    assert closeup.window == Window(0, 0, 900, 700)
    assert (closeup.width, closeup.height) == (224, 174)
    moved = closeup.place(np.array([[0.0, 0, 900, 700]]))
    assert moved.tolist() == [pytest.approx([0, 0, 224, 174])]


def test_a_scene_of_16_bits_is_stretched_as_a_whole(make_scene):
    path = make_scene(width=300, height=200, dtype="uint16", objects=[(142, 92, 158, 108)])
    (closeup,) = cut(path, [[142, 92, 158, 108]])
    assert np.ptp(to_array(closeup)) > 60


@given(st.floats(-50, 350), st.integers(1, 500), st.integers(1, 300))
def test_a_span_lies_within_the_scene(centre, side, length):
    start, span = _span_around(centre, side, length)
    assert 0 <= start <= start + span <= length
    assert span == min(side, length)
