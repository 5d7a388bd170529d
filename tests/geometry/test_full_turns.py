"""Coordinates that repeat after a full turn, against pyproj."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer

from geodet.geometry.full_turns import (
    full_turn,
    seam_between,
    turns_together,
    within_half_turn,
)
from geodet.geometry.geobox import GeoBox

EQUATOR = 2 * np.pi * 6378137.0


@pytest.mark.parametrize(
    ("crs", "turn"),
    [
        ("EPSG:4326", 360.0),
        ("EPSG:4807", 400.0),  # NTF (Paris), in grads
        ("EPSG:3857", EQUATOR),
        ("EPSG:3832", EQUATOR),  # PDC Mercator, whose seam is at 30 degrees west
        ("EPSG:4087", EQUATOR),  # World Equidistant Cylindrical
        ("EPSG:32701", 0.0),
        ("EPSG:32660", 0.0),
        ("EPSG:3031", 0.0),
        ("EPSG:3035", 0.0),
        ("ESRI:54009", 0.0),  # Mollweide: the turn depends on the latitude
    ],
)
def test_x_repeats_in_geographic_crss_and_cylindrical_projections(crs, turn):
    assert full_turn(CRS.from_user_input(crs)) == pytest.approx(turn, rel=1e-9)


def test_pixels_do_not_repeat():
    assert full_turn(None) == 0.0


@given(
    x=st.floats(-1e4, 1e4), centre=st.floats(-1e4, 1e4), turn=st.sampled_from([0.0, 360.0, 400.0])
)
def test_a_move_is_a_whole_number_of_turns_and_ends_near_the_centre(x, centre, turn):
    moved = float(within_half_turn(np.array([x]), centre, turn)[0])
    if not turn:
        assert moved == x
        return
    assert abs(moved - centre) <= turn / 2 + 1e-6
    assert (moved - x) / turn == pytest.approx(round((moved - x) / turn), abs=1e-9)


def test_infinite_coordinates_stay():
    x = within_half_turn(np.array([np.inf, 350.0]), 0.0, 360.0)
    assert x.tolist() == [np.inf, -10.0]


@given(st.lists(st.floats(-180, 180), min_size=1, max_size=6), st.floats(-1000, 1000))
def test_no_place_lies_at_the_seam(places, shift):
    x = np.array(places) + shift
    gap = 360 / len(x) / 2
    apart = np.abs(within_half_turn(x, seam_between(x, 360.0), 360.0) - seam_between(x, 360.0))
    assert apart.min() >= gap - 1e-6


def test_a_raster_over_the_antimeridian_is_continuous_in_degrees():
    x, y = Transformer.from_crs(4326, 32701, always_xy=True).transform(-180.0, -17.0)
    box = GeoBox(100, 100, Affine(0.6, 0, x - 30, 0, -0.6, y), CRS.from_epsg(32701))
    world = box.corners(np.array([[40.0, 0.0, 60.0, 10.0]]), CRS.from_epsg(4326))[0]
    width = Geod(ellps="WGS84").inv(*world[0], *world[1])[2]
    assert np.ptp(world[:, 0]) < 0.001
    assert width == pytest.approx(20 * 0.6, rel=1e-3)


@given(
    st.lists(st.floats(-40, 40), min_size=1, max_size=6),
    st.floats(-180, 180),
    st.sampled_from([4326, 3857]),
)
def test_neighbours_lie_together_wherever_they_are_on_the_globe(offsets, middle, epsg):
    crs = CRS.from_epsg(epsg)
    degree = full_turn(crs) / 360
    x = ((np.array(offsets) + middle + 180) % 360 - 180) * degree
    shifts = turns_together(np.append(x, np.nan)[:, None], crs)[:, 0]
    assert shifts[-1] == 0
    assert np.ptp(x + shifts[:-1]) == pytest.approx(np.ptp(offsets) * degree, abs=1e-6 * degree)
    turns = shifts / full_turn(crs)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)


def test_what_has_no_full_turn_stays():
    far = np.array([[-1e7], [1e7]])
    assert turns_together(far, None).tolist() == [[0], [0]]
    assert turns_together(far, CRS.from_epsg(32633)).tolist() == [[0], [0]]
    assert turns_together(np.zeros((0, 4)), CRS.from_epsg(4326)).tolist() == []
