"""The examined part of polygons, against shapely."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geodet.counting.examined_parts import ExaminedParts, find_examined_parts
from geodet.vector.examined_ground import ExaminedGround

UTM = CRS.from_epsg(32633)
X, Y = 500_000.0, 5_000_000.0


def at(x1, y1, x2, y2):
    return shapely.box(X + x1, Y + y1, X + x2, Y + y2)


GROUND = shapely.union_all(
    [at(0, 0, 100, 200).difference(at(20, 20, 60, 60)), shapely.Point(X + 300, Y + 100).buffer(80)]
)


def parts_of(shapes, ground=GROUND, crs=UTM, ground_crs=UTM):
    there = ExaminedGround(Path("found.gpkg"), ground, ground_crs)
    return find_examined_parts(np.array(shapes, object), crs, there)


corners = st.tuples(*[st.integers(-50, 450)] * 2)


@settings(max_examples=60)
@given(st.lists(st.tuples(corners, st.integers(1, 200), st.integers(1, 200)), min_size=1))
def test_the_part_is_the_intersection_with_the_ground(places):
    shapes = [at(x, y, x + width, y + height) for (x, y), width, height in places]
    found = parts_of(shapes)
    expected = shapely.area(shapely.intersection(shapes, GROUND)) / shapely.area(shapes)
    np.testing.assert_allclose(found.shares, expected, atol=2e-4)
    np.testing.assert_allclose(shapely.area(found.shapes), expected * shapely.area(shapes), atol=5)
    np.testing.assert_array_equal(found.shares == 0, shapely.is_empty(found.shapes))


@pytest.mark.parametrize("epsg", [4326, 3857, 32634])
def test_edges_that_are_the_same_in_another_crs_leave_no_slivers(epsg):
    sides = [(0, 100), (100, 200), (50, 150)]
    shapes = geopandas.GeoSeries([at(x, 0, x2, 100) for x, x2 in sides], crs=UTM).to_crs(epsg)
    found = parts_of(shapes.to_numpy(), at(0, 0, 100, 100), CRS.from_epsg(epsg))
    assert found.shares[:2].tolist() == [1, 0]
    assert found.shares[2] == pytest.approx(0.5, abs=1e-3)
    assert found.areas[0] == pytest.approx(10_008, rel=1e-4)  # 0.9996 is UTM's scale there


def test_a_small_scene_in_a_large_polygon_is_a_part_of_it():
    found = parts_of([at(-1e6, -1e6, 1e6, 1e6)], at(0, 0, 100, 100))
    assert found.shares[0] == pytest.approx(2.5e-9, rel=1e-2)
    assert found.is_partial.tolist() == [True]


def test_polygons_without_a_place_have_no_share():
    found = parts_of([None, shapely.Polygon(), at(0, 0, 10, 10)])
    assert np.isnan(found.shares).tolist() == [True, True, False]
    assert (found.is_unseen.any(), found.is_any) == (False, True)


def test_without_a_crs_shares_are_known_and_areas_are_not():
    found = parts_of([at(50, 0, 150, 100)], at(0, 0, 100, 100), None, None)
    assert found.shares.tolist() == [0.5]
    assert np.isnan(found.areas).all()


def test_ground_across_the_antimeridian_covers_polygons_on_either_side():
    wgs84 = CRS.from_epsg(4326)
    east = [shapely.box(179.95, 0, 180, 0.1)]
    west = [shapely.box(-180, 0, -179.95, 0.1)]
    for shapes in (east, west):
        found = parts_of(shapes, shapely.box(179.9, 0, 180.1, 1), wgs84, wgs84)
        assert found.shares.tolist() == [1]


@pytest.mark.parametrize(
    ("shares", "text"),
    [
        ([1.0, np.nan], ""),
        ([0.5], "the only plot was examined only in part"),
        ([0.5, 1.0], "1 of 2 plots was examined only in part"),
        ([0.0, 1.0, 0.0], "2 of 3 plots were not examined"),
        (
            [0.0, 0.2, 0.3],
            "1 of 3 plots was not examined, and 2 of 3 plots were examined only in part",
        ),
    ],
)
def test_only_the_gaps_that_there_are_are_named(shares, text):
    parts = ExaminedParts(np.full(len(shares), None), np.ones(len(shares)), np.array(shares))
    assert parts.describe_gaps("plot") == text
    assert parts.describe_gaps("plot", verb="seen") == text.replace("examined", "seen")
