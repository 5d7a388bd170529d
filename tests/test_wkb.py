import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geodet.vectors.wkb import pack_wkb

numbers = st.floats(-1e8, 1e8, allow_nan=False)


@given(
    corners=arrays(
        np.float64, st.tuples(st.integers(0, 5), st.just(4), st.just(2)), elements=numbers
    )
)
def test_polygons_are_those_of_shapely(corners):
    closed = np.concatenate([corners, corners[:, :1]], axis=1)
    expected = shapely.to_wkb(shapely.polygons(closed), byte_order=1).tolist()
    assert [row.tobytes() for row in pack_wkb(corners)] == expected


@given(
    points=arrays(
        np.float64, st.tuples(st.integers(0, 5), st.just(1), st.just(2)), elements=numbers
    )
)
def test_points_are_those_of_shapely(points):
    expected = shapely.to_wkb(shapely.points(points[:, 0]), byte_order=1).tolist()
    assert [row.tobytes() for row in pack_wkb(points)] == expected
