"""Where scenes lie on the map."""

import numpy as np
import pytest
import rasterio.warp
from affine import Affine
from factories_rasters import NORTH_UP, TURNED
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geodet.geometry.geobox import GeoBox
from geodet.viewer.map_frame import TILE_PX, MercatorFrame, OwnGridFrame, choose_frame

UTM = CRS.from_epsg(32633)
ROUND = 40075016.685578488
FRAMES = {
    "north up": MercatorFrame(GeoBox(300, 200, NORTH_UP, UTM)),
    "turned": MercatorFrame(GeoBox(300, 200, TURNED, UTM)),
    "geographic": MercatorFrame(
        GeoBox(300, 200, Affine(5e-6, 0, 32.6, 0, -5e-6, 0.3), CRS.from_epsg(4326))
    ),
    "own grid": OwnGridFrame(GeoBox(300, 200, NORTH_UP, None), "no CRS"),
}
PLACES = st.tuples(st.floats(0, 300), st.floats(0, 200))


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@settings(max_examples=30)
@given(place=PLACES)
def test_places_are_found_again(frame, place):
    again = frame.to_pixels(frame.to_square(np.array(place)))
    np.testing.assert_allclose(again, place, atol=1e-4)


@pytest.mark.parametrize("frame", list(FRAMES.values())[:3], ids=list(FRAMES)[:3])
def test_the_square_is_web_mercator_as_gdal_computes_it(frame):
    xy = np.array([[0.0, 0], [300, 0], [300, 200], [120, 90]])
    x, y = frame.geobox.to_world(xy).T
    across, up = rasterio.warp.transform(frame.geobox.crs.to_wkt(), "EPSG:3857", x, y)
    expected = np.stack([np.array(across) / ROUND + 0.5, 0.5 - np.array(up) / ROUND], axis=1)
    np.testing.assert_allclose(frame.to_square(xy), expected, atol=1e-12)


def test_at_the_finest_zoom_of_its_own_grid_a_pixel_is_a_pixel():
    frame = OwnGridFrame(GeoBox(3000, 700, Affine.identity(), None), "no CRS")
    corner, other = frame.to_square(np.array([[0.0, 0], [TILE_PX, 0]]))
    assert (other - corner)[0] == 2.0**-frame.finest_zoom
    assert frame.finest_zoom == frame.native_zoom
    assert corner.tolist() == [0.5, 0.5]


def test_tiles_of_the_finest_zoom_lose_no_detail():
    frame = FRAMES["north up"]
    at, right = frame.to_square(np.array([[150.0, 100], [151, 100]]))
    assert np.hypot(*(right - at)) * 2**frame.finest_zoom * TILE_PX >= 0.99
    assert np.hypot(*(right - at)) * 2 ** (frame.finest_zoom - 1) * TILE_PX < 1


@pytest.mark.parametrize(
    ("crs", "transform", "reason"),
    [
        (None, Affine.identity(), "no CRS"),
        (CRS.from_epsg(3413), Affine(10, 0, -1000, 0, -10, 1000), "near a pole"),
        (CRS.from_epsg(4326), Affine(0.01, 0, 179.9, 0, -0.01, 10), "antimeridian"),
    ],
)
def test_a_scene_that_has_no_place_on_the_square_keeps_its_own_pixels(crs, transform, reason):
    frame = choose_frame(GeoBox(100, 100, transform, crs))
    assert isinstance(frame, OwnGridFrame)
    assert reason in frame.reason


def test_web_mercator_is_chosen_unless_the_own_grid_is_wished():
    geobox = GeoBox(100, 100, NORTH_UP, UTM)
    assert isinstance(choose_frame(geobox), MercatorFrame)
    assert choose_frame(geobox, own_grid=True).reason == "as wished"
