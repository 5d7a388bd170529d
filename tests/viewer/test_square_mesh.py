"""Places on the map between the nodes of a mesh, against the frame itself."""

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from geodet.geometry.boxes import box_corners
from geodet.geometry.geobox import GeoBox
from geodet.viewer import square_mesh
from geodet.viewer.map_frame import choose_frame
from geodet.viewer.square_mesh import SquareMesh

SIDE = 20_000
FRAMES = {
    "utm": (Affine(0.5, 0, 447_000, 0, -0.5, 5_411_000), 32633),
    "sheared": (Affine(0.4, 0.2, 447_000, 0.1, -0.5, 5_411_000), 32633),
    "degrees": (Affine(1e-4, 0, 7, 0, -1e-4, 60), 4326),
    "own grid": (Affine.identity(), None),
}


def make_frame(name):
    place, epsg = FRAMES[name]
    crs = None if epsg is None else CRS.from_epsg(epsg)
    return choose_frame(GeoBox(SIDE, SIDE, place, crs))


def exact(frame, boxes):
    corners = frame.to_square(box_corners(boxes))
    return np.hstack([corners.min(axis=1), corners.max(axis=1)])


def scattered(least=0.0, count=2000):
    low = np.random.default_rng(0).uniform(least, SIDE - 60, (count, 2))
    return np.hstack([low, low + np.random.default_rng(1).uniform(0, 60, (count, 2))])


@pytest.mark.parametrize("name", FRAMES)
def test_within_the_scene_a_bound_errs_by_less_than_a_twentieth_of_a_pixel(name):
    frame, boxes = make_frame(name), scattered()
    mesh = SquareMesh(frame)
    assert mesh.is_exact
    pixel = 1 / (512 * 2**frame.native_zoom)
    assert np.abs(mesh.to_bounds(boxes) - exact(frame, boxes)).max() < 0.05 * pixel


def test_outside_of_the_scene_and_without_a_mesh_the_frame_is_asked(monkeypatch):
    frame, boxes = make_frame("utm"), scattered(least=-5000)
    outside = (boxes < 0).any(axis=1)
    assert 0 < outside.sum() < len(boxes)
    found = SquareMesh(frame).to_bounds(boxes)
    np.testing.assert_array_equal(found[outside], exact(frame, boxes)[outside])
    monkeypatch.setattr(square_mesh, "_TOLERANCE_PX", 1e-9)
    np.testing.assert_array_equal(SquareMesh(frame).to_bounds(boxes), exact(frame, boxes))


def test_no_boxes_have_no_bounds():
    assert SquareMesh(make_frame("utm")).to_bounds(np.zeros((0, 4))).shape == (0, 4)
