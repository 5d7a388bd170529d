import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod
from scipy.spatial.transform import Rotation

from geodet.photographs.ground_view import GroundView, to_stored
from geodet.raster.orientation import Turn

angles = st.floats(-180, 180)
corner = st.tuples(st.floats(0, 400), st.floats(0, 300))


def looking(**more):
    about = {"height_m": 50.0, "focal_px": 500.0, "width": 400, "height": 300}
    return GroundView(15.0, 45.0, **(about | more))


class TestToMetres:
    def test_the_scale_is_height_over_focal_length(self):
        found = looking().to_metres(np.array([[200.0, 150.0], [300.0, 50.0]]))
        assert found == pytest.approx(np.array([[0.0, 0.0], [10.0, 10.0]]), abs=1e-9)

    @pytest.mark.parametrize(
        ("yaw", "top"), [(0, (0, 15)), (90, (15, 0)), (180, (0, -15)), (-90, (-15, 0))]
    )
    def test_the_yaw_says_where_the_top_is(self, yaw, top):
        found = looking(yaw=yaw).to_metres(np.array([200.0, 0.0]))
        assert found == pytest.approx(np.array(top), abs=1e-9)

    def test_a_camera_that_looks_ahead_sees_ground_ahead(self):
        found = looking(pitch=-80.0).to_metres(np.array([200.0, 150.0]))
        assert found == pytest.approx([0, 50 * np.tan(np.radians(10))])

    def test_the_sky_is_no_ground(self):
        found = looking(pitch=0.0).to_metres(np.array([[200.0, 10.0], [200.0, 290.0]]))
        assert np.isnan(found).any(axis=1).tolist() == [True, False]

    @given(xy=corner, yaw=angles, pitch=st.floats(-90, -75), roll=st.floats(-10, 10))
    def test_rays_are_those_of_scipys_rotation(self, xy, yaw, pitch, roll):
        """Ahead, right, down: intrinsic turns about down, right and ahead, as aircraft have."""
        turn = Rotation.from_euler("ZYX", [yaw, pitch, roll], degrees=True)
        north, east, down = turn.apply([500, xy[0] - 200, xy[1] - 150])
        found = looking(yaw=yaw, pitch=pitch, roll=roll).to_metres(np.array(xy))
        assert found == pytest.approx(np.array([east, north]) * 50 / down, abs=1e-6)


class TestToDegrees:
    @given(xy=corner, yaw=angles)
    def test_lies_as_far_away_as_the_metres_say(self, xy, yaw):
        view = looking(yaw=yaw)
        longitude, latitude = view.to_degrees(np.array(xy))
        _, _, length = Geod(ellps="WGS84").inv(15, 45, longitude, latitude)
        assert length == pytest.approx(np.hypot(*view.to_metres(np.array(xy))), abs=1e-6)

    def test_runs_on_over_the_antimeridian(self):
        view = GroundView(179.9999, -17.0, 50.0, 500.0, 400, 300)
        assert view.footprint[:, 0].max() > 180
        assert np.ptp(view.footprint[:, 0]) < 0.001


class TestAreas:
    def test_of_a_box_that_is_seen_from_above(self):
        assert looking(yaw=33.0).areas(np.array([[10.0, 10, 30, 50]])) == pytest.approx([8.0])

    def test_of_no_boxes(self):
        assert looking().areas(np.zeros((0, 4))).shape == (0,)


class TestToStored:
    @given(orientation=st.integers(1, 8), x=st.integers(0, 3), y=st.integers(0, 3))
    def test_is_how_scenes_are_turned(self, orientation, x, y):
        stored = np.arange(4 * 7).reshape(1, 4, 7)
        shown = Turn.of(orientation).applied(stored)
        column, row = to_stored(orientation, 7, 4) @ (x + 0.5, y + 0.5)
        assert stored[0, int(row), int(column)] == shown[0, y, x]

    @given(orientation=st.integers(1, 8))
    def test_a_turned_picture_shows_the_same_ground(self, orientation):
        turn = Turn.of(orientation)
        width, height = turn.size((400, 300))
        turned = looking(
            yaw=20.0, width=width, height=height, stored=to_stored(orientation, 400, 300)
        )
        at = np.array([30.0, 60.0])
        stored = np.array(to_stored(orientation, 400, 300) @ tuple(at))
        assert turned.to_metres(at) == pytest.approx(looking(yaw=20.0).to_metres(stored))
