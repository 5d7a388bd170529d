import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from geodet.errors import VectorError
from geodet.geometry.geobox import GeoBox
from geodet.geometry.reprojection import only_polygons, polygons_to_pixels, raster_bounds

WGS84 = CRS.from_epsg(4326)
PLACES = {
    "utm": (32633, 500_000.0, 4_500_000.0, 0.6),
    "mercator": (3857, 1_600_000.0, 5_000_000.0, 5.0),
    "degrees": (4326, 15.0, 42.0, 1e-5),
    "polar": (3413, 200_000.0, -900_000.0, 30.0),
    "pole": (3413, -3_000.0, 3_000.0, 30.0),
    "fiji": (32760, 818_950.0, 8_099_300.0, 2.0),  # crosses the antimeridian
    "turned": (4326, 285.0, -10.0, 1e-4),  # longitudes from 0 to 360
}


def make_geobox(place, *, width=200, height=160, angle=0.0, shear=0.0):
    epsg, x, y, size = PLACES[place]
    turned = Affine.translation(x, y) @ Affine.rotation(angle) @ Affine.shear(shear, 0)
    return GeoBox(width, height, turned @ Affine.scale(size, -size), CRS.from_epsg(epsg))


def to_world(geobox, xy, crs):
    world = geobox.to_world(xy)
    transformer = Transformer.from_crs(geobox.crs, crs, always_xy=True)
    return np.stack(transformer.transform(world[:, 0], world[:, 1]), axis=-1)


def around_the_world(crs):
    """Return the area of the whole world in a geographic CRS."""
    assert crs.is_geographic
    return np.array([shapely.box(-180, -90, 180, 90)])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("angle", [0, 30])
def test_the_whole_world_covers_every_raster(place, angle):
    geobox = make_geobox(place, angle=angle)
    shape = shapely.union_all(polygons_to_pixels(around_the_world(WGS84), WGS84, geobox))
    missing = shapely.box(0, 0, geobox.width, geobox.height) - shape
    assert missing.area < 0.1  # where the world is cut, at the pole and the antimeridian


@pytest.mark.parametrize("place", ["utm", "mercator", "degrees", "polar", "turned"])
@given(
    corners=st.tuples(st.floats(0, 0.6), st.floats(0, 0.6), st.floats(0.1, 1), st.floats(0.1, 1)),
    angle=st.floats(-180, 180),
    shear=st.floats(-30, 30),
    seed=st.integers(0, 99),
)
@settings(max_examples=15)
def test_a_point_is_inside_in_pixels_where_it_is_inside_on_the_ground(
    place, corners, angle, shear, seed
):
    """Test each point, in the CRS of the polygon, against the polygon."""
    geobox = make_geobox(place, angle=angle, shear=shear)
    x1, y1, x2, y2 = raster_bounds(geobox, WGS84)
    low = np.array([x1 + (x2 - x1) * corners[0], y1 + (y2 - y1) * corners[1]])
    high = low + np.array([x2 - x1, y2 - y1]) * corners[2:]
    ground = shapely.box(*low, *high)
    shape = shapely.union_all(polygons_to_pixels(np.array([ground]), WGS84, geobox))
    xy = np.random.default_rng(seed).uniform(0, 1, (400, 2)) * (geobox.width, geobox.height)
    places = to_world(geobox, xy, WGS84)
    places[:, 0] = x1 + (places[:, 0] - x1) % 360
    expected = shapely.intersects_xy(ground, places)
    near = shapely.distance(shape.boundary, shapely.points(xy)) < 0.02
    np.testing.assert_array_equal(shapely.intersects_xy(shape, xy)[~near], expected[~near])


def test_a_long_edge_keeps_its_curve():
    """A parallel of 2 degrees bends by hundreds of pixels in UTM; its chord would cut them off."""
    geobox = GeoBox(3000, 3000, Affine(60, 0, 410_000, 0, -60, 6_740_000), CRS.from_epsg(32633))
    area = np.array([shapely.box(13, 60, 17, 70)])
    (shape,) = polygons_to_pixels(area, WGS84, geobox)
    along = np.stack([np.linspace(13.5, 16.5, 50), np.full(50, 60.0)], axis=-1)
    x, y = Transformer.from_crs(4326, 32633, always_xy=True).transform(*along.T)
    pixels = geobox.to_pixels(np.stack([x, y], axis=-1))
    distances = shapely.distance(shape.boundary, shapely.points(pixels))
    assert distances.max() < 0.011
    chord = shapely.LineString(pixels[[0, -1]])
    assert shapely.distance(chord, shapely.points(pixels)).max() > 5


def test_in_the_rasters_own_crs_nothing_is_added():
    geobox = make_geobox("utm", angle=20)
    corners = geobox.to_world(np.array([[10.0, 10], [90, 20], [50, 70]]))
    (shape,) = polygons_to_pixels(np.array([shapely.Polygon(corners)]), geobox.crs, geobox)
    vertices = shapely.get_coordinates(shape)
    assert len(vertices) == 4
    np.testing.assert_allclose(np.unique(vertices.round(6), axis=0), [[10, 10], [50, 70], [90, 20]])


def test_holes_are_kept():
    geobox = make_geobox("utm")
    ring = geobox.to_world(np.array([[0.0, 0], [100, 0], [100, 100], [0, 100]]))
    hole = geobox.to_world(np.array([[40.0, 40], [60, 40], [60, 60], [40, 60]]))
    areas = np.array([shapely.Polygon(ring, [hole])])
    shape = shapely.union_all(polygons_to_pixels(areas, None, geobox))
    assert shape.area == pytest.approx(100 * 100 - 20 * 20)


@pytest.mark.parametrize(("place", "west"), [("utm", 14.0), ("mercator", 14.0)])
def test_what_is_far_away_is_cut_off(place, west):
    geobox = make_geobox(place)
    far = np.array([shapely.box(west - 90, -80, west - 60, 80), shapely.box(-70, 0, 10, 1)])
    assert len(polygons_to_pixels(far, WGS84, geobox)) == 0


def test_bounds_run_on_over_the_antimeridian():
    x1, _, x2, _ = raster_bounds(make_geobox("fiji"), WGS84)
    assert x1 < 180 < x2 or x1 < -180 < x2
    assert x2 - x1 < 1


def test_a_raster_beyond_the_other_crs_has_no_bounds():
    world = GeoBox(360, 180, Affine(1, 0, -180, 0, -1, 90), WGS84)
    assert not np.isfinite(raster_bounds(world, CRS.from_epsg(32633))).any()


def test_a_small_area_on_a_raster_of_the_world_keeps_its_place():
    world = GeoBox(3600, 1800, Affine(0.1, 0, -180, 0, -0.1, 90), WGS84)
    utm = CRS.from_epsg(32633)
    area = np.array([shapely.box(450_000, 4_400_000, 550_000, 4_600_000)])
    (shape,) = polygons_to_pixels(area, utm, world)
    x, y = Transformer.from_crs(utm, WGS84, always_xy=True).transform(500_000, 4_500_000)
    assert shape.contains(shapely.Point(world.to_pixels(np.array([x, y]))))
    assert shape.area < 12 * 20


def test_a_vertex_where_the_crs_is_undefined_is_an_error():
    """The corners of the square are beside the disc of the earth that this projection draws."""
    world = GeoBox(360, 180, Affine(1, 0, -180, 0, -1, 90), WGS84)
    seen_from_space = CRS.from_proj4("+proj=ortho +lat_0=0 +lon_0=0 +type=crs")
    square = np.array([shapely.box(-6e6, -6e6, 6e6, 6e6)])
    with pytest.raises(VectorError, match="WGS 84 is not defined at some vertices"):
        polygons_to_pixels(square, seen_from_space, world)


def test_a_local_grid_cannot_be_transformed_to_degrees():
    local = CRS.from_wkt('LOCAL_CS["site grid",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')
    geobox = GeoBox(10, 10, Affine.identity(), local)
    with pytest.raises(VectorError, match="no transformation from site grid to WGS 84"):
        polygons_to_pixels(around_the_world(WGS84), WGS84, geobox)


def test_broken_shapes_become_polygons():
    bow = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    spike = shapely.Polygon([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (-3, 0)])
    line = shapely.Polygon([(0, 0), (1, 1), (2, 2)])
    mixed = shapely.GeometryCollection([shapely.box(0, 0, 1, 1), shapely.MultiPolygon([bow])])
    parts = only_polygons(np.array([bow, spike, line, mixed, shapely.Polygon()]))
    assert shapely.is_valid(parts).all()
    assert set(shapely.get_type_id(parts).tolist()) == {shapely.GeometryType.POLYGON}
    assert shapely.area(parts).sum() == pytest.approx(2 + 16 + 1 + 2)
