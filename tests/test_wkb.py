import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geodet.vectors.wkb import pack_geopackage, pack_wkb

numbers = st.floats(-1e8, 1e8, allow_nan=False)


@given(
    corners=arrays(
        np.float64, st.tuples(st.integers(0, 5), st.just(4), st.just(2)), elements=numbers
    )
)
def test_polygons_are_those_of_shapely(corners):
    closed = np.concatenate([corners, corners[:, :1]], axis=1)
    assert pack_wkb(corners) == shapely.to_wkb(shapely.polygons(closed), byte_order=1).tolist()


@given(
    points=arrays(
        np.float64, st.tuples(st.integers(0, 5), st.just(1), st.just(2)), elements=numbers
    )
)
def test_points_are_those_of_shapely(points):
    assert pack_wkb(points) == shapely.to_wkb(shapely.points(points[:, 0]), byte_order=1).tolist()


@pytest.mark.parametrize("corners", [4, 1])
def test_a_geopackage_has_a_head_before_the_same_bytes(corners):
    coordinates = np.random.default_rng(0).uniform(-9, 9, (3, corners, 2))
    head = 40 if corners == 4 else 8
    for blob, shape, ring in zip(
        pack_geopackage(coordinates, -1), pack_wkb(coordinates), coordinates, strict=True
    ):
        assert blob[head:] == shape
        assert blob[:4] == b"GP\0" + (b"\x03" if corners == 4 else b"\x01")
        assert int.from_bytes(blob[4:8], "little", signed=True) == -1
        if corners == 4:
            x1, x2, y1, y2 = np.frombuffer(blob[8:40], "<f8")
            assert [x1, y1] == ring.min(axis=0).tolist()
            assert [x2, y2] == ring.max(axis=0).tolist()
