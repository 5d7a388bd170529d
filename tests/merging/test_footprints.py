import numpy as np
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from geodet.geometry.geobox import GeoBox
from geodet.merging.footprints import find_footprints

UTM = CRS.from_epsg(32633)
places = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=12)


def square(x, y, side=4, crs=UTM):
    return GeoBox(side, side, Affine(1, 0, 500_000 + x, 0, -1, 4_500_000 - y), crs)


@given(places)
def test_neighbours_are_the_scenes_that_share_an_area(corners):
    found = find_footprints([square(x, y) for x, y in corners], UTM).neighbours
    for one, (x, y) in enumerate(corners):
        expected = [
            other
            for other, (u, v) in enumerate(corners)
            if other != one and abs(x - u) < 4 and abs(y - v) < 4
        ]
        assert found[one].tolist() == expected


def test_tiles_that_touch_are_no_neighbours():
    found = find_footprints([square(4 * n, 0) for n in range(3)], UTM).neighbours
    assert [len(near) for near in found] == [0, 0, 0]


def test_scenes_without_a_georeference_have_no_neighbours():
    bare = GeoBox(4, 4, Affine(1, 0, 0, 0, -1, 0), None)
    assert [len(near) for near in find_footprints([bare, bare], None).neighbours] == [0, 0]
    by_world_file = [square(0, 0, crs=None), square(1, 1, crs=None)]
    assert [len(near) for near in find_footprints(by_world_file, None).neighbours] == [1, 1]


def test_the_edge_of_a_reprojected_scene_bends_and_stays_within_the_extent():
    """In degrees the northern edge of a wide UTM scene rises in the middle."""
    wide = GeoBox(400, 10, Affine(1000, 0, 300_000, 0, -1000, 6_000_000), UTM)
    layer = CRS.from_epsg(4326)
    extent = find_footprints([wide], layer).extents[0]
    edge = wide.to_world(np.stack([np.linspace(0, 400, 9999), np.zeros(9999)], axis=-1), layer)
    corners = wide.to_world(np.array([[0.0, 0], [400, 0]]), layer)
    assert corners[:, 1].max() < edge[:, 1].max() < extent[3]


def test_a_scene_where_the_crs_of_the_layer_is_not_defined_may_lie_anywhere():
    over_the_pole = GeoBox(20, 20, Affine(0.01, 0, 10, 0, -0.01, 90.1), CRS.from_epsg(4326))
    polar = CRS.from_epsg(32661)
    far = GeoBox(4, 4, Affine(1, 0, 0, 0, -1, 0.5), polar)
    found = find_footprints([over_the_pole, far], polar).neighbours
    assert [near.tolist() for near in found] == [[1], [0]]


def test_a_few_thousand_tiles_are_compared_without_comparing_all_pairs():
    tiles = [square(3 * (n % 80), 3 * (n // 80)) for n in range(8_000)]
    found = find_footprints(tiles, UTM).neighbours
    assert len(found[0]) == 3
    assert len(found[81]) == 8
