import numpy as np
import pytest
from factories_models import write_pixels
from factories_photographs import nadir_pose, write_photograph

from geodet.photographs.photograph import Photograph, read_photograph, to_photograph
from geodet.photographs.tags import PictureTags

NO_CAMERA = "it has neither a georeference nor EXIF data of a camera"
FLIGHT = {
    "longitude": 15.0,
    "latitude": 45.0,
    "altitude_m": 350.0,
    "relative_altitude_m": 100.0,
    "focal_mm": 8.8,
    "focal_35_mm": 24.0,
    "pitch": -90.0,
    "yaw": 10.0,
    "roll": 0.0,
}


def taken(width=5472, height=3648, *, gsd=None, ground_altitude=None, **changes):
    tags = PictureTags(width, height, **(FLIGHT | changes))
    return to_photograph(tags, "a.jpg", gsd=gsd, ground_altitude=ground_altitude)


class TestGsd:
    def test_of_a_phantom_4_pro_as_its_maker_states_it(self):
        """13.2 x 8.8 mm, 5472 x 3648 px, 8.8 mm: 2.74 cm at 100 m; 24 mm is 0.3 % off."""
        assert taken().gsd_m == pytest.approx(0.0274, rel=0.01)
        assert taken().gsd_from == "relative altitude"

    def test_by_the_resolution_of_the_sensor(self):
        found = taken(pixels_per_mm=5472 / 13.2, focal_35_mm=None)
        assert found.gsd_m == pytest.approx(100 * 13.2 / 8.8 / 5472)

    def test_of_a_picture_that_was_made_smaller(self):
        whole = taken(pixels_per_mm=5472 / 13.2, sensor_columns=5472)
        half = taken(2736, 1824, pixels_per_mm=5472 / 13.2, sensor_columns=5472)
        assert half.gsd_m == pytest.approx(2 * whole.gsd_m)

    @pytest.mark.parametrize("film", [None, 24.0])
    @pytest.mark.parametrize("size", [(3648, 5472), (1824, 2736), (333, 500)])
    def test_of_a_picture_that_another_program_has_turned(self, size, film):
        """The camera's tags stay, and its columns are rows of the file."""
        sensor = {"pixels_per_mm": 5472 / 13.2, "sensor_columns": 5472, "sensor_rows": 3648}
        whole = taken(focal_35_mm=film, **sensor)
        turned = taken(*size, focal_35_mm=film, **sensor)
        assert turned.gsd_m == pytest.approx(whole.gsd_m * 5472 / size[1])
        if size == (3648, 5472):
            only_columns = sensor | {"sensor_rows": None}
            assert taken(*size, focal_35_mm=film, **only_columns).gsd_m == turned.gsd_m

    def test_of_a_picture_of_which_a_part_was_cut_off(self):
        sensor = {"pixels_per_mm": 5472 / 13.2, "sensor_columns": 5472, "sensor_rows": 3648}
        found = taken(3000, 3000, **sensor)
        assert (found.gsd_m, found.reason) == (None, "the size of its sensor is unknown")

    def test_film_counts_where_both_contradict_each_other(self, caplog):
        assert taken(pixels_per_mm=180 / 25.4).gsd_m == taken().gsd_m
        assert taken(pixels_per_mm=5472 / 40).gsd_m == taken().gsd_m
        assert "contradict each other" in caplog.text

    def test_altitude_above_the_sea_counts_only_above_a_known_ground(self):
        assert taken(relative_altitude_m=None).reason == "its height above the ground is unknown"
        found = taken(relative_altitude_m=None, ground_altitude=250)
        assert found.gsd_m == pytest.approx(taken().gsd_m)
        assert (found.gsd_from, found.height_m) == ("GPS altitude", 100)
        assert taken(relative_altitude_m=None, ground_altitude=400).gsd_m is None

    def test_height_above_take_off_comes_first(self):
        assert taken(ground_altitude=0).height_m == 100

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"focal_35_mm": None}, "the size of its sensor is unknown"),
            ({"zoom": 2.0}, "it was digitally zoomed 2 times"),
            ({"pitch": -45.0}, "the camera looked 45 degrees off the vertical"),
            ({"relative_altitude_m": -3.0}, "its height above the ground is unknown"),
        ],
    )
    def test_unknown(self, changes, reason):
        found = taken(**changes)
        assert (found.gsd_m, found.gsd_from, found.view) == (None, "unknown", None)
        assert found.reason.startswith(reason)

    def test_what_the_user_says_comes_first(self):
        found = taken(gsd=0.05)
        assert (found.gsd_m, found.gsd_from) == (0.05, "detect.gsd")
        assert found.view.areas(np.array([[0.0, 0, 20, 20]])) == pytest.approx([1.0])


class TestView:
    def test_sees_as_much_as_metres_per_pixel_say(self):
        view = taken().view
        area = view.areas(np.array([[0.0, 0, 100, 100]]))
        assert area == pytest.approx((100 * taken().gsd_m) ** 2)

    @pytest.mark.parametrize("missing", ["yaw", "pitch", "longitude"])
    def test_unknown_without_a_part_of_the_pose(self, missing):
        assert taken(**{missing: None}).view is None

    def test_metres_per_pixel_of_the_user_do_without_the_lens(self):
        view = taken(gsd=0.1, focal_35_mm=None, relative_altitude_m=None).view
        assert view.areas(np.array([[0.0, 0, 10, 10]])) == pytest.approx([1.0])

    def test_a_picture_on_its_side_has_its_sides_swapped(self):
        view = taken(orientation=6).view
        assert (view.width, view.height) == (3648, 5472)


class TestReadPhotograph:
    def test_of_a_picture_that_no_camera_took(self, tmp_path):
        path = write_pixels(tmp_path / "plain.tif", np.zeros((3, 8, 8), np.uint8))
        assert read_photograph(path, "plain.tif").reason == NO_CAMERA

    def test_of_a_file(self, tmp_path):
        path = write_photograph(tmp_path / "a.jpg", lonlat=(15, 45), film=24, xmp=nadir_pose(100))
        found = read_photograph(path, "flight/a.jpg")
        assert found.scene == "flight/a.jpg"
        assert found.gsd_m == pytest.approx(100 / (24 * 50 / np.hypot(36, 24)))

    def test_of_a_file_that_pillow_cannot_read(self, tmp_path):
        path = tmp_path / "a.jp2"
        path.write_bytes(b"something else")
        found = read_photograph(path, "a.jp2", gsd=0.5)
        assert found == Photograph("a.jp2", gsd_m=0.5, gsd_from="detect.gsd", reason=NO_CAMERA)
