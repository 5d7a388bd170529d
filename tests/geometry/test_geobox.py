import numpy as np
import pytest
import rasterio.transform
import shapely
from affine import Affine
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer

from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window

SITE = CRS.from_wkt(
    'LOCAL_CS["site",LOCAL_DATUM["x",0],UNIT["US survey foot",0.304800609601219],'
    'AXIS["X",EAST],AXIS["Y",NORTH]]'
)
pixels = st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)).map(np.array)


@st.composite
def geoboxes(draw):
    """Return rasters of any turn, shear, flip and resolution at coordinates as large as UTM's."""
    turn = Affine.rotation(draw(st.floats(-180, 180)))
    shear = Affine.shear(draw(st.floats(-50, 50)))
    side = st.floats(0.01, 30)
    scale = Affine.scale(draw(side), draw(st.sampled_from([1, -1])) * draw(side))
    where = Affine.translation(draw(st.floats(1.7e5, 8.3e5)), draw(st.floats(0, 1e7)))
    return GeoBox(1000, 800, where @ turn @ shear @ scale, CRS.from_epsg(32633))


def square(epsg, lon, lat, side, *, turn=30.0, columns=100):
    """Return a turned raster of square pixels with its centre at a place."""
    crs = CRS.from_user_input(epsg)
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
    shape = Affine.rotation(turn) @ Affine.scale(side, -side)
    middle = Affine.translation(-columns / 2, -columns / 2)
    return GeoBox(columns, columns, Affine.translation(x, y) @ shape @ middle, crs)


def to_degrees(geobox, xy):
    geographic = geobox.crs.geodetic_crs
    transformer = Transformer.from_crs(geobox.crs, geographic, always_xy=True)
    return np.stack(transformer.transform(*geobox.to_world(np.asarray(xy, float)).T), axis=-1)


PLACES = [
    (32633, 15.0, 50.0, 0.6),
    (32633, 12.2, 64.0, 0.1),
    (32740, 57.0, -20.3, 10.0),
    (3857, 15.0, 0.0, 0.6),
    (3857, 15.0, 40.0, 0.6),
    (3857, 15.0, 60.0, 0.6),
    (4326, 15.0, 45.0, 5e-6),
    (4326, -70.0, -33.0, 1e-4),
    (2229, -118.2, 34.0, 1.0),  # California zone 5, in US survey feet
]


@given(geoboxes(), pixels)
def test_pixels_come_back_from_the_world(geobox, xy):
    np.testing.assert_allclose(geobox.to_pixels(geobox.to_world(xy)), xy, rtol=0, atol=1e-6)


@given(geoboxes(), pixels)
def test_world_coordinates_agree_with_rasterio(geobox, xy):
    x, y = rasterio.transform.xy(geobox.transform, xy[1], xy[0], offset="ul")
    np.testing.assert_allclose(geobox.to_world(xy), [float(x), float(y)], rtol=1e-15, atol=1e-8)


@given(geoboxes(), pixels, *[st.integers(0, 500)] * 2, *[st.integers(1, 300)] * 2)
def test_a_crop_shows_the_same_ground(geobox, xy, column, row, width, height):
    crop = geobox.crop(Window(column, row, width, height))
    assert (crop.width, crop.height, crop.crs) == (width, height, geobox.crs)
    in_whole = xy + np.array([column, row])
    np.testing.assert_allclose(crop.to_world(xy), geobox.to_world(in_whole), rtol=1e-14, atol=1e-8)


@given(geoboxes(), st.integers(0, 40), st.integers(0, 40))
def test_a_crop_counts_the_same_cells(geobox, column, row):
    first = geobox.first_cell((geobox.width, geobox.height))
    assume(all(0.02 < part < 0.98 for part in rounded_parts(geobox)))  # else it may round otherwise
    crop = geobox.crop(Window(column, row, 50, 50))
    assert np.subtract(crop.first_cell((50, 50)), first).tolist() == [column, row]


def rounded_parts(geobox):
    """Return what is left of the cells before the first one when they are rounded."""
    return np.mod(-np.array(~geobox.transform @ (0.0, 0.0)) + 0.41, 1).tolist()


@pytest.mark.parametrize("transform", [Affine.identity(), Affine(0, 0, 5, 0, 0, 7)])
def test_without_a_place_the_first_cell_is_that_of_the_raster(transform):
    assert GeoBox(60, 50, transform, None).first_cell((30, 25)) == (0, 0)


@given(geoboxes())
def test_corners_are_the_corners_of_the_boxes_in_the_world(geobox):
    boxes = np.array([[10.0, 20, 30, 50], [0, 0, 1000, 800]])
    for (x1, y1, x2, y2), corners in zip(boxes, geobox.corners(boxes), strict=True):
        expected = [geobox.transform @ at for at in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))]
        np.testing.assert_allclose(corners, expected, rtol=1e-14, atol=1e-8)


def test_corners_in_another_crs_are_those_of_pyproj():
    geobox = square(32633, 15.0, 50.0, 0.6)
    own = geobox.corners(np.array([[10.0, 20, 30, 50]]))
    moved = geobox.corners(np.array([[10.0, 20, 30, 50]]), CRS.from_epsg(4326))
    x, y = Transformer.from_crs(32633, 4326, always_xy=True).transform(own[..., 0], own[..., 1])
    np.testing.assert_array_equal(moved, np.stack([x, y], axis=-1))


def test_a_crs_that_differs_in_the_order_of_its_axes_alone_changes_nothing():
    geobox = square(4326, 15.0, 45.0, 5e-6)
    assert not geobox.needs_transformation(CRS.from_user_input("OGC:CRS84"))
    assert geobox.needs_transformation(CRS.from_epsg(32633))


def test_a_raster_without_a_crs_keeps_its_own_coordinates():
    geobox = GeoBox(10, 10, Affine.scale(2), None)
    corners = geobox.corners(np.array([[0.0, 0, 1, 1]]), CRS.from_epsg(32633))
    assert corners.tolist() == [[[0, 0], [2, 0], [2, 2], [0, 2]]]
    assert geobox.corners(np.zeros((0, 4))).shape == (0, 4, 2)


def test_points_keep_their_shape_and_become_float64():
    geobox = GeoBox(9, 9, Affine(2, 0, 5, 0, -2, 7), None)
    points = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    world = geobox.to_world(points)
    assert (world.shape, world.dtype) == (points.shape, np.float64)
    np.testing.assert_array_equal(world, points.astype(float) * (2, -2) + (5, 7))
    assert geobox.to_pixels(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize(("epsg", "lon", "lat", "side"), PLACES)
def test_resolution_is_the_geodesic_length_of_the_centre_pixels_sides(epsg, lon, lat, side):
    geobox = square(epsg, lon, lat, side)
    middle = geobox.width / 2
    corners = to_degrees(geobox, [(middle, middle), (middle + 1, middle), (middle, middle + 1)])
    geod = geobox.crs.get_geod()
    lengths = [geod.inv(*corners[0], *corner)[2] for corner in corners[1:]]
    assert geobox.ground_resolution == pytest.approx(lengths, rel=1e-5)
    assert geobox.gsd == pytest.approx(np.sqrt(np.prod(lengths)), rel=1e-5)


@pytest.mark.parametrize("epsg", [3031, 3413, 3995])
@pytest.mark.parametrize("off", [(0.0, 0.0), (0.3, -0.2), (-40.0, 2.0), (800.0, 900.0), (3e3, 0.0)])
@pytest.mark.parametrize("side", [0.05, 0.6, 30.0])
def test_pixels_near_a_pole_have_their_true_size(epsg, off, side):
    """There a step of one pixel may be a half turn of longitude."""
    transform = Affine(side, 0, off[0] - 50 * side, 0, -side, off[1] + 50 * side)
    geobox = GeoBox(100, 100, transform, CRS.from_epsg(epsg))
    corners = to_degrees(geobox, [(50, 50), (51, 50), (50, 51)])
    geod = geobox.crs.get_geod()
    lengths = [geod.inv(*corners[0], *corner)[2] for corner in corners[1:]]
    assert geobox.ground_resolution == pytest.approx(lengths, rel=2e-5)
    assert geobox.pixel_area(np.array([[50.0, 50.0]]))[0] == pytest.approx(
        np.prod(lengths), rel=4e-5
    )


@pytest.mark.parametrize(("epsg", "lon", "lat", "side"), PLACES)
def test_the_area_of_a_pixel_is_that_of_its_polygon(epsg, lon, lat, side):
    geobox = square(epsg, lon, lat, side)
    geod = geobox.crs.get_geod()
    corners = np.array([(0.0, 0.0), (0, 1), (1, 1), (1, 0)])
    # A polygon of 20 x 20 pixels: a single one is too small for the accuracy of Geod's areas.
    for at in [(50, 50), (3, 80)]:
        ring = to_degrees(geobox, np.array(at) + (corners - 0.5) * 20)
        area = abs(geod.geometry_area_perimeter(shapely.Polygon(ring))[0]) / 400
        assert geobox.pixel_area(np.array([at]))[0] == pytest.approx(area, rel=1e-3)


@pytest.mark.parametrize(("lat", "metres"), [(0, 1.0), (40, 0.766), (60, 0.5)])
def test_a_metre_of_web_mercator_shrinks_with_the_cosine_of_the_latitude(lat, metres):
    assert square(3857, 15.0, lat, 1.0).gsd == pytest.approx(metres, rel=0.005)


def test_feet_are_converted_to_metres():
    assert square(2229, -118.2, 34.0, 1.0).gsd == pytest.approx(0.3048, rel=2e-4)
    site = GeoBox(10, 10, Affine(2, 0, 5, 0, -3, 7), SITE)
    assert site.ground_resolution == pytest.approx((0.6096012, 0.9144018))
    np.testing.assert_allclose(site.pixel_area(np.zeros((2, 2))), 6 * 0.3048006**2, rtol=1e-6)


def test_oblong_pixels_have_two_sides_and_one_mean():
    geobox = GeoBox(100, 100, Affine(0.5, 0, 5e5, 0, -2, 5e6), CRS.from_epsg(32633))
    assert geobox.ground_resolution == pytest.approx((0.5, 2), rel=5e-4)
    assert geobox.gsd == pytest.approx(1, rel=5e-4)


def test_without_a_crs_sizes_on_the_ground_are_unknown():
    geobox = GeoBox(100, 100, Affine.scale(0.6, -0.6), None)
    assert geobox.ground_resolution is None
    assert geobox.gsd is None
    assert np.isnan(geobox.pixel_area(np.zeros((3, 2)))).tolist() == [True] * 3


@given(st.floats(-180, 180), st.floats(-84, 84), st.floats(0.1, 50), st.floats(-180, 180))
@example(lon=0.0, lat=83.0, metres=43.0, turn=28.0)  # one end's latitude is not the step's
@example(lon=180.0, lat=10.0, metres=1.0, turn=0.0)  # the pixel lies on the antimeridian
def test_the_ground_is_the_same_in_any_crs(lon, lat, metres, turn):
    """Measure a square of WGS 84's in a local projection, which is true at its centre."""
    local = CRS.from_proj4(f"+proj=aeqd +lon_0={lon} +lat_0={lat} +datum=WGS84")
    geobox = GeoBox(
        2, 2, Affine.rotation(turn) @ Affine.scale(metres) @ Affine.translation(-1, -1), local
    )
    assert geobox.ground_resolution == pytest.approx((metres, metres), rel=1e-6)
    assert geobox.pixel_area(np.array([[1.0, 1.0]])) == pytest.approx(metres**2, rel=2e-6)
    assert Geod(ellps="WGS84").a == local.get_geod().a


def test_a_system_in_grads_has_its_true_size():
    """NTF (Paris) / Lambert zone II measures angles in grads, its pixels in metres."""
    box = GeoBox(100, 100, Affine(0.6, 0, 600_000, 0, -0.6, 2_200_000), CRS.from_epsg(27572))
    assert box.gsd == pytest.approx(0.6, rel=2e-3)
