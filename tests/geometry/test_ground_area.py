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
