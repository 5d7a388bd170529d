import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from geodet.errors import ConfigError, VectorError
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window, WindowGrid
from geodet.vector.area_of_interest import AreaOfInterest, aoi_of_bounds, read_aoi

UTM = CRS.from_epsg(32633)
SCENE = GeoBox(400, 300, Affine(0.5, 0, 500_000, 0, -0.5, 4_500_000), UTM)
BARE = GeoBox(400, 300, Affine(1, 0, 0, 0, -1, 0), None)
WORLD_OF_SCENE = (500_000, 4_499_850, 500_200, 4_500_000)


def save(path, geometries, *, crs=UTM, **options):
    """Write a vector file."""
    gpd.GeoDataFrame(geometry=list(geometries), crs=crs).to_file(path, **options)
    return path


def read_region(path, geobox):
    (aoi,) = read_aoi(path, [geobox])
    return aoi


def on_ground(x1, y1, x2, y2):
    """Return a box of pixels in world coordinates."""
    return shapely.box(500_000 + x1 / 2, 4_500_000 - y2 / 2, 500_000 + x2 / 2, 4_500_000 - y1 / 2)


def star(rng, *, size, corners):
    """Draw a star-shaped polygon around the middle of a square."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(0.1, 0.6, corners) * size
    xy = size / 2 + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return shapely.make_valid(shapely.Polygon(xy))


def region_of(shape, width=100, height=100):
    return AreaOfInterest(shapely.get_parts(np.array([shape])), width, height, "")


def union(aoi):
    return shapely.union_all(aoi.polygons)


areas = st.builds(
    lambda seed, corners: region_of(star(np.random.default_rng(seed), size=100, corners=corners)),
    st.integers(0, 999),
    st.integers(3, 30),
)


@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "NaN"])
def test_coordinates_that_are_not_finite_are_refused_by_their_object(tmp_path, value):
    whole = on_ground(10, 10, 50, 50)
    text = save(tmp_path / "a.geojson", [whole, whole]).read_text()
    before, _, after = text.rpartition("500005.0")
    (tmp_path / "b.geojson").write_text(f"{before}{value}{after}")
    with pytest.raises(
        VectorError, match=r"b\.geojson, object 2 has a coordinate that is not a fin"
    ):
        read_region(tmp_path / "b.geojson", SCENE)


def test_a_point_on_the_edge_belongs_to_the_area():
    aoi = aoi_of_bounds((500_005, 4_499_950, 500_050, 4_499_990), SCENE)
    edge = np.array([[10.0, 20], [100, 100], [10, 50], [55, 20]])
    assert aoi.contains(edge).all()
    assert not aoi.contains(edge + np.array([[-0.01, 0], [0.01, 0], [-0.01, 0], [0, -0.01]])).any()


@given(areas, st.integers(0, 99))
def test_contains_agrees_with_shapely_point_by_point(aoi, seed):
    xy = np.random.default_rng(seed).uniform(-10, 110, (50, 2))
    expected = [union(aoi).intersects(shapely.Point(point)) for point in xy]
    assert aoi.contains(xy).tolist() == expected


@settings(max_examples=25)
@given(areas, st.integers(8, 60), st.integers(0, 6), st.floats(0, 5), st.integers(0, 99))
def test_an_area_touches_a_window_of_which_it_contains_a_point(aoi, size, overlap, margin, seed):
    grid = WindowGrid(100, 100, size, overlap)
    xy = np.random.default_rng(seed).uniform(0, 100, (40, 2))
    xy = xy[aoi.contains(xy)]
    for index in range(len(grid)):
        core = grid.core(index)
        low = np.array([core.col_off, core.row_off]) - margin
        high = np.array([core.col_end, core.row_end]) + margin
        if np.all((xy >= low) & (xy <= high), axis=1).any():
            assert aoi.touches(core, margin=margin)
        if not aoi.touches(core):
            assert not aoi.touches(Window(core.col_off, core.row_off, 1, 1))


def test_a_coast_of_many_vertices_is_cut_into_pieces_without_a_gap():
    """Points on the cuts and at the vertices themselves belong, too."""
    angles = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    radii = 40 + 4 * np.sin(60 * angles)
    coast = 50 + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    aoi = region_of(shapely.Polygon(coast))
    grid = np.stack(np.meshgrid(np.linspace(0, 100, 129), np.linspace(0, 100, 129)), axis=-1)
    xy = np.concatenate([grid.reshape(-1, 2), 50 + 0.5 * (coast - 50)])
    expected = shapely.intersects_xy(union(aoi), xy)
    np.testing.assert_array_equal(aoi.contains(xy), expected)
    assert aoi.contains(coast[::7]).all()
    assert not aoi.contains(50 + 1.001 * (coast - 50)).any()


def test_a_window_in_a_hole_or_beside_does_not_touch():
    ring = shapely.box(0, 0, 100, 100) - shapely.box(20, 20, 80, 80)
    aoi = region_of(ring, 200, 100)
    assert not aoi.touches(Window(30, 30, 40, 40))
    assert aoi.touches(Window(30, 30, 50, 40))  # reaches the inner edge
    assert aoi.touches(Window(30, 30, 40, 40), margin=10)
    assert not aoi.touches(Window(101, 0, 20, 20))


@given(areas, st.floats(0.2, 5), st.floats(0.2, 5), st.integers(0, 99))
def test_scaling_moves_points_and_windows_along(aoi, x, y, seed):
    xy = np.random.default_rng(seed).uniform(0, 100, (50, 2))
    near = shapely.distance(shapely.boundary(union(aoi)), shapely.points(xy)) < 1e-6
    scaled = aoi.scaled(x, y)
    np.testing.assert_array_equal(scaled.contains(xy * (x, y))[~near], aoi.contains(xy)[~near])
    assert scaled.is_empty == aoi.is_empty
    assert (scaled.width, scaled.height) == (100 * x, 100 * y)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "fgb", "gml", "kml"])
def test_an_area_is_read_from_any_format_and_crs(tmp_path, suffix):
    """The same square in degrees; longitude comes first whatever the authority says."""
    square = gpd.GeoSeries([on_ground(100, 100, 200, 200)], crs=UTM).to_crs(4326)
    aoi = read_region(save(tmp_path / f"area.{suffix}", square, crs=4326), SCENE)
    np.testing.assert_allclose(union(aoi).bounds, (100, 100, 200, 200), atol=0.05)


def test_polygons_are_dissolved(tmp_path):
    two = [on_ground(0, 0, 60, 60), on_ground(40, 0, 100, 60), on_ground(200, 0, 210, 10)]
    aoi = read_region(save(tmp_path / "area.gpkg", two), SCENE)
    assert union(aoi).area == pytest.approx(6000 + 100)
    assert aoi.contains(np.array([[50, 30], [150, 5], [205, 5]])).tolist() == [True, False, True]


def test_broken_polygons_are_repaired(tmp_path):
    corners = SCENE.to_world(np.array([[0.0, 0], [100, 100], [100, 0], [0, 100]]))
    aoi = read_region(save(tmp_path / "area.gpkg", [shapely.Polygon(corners)]), SCENE)
    assert aoi.contains(np.array([[10, 50], [90, 50], [50, 10]])).tolist() == [True, True, False]


def test_height_and_missing_geometries_do_not_matter(tmp_path):
    high = shapely.force_3d(on_ground(0, 0, 10, 10), 7.0)
    file = save(tmp_path / "area.gpkg", [high, None, shapely.Polygon()])
    assert union(read_region(file, SCENE)).area == pytest.approx(100)


@given(
    angle=st.floats(-180, 180),
    low=st.tuples(st.floats(0, 200), st.floats(0, 150)),
    size=st.tuples(st.floats(1, 200), st.floats(1, 150)),
)
@settings(max_examples=20)
def test_bounds_in_degrees_keep_what_lies_between_them(angle, low, size):
    geobox = GeoBox(400, 300, SCENE.transform @ Affine.rotation(angle), UTM)
    to_degrees = Transformer.from_crs(UTM, 4326, always_xy=True)
    pixels = np.array([low, np.add(low, size)])
    lon, lat = to_degrees.transform(*geobox.to_world(pixels).T)
    bounds = (min(lon), min(lat), max(lon) + 1e-9, max(lat) + 1e-9)
    aoi = aoi_of_bounds(bounds, geobox, "EPSG:4326")
    xy = np.random.default_rng(0).uniform(0, 1, (200, 2)) * (400, 300)
    lon, lat = to_degrees.transform(*geobox.to_world(xy).T)
    inside = (lon >= bounds[0]) & (lon <= bounds[2]) & (lat >= bounds[1]) & (lat <= bounds[3])
    near = shapely.distance(shapely.boundary(union(aoi)), shapely.points(xy)) < 0.02
    np.testing.assert_array_equal(aoi.contains(xy)[~near], inside[~near])


def test_bounds_may_cross_the_antimeridian():
    fiji = GeoBox(1000, 500, Affine(100, 0, 770_000, 0, -100, 8_110_000), CRS.from_epsg(32760))
    aoi = aoi_of_bounds((179.9, -18, -179.9, -17), fiji, "EPSG:4326")
    to_pixels = Transformer.from_crs(4326, 32760, always_xy=True)
    xy = np.stack(to_pixels.transform([179.95, -179.95, 179.8, -179.8], [-17.3] * 4), axis=-1)
    assert aoi.contains(fiji.to_pixels(xy)).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((1, 2, 3), "bounds are four numbers"),
        ((1, 2, 3, float("nan")), "bounds are four numbers"),
        ((9, 2, 3, 4), "have no area"),
        ((1, 5, 3, 5), "have no area"),
    ],
)
def test_bounds_in_another_order_are_refused(bounds, message):
    with pytest.raises(ConfigError, match=message) as caught:
        aoi_of_bounds(bounds, SCENE)
    assert "longitude before latitude" in caught.value.hint


def test_bounds_in_an_unknown_crs_are_refused():
    with pytest.raises(ConfigError, match="'EPSG:0' is not a CRS"):
        aoi_of_bounds((1, 2, 3, 4), SCENE, "EPSG:0")
    with pytest.raises(ConfigError, match="in WGS 84, and the scene has no CRS"):
        aoi_of_bounds((1, 2, 3, 4), BARE, "EPSG:4326")
    aoi = aoi_of_bounds((0, -300, 100, -200), BARE)
    assert union(aoi).bounds == (0, 200, 100, 300)


def test_an_area_that_misses_the_scene_is_an_error_with_both_extents(tmp_path):
    file = save(tmp_path / "area.gpkg", [shapely.box(11, 40, 12, 41)], crs=4326)
    aoi = read_region(file, SCENE)
    assert aoi.is_empty
    assert not aoi.contains(np.array([[1.0, 1], [200, 150]])).any()
    assert not aoi.touches(Window(0, 0, 400, 300))
    with pytest.raises(
        VectorError,
        match=r"area spans 11,40 to 12,41 and the scene 15,40\.\d* to 15\.\d*,40\.\d* in WGS",
    ):
        aoi.check_meets_scene()


def test_bounds_in_degrees_that_miss_the_scene_get_their_crs_in_the_hint():
    aoi = aoi_of_bounds((15, 40.649, 15.001, 40.65), SCENE)
    remedy = r'--bounds 15,40\.649,15\.001,40\.65,EPSG:4326, in Python bounds_crs="EPSG:4326"'
    with pytest.raises(VectorError, match=remedy):
        aoi.check_meets_scene()
    assert not aoi_of_bounds((15, 40.649, 15.001, 40.65), SCENE, "EPSG:4326").is_empty


def test_an_area_in_degrees_without_a_crs_is_given_one_with_ogr2ogr(tmp_path):
    file = save(tmp_path / "area.geojson", [shapely.box(15, 40.649, 15.001, 40.65)], crs=UTM)
    with pytest.raises(VectorError, match=r"ogr2ogr -a_srs EPSG:4326 NEW\.gpkg FILE") as caught:
        read_region(file, SCENE).check_meets_scene()
    assert "--crs" not in str(caught.value)


def test_an_area_that_is_cut_off_beside_the_scene_is_empty_too():
    x1, y1, x2, y2 = WORLD_OF_SCENE
    aoi = aoi_of_bounds((x2 + 1, y1, x2 + 9, y2), SCENE)
    assert aoi.is_empty
    inside = aoi_of_bounds((x1, y1, x2, y2), SCENE)
    inside.check_meets_scene()
    assert not inside.is_empty


def test_without_a_crs_the_area_is_taken_as_in_the_scenes(tmp_path, caplog):
    corners = "500000 4500000,500100 4500000,500100 4499900,500000 4500000"
    (tmp_path / "area.csv").write_text(f'WKT\n"POLYGON(({corners}))"\n')
    aoi = read_region(tmp_path / "area.csv", SCENE)
    assert union(aoi).area == pytest.approx(200 * 200 / 2)
    assert "area.csv has no CRS: it is assumed to be in the scene's CRS" in caplog.text
    caplog.clear()
    (tmp_path / "bare.csv").write_text('WKT\n"POLYGON((0 0,9 0,9 -9,0 -9,0 0))"\n')
    assert union(read_region(tmp_path / "bare.csv", BARE)).bounds == (0, 0, 9, 9)
    assert not caplog.text


def test_one_file_gives_each_scene_its_area_and_one_warning(tmp_path, caplog):
    (tmp_path / "area.csv").write_text(
        'WKT\n"POLYGON((500000 4500000,500010 4500000,500010 4499990,500000 4500000))"\n'
    )
    east = GeoBox(400, 300, Affine(0.5, 0, 500_005, 0, -0.5, 4_500_000), UTM)
    here, there = read_aoi(tmp_path / "area.csv", [SCENE, east])
    np.testing.assert_allclose(union(here).bounds, (0, 0, 20, 20))
    np.testing.assert_allclose(union(there).bounds, (-10, 0, 10, 20))
    assert caplog.text.count("has no CRS: it is assumed") == 1


def test_an_area_with_a_crs_is_refused_for_a_scene_without_one(tmp_path):
    file = save(tmp_path / "area.gpkg", [shapely.box(0, -9, 9, 0)])
    with pytest.raises(
        VectorError, match="has the CRS WGS 84 / UTM zone 33N, and the scene has none"
    ):
        read_region(file, BARE)


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (shapely.Point(1, 1), "point"),
        (shapely.MultiPoint([(1, 1), (2, 2)]), "point"),
        (shapely.LineString([(0, 0), (1, 1)]), "linestring"),
        (shapely.GeometryCollection([shapely.Point(1, 1), shapely.box(0, 0, 1, 1)]), "point"),
    ],
)
def test_points_and_lines_are_refused_as_an_area(tmp_path, shape, name):
    file = save(tmp_path / "area.gpkg", [on_ground(0, 0, 9, 9), shape])
    with pytest.raises(
        VectorError, match=rf"of \d geometries are of the type {name}, which has no"
    ):
        read_region(file, SCENE)


def test_files_without_one_layer_of_polygons_are_refused(tmp_path):
    with pytest.raises(VectorError, match=r"no such file: .*gone\.gpkg"):
        read_region(tmp_path / "gone.gpkg", SCENE)
    (tmp_path / "text.gpkg").write_text("no")
    with pytest.raises(VectorError, match="as a vector file"):
        read_region(tmp_path / "text.gpkg", SCENE)
    for layer in ("north", "south"):
        save(tmp_path / "two.gpkg", [on_ground(0, 0, 1, 1)], layer=layer)
    with pytest.raises(VectorError, match="has 2 layers with geometries: north, south"):
        read_region(tmp_path / "two.gpkg", SCENE)
    with pytest.raises(VectorError, match="no polygon with an area"):
        read_region(save(tmp_path / "empty.gpkg", []), SCENE)
