"""Areas on the ellipsoid, against pyproj's own for single polygons and against exact values."""

import geopandas
import numpy as np
import pytest
import shapely
from pyproj import CRS, Geod
from shapely.geometry.polygon import orient

from geodet.geometry.ground_area import ground_areas

WGS84 = CRS.from_epsg(4326)
GEOD = Geod(ellps="WGS84")


def test_a_polygon_in_degrees_has_the_area_that_pyproj_computes():
    triangle = shapely.Polygon([(10, 50), (10.02, 50.001), (10.01, 50.02)])
    expected, _ = GEOD.geometry_area_perimeter(orient(triangle))
    assert ground_areas(np.array([triangle]), WGS84) == pytest.approx([expected], rel=1e-9)


def test_the_whole_eastern_hemisphere_is_half_the_earth():
    half = shapely.box(0, -90, 180, 90)
    whole = 510_065_621_724_088.44  # m2 of the WGS 84 ellipsoid, GeographicLib's documentation
    assert ground_areas(np.array([half]), WGS84)[0] == pytest.approx(whole / 2, rel=1e-3)


def zone_area(south, north):
    """Compute the area between two parallels, in closed form."""
    a, e2 = GEOD.a, GEOD.es
    e, sines = e2**0.5, np.sin(np.radians([south, north]))
    q = sines / (1 - e2 * sines**2) + np.log((1 + e * sines) / (1 - e * sines)) / (2 * e)
    return np.pi * a**2 * (1 - e2) * float(q[1] - q[0])


H = 20_037_508.342789244


@pytest.mark.parametrize(
    ("epsg", "polygon", "expected"),
    [
        (4326, shapely.box(-180, -90, 180, 90), zone_area(-90, 90)),
        (4326, shapely.box(-180, -60, 180, 85), zone_area(-60, 85)),
        (4326, shapely.box(-180, -90, 180, -60), zone_area(-90, -60)),
        (4326, shapely.box(-170, -80, 170, 80), zone_area(-80, 80) * 340 / 360),
        (3857, shapely.box(-H, -H, H, H), zone_area(-85.0511287798066, 85.0511287798066)),
        (6931, shapely.Point(0, 0).buffer(1.2e7, quad_segs=64), np.pi * 1.44e14),
    ],
)
def test_an_area_of_more_than_half_the_earth_is_not_that_of_the_rest(epsg, polygon, expected):
    area = ground_areas(np.array([polygon, None]), CRS.from_epsg(epsg))[0]
    assert area == pytest.approx(expected, rel=2e-3)


def test_holes_are_taken_away_and_parts_added_whichever_way_their_rings_run():
    outer, hole = shapely.box(0, 0, 0.04, 0.04), shapely.box(0.01, 0.01, 0.02, 0.02)
    far = shapely.box(1, 0, 1.01, 0.01)
    areas = ground_areas(np.array([outer, hole, far]), WGS84)
    for sign in (1, -1):
        holed = orient(outer.difference(hole), sign)
        both = shapely.MultiPolygon([holed, orient(far, -sign)])
        expected = areas[0] - areas[1] + areas[2]
        assert ground_areas(np.array([both]), WGS84) == pytest.approx([expected], rel=1e-9)


def test_a_projection_does_not_change_the_area():
    mercator = CRS.from_epsg(3857)  # which stretches areas by 2.6 here
    square = shapely.box(1_000_000, 6_500_000, 1_000_500, 6_500_500)
    utm = CRS.from_epsg(32632)
    on_utm = geopandas.GeoSeries([square], crs=mercator).to_crs(utm).to_numpy()
    areas = ground_areas(np.array([square]), mercator)
    assert areas == pytest.approx(ground_areas(on_utm, utm), rel=1e-6)
    assert areas[0] < 250_000 / 2


def test_long_edges_follow_the_projection():
    box = shapely.box(0, 60, 20, 61)  # between parallels, which are no geodesics
    fine = ground_areas(np.array([shapely.segmentize(box, 0.01)]), WGS84)[0]
    assert ground_areas(np.array([box]), WGS84)[0] == pytest.approx(fine, rel=1e-3)
    assert GEOD.geometry_area_perimeter(orient(box))[0] < 0.99 * fine


def test_without_a_crs_the_area_is_unknown():
    assert np.isnan(ground_areas(np.array([shapely.box(0, 0, 1, 1)]), None)).all()


def test_empty_and_missing_polygons_have_no_area():
    assert ground_areas(np.array([shapely.Polygon(), None]), WGS84).tolist() == [0, 0]


def test_a_local_grid_is_a_plane():
    feet = CRS.from_wkt('LOCAL_CS["site",UNIT["foot",0.3048],AXIS["x",EAST],AXIS["y",NORTH]]')
    areas = ground_areas(np.array([shapely.box(5, 5, 15, 25), None], object), feet)
    np.testing.assert_allclose(areas, [200 * 0.3048**2, 0.0])


def test_a_polygon_without_a_place_has_no_known_area():
    endless = shapely.Polygon([(0, 0), (np.inf, 0), (np.inf, np.inf)])
    areas = ground_areas(np.array([endless, shapely.box(5, 5, 6, 6)], object), CRS.from_epsg(32633))
    assert np.isnan(areas[0])
    assert areas[1] > 0
