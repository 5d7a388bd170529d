import json
import logging
import shutil
import subprocess

import numpy as np
import pytest
from factories_photographs import make_xmp, nadir_pose, write_photograph
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from geodet.photographs.tags import PictureTags, read_tags

EXIFTOOL = shutil.which("exiftool")
needs_exiftool = pytest.mark.skipif(EXIFTOOL is None, reason="exiftool is not installed")


def ask_exiftool(path):
    """Return what exiftool reads of a file, as numbers where it can."""
    asked = [EXIFTOOL, "-json", "-n", "-G0", str(path)]
    (found,) = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)
    return found


class TestPillowsFiles:
    def test_all_that_a_drone_writes_is_read(self, tmp_path):
        path = write_photograph(
            tmp_path / "a.jpg",
            lonlat=(-3.7038, 40.4168),
            altitude=667.25,
            time="2024:05:01 10:20:30",
            part="250",
            offset="+02:00",
            focal=8.8,
            film=24,
            density=4100,
            unit=3,
            columns=4000,
            rows=3000,
            zoom=1.0,
            orientation=6,
            xmp=nadir_pose(50.1, yaw=-123.4, pitch=-89.9, roll=180),
        )
        found = read_tags(path)
        assert (found.longitude, found.latitude) == pytest.approx((-3.7038, 40.4168), abs=1e-9)
        assert found == PictureTags(
            width=40,
            height=30,
            orientation=6,
            longitude=found.longitude,
            latitude=found.latitude,
            altitude_m=667.25,
            relative_altitude_m=50.1,
            time="2024-05-01T10:20:30.250+02:00",
            camera="DJI FC6310",
            focal_mm=8.8,
            focal_35_mm=24,
            pixels_per_mm=410,
            sensor_columns=4000,
            sensor_rows=3000,
            zoom=1,
            pitch=-89.9,
            yaw=-123.4,
            roll=180,
        )

    @pytest.mark.parametrize("ending", ["jpg", "tif", "png", "webp"])
    def test_every_format_of_cameras(self, tmp_path, ending):
        xmp = None if ending == "png" else nadir_pose(40)
        path = write_photograph(tmp_path / f"a.{ending}", lonlat=(170.5, -45.25), film=28, xmp=xmp)
        found = read_tags(path)
        assert (found.longitude, found.latitude) == pytest.approx((170.5, -45.25))
        assert found.focal_35_mm == 28
        assert found.relative_altitude_m == (None if ending == "png" else 40)

    def test_below_the_sea(self, tmp_path):
        path = write_photograph(tmp_path / "a.jpg", lonlat=(35.5, 31.5), altitude=-430.5)
        assert read_tags(path).altitude_m == -430.5

    def test_without_any_tag(self, tmp_path):
        path = tmp_path / "a.png"
        Image.new("RGB", (7, 5)).save(path)
        assert read_tags(path) == PictureTags(7, 5)

    def test_another_file(self, tmp_path, caplog):
        path = tmp_path / "a.jpg"
        path.write_text("no picture")
        assert read_tags(path) is None
        assert not caplog.records

    def test_zeros_of_a_camera_without_satellites(self, tmp_path, caplog):
        path = write_photograph(tmp_path / "a.jpg", lonlat=(0, 0), time="0000:00:00 00:00:00")
        found = read_tags(path)
        assert (found.longitude, found.latitude, found.time) == (None, None, "")
        assert "position is not a place" in caplog.text

    def test_flight_yaw_stands_in_for_the_gimbals(self, tmp_path):
        path = write_photograph(tmp_path / "a.jpg", xmp=make_xmp(FlightYawDegree="+12.5"))
        assert read_tags(path).yaw == 12.5

    def test_the_model_is_not_named_twice(self, tmp_path):
        path = write_photograph(tmp_path / "a.jpg", camera=("Canon", "Canon EOS R5"))
        assert read_tags(path).camera == "Canon EOS R5"


@needs_exiftool
class TestExiftool:
    def test_reads_the_same(self, tmp_path):
        path = write_photograph(
            tmp_path / "a.jpg",
            lonlat=(-3.70381, -40.41683),
            altitude=12.5,
            time="2024:05:01 10:20:30",
            part="25",
            offset="-03:30",
            focal=8.8,
            film=24,
            xmp=nadir_pose(50.1, yaw=-123.4),
        )
        theirs, ours = ask_exiftool(path), read_tags(path)
        assert theirs["Composite:GPSLatitude"] == pytest.approx(ours.latitude, abs=1e-8)
        assert theirs["Composite:GPSLongitude"] == pytest.approx(ours.longitude, abs=1e-8)
        assert theirs["Composite:GPSAltitude"] == ours.altitude_m
        assert theirs["EXIF:FocalLength"] == ours.focal_mm
        assert theirs["EXIF:FocalLengthIn35mmFormat"] == ours.focal_35_mm
        assert float(theirs["XMP:RelativeAltitude"]) == ours.relative_altitude_m
        assert float(theirs["XMP:GimbalYawDegree"]) == ours.yaw
        taken = theirs["Composite:SubSecDateTimeOriginal"]
        assert taken == ours.time.replace("-", ":", 2).replace("T", " ")

    def test_files_that_exiftool_wrote(self, tmp_path):
        path = tmp_path / "a.jpg"
        Image.new("RGB", (40, 30)).save(path)
        tags = {
            "GPSLatitude": "-33.5",
            "GPSLatitudeRef": "S",
            "GPSLongitude": "151.25",
            "GPSLongitudeRef": "E",
            "GPSAltitude": "80.5",
            "GPSAltitudeRef": "0",
            "DateTimeOriginal": "2023:12:24 23:59:59",
            "SubSecTimeOriginal": "007",
            "OffsetTimeOriginal": "+11:00",
            "FocalLength": "35",
            "FocalPlaneXResolution": "5000",
            "FocalPlaneResolutionUnit": "3",
            "XMP-drone-dji:RelativeAltitude": "+61.5",
            "XMP-drone-dji:GimbalPitchDegree": "-88",
        }
        asked = [EXIFTOOL, "-q", "-n", *(f"-{name}={value}" for name, value in tags.items())]
        subprocess.run([*asked, str(path)], check=True, capture_output=True)
        found = read_tags(path)
        assert (found.longitude, found.latitude) == pytest.approx((151.25, -33.5))
        assert (found.altitude_m, found.focal_mm, found.pixels_per_mm) == (80.5, 35, 500)
        assert found.time == "2023-12-24T23:59:59.007+11:00"
        assert (found.relative_altitude_m, found.pitch) == (61.5, -88)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a.jpg"
    tags = {"lonlat": (10, 50), "altitude": 5, "focal": 8.8, "film": 24, "density": 4100}
    times = {"time": "2024:05:01 10:20:30", "part": "2", "offset": "+02:00"}
    return write_photograph(path, **tags, **times, xmp=nadir_pose(50)).read_bytes()


class TestCraftedFiles:
    @settings(max_examples=150)
    @given(data=st.data())
    def test_no_byte_ends_in_a_traceback(self, tmp_path, whole, data):
        crafted = bytearray(whole)
        places = st.integers(20, min(len(whole), 1400) - 1)
        for _ in range(data.draw(st.integers(1, 8))):
            crafted[data.draw(places)] = data.draw(st.integers(0, 255))
        path = tmp_path / "crafted.jpg"
        path.write_bytes(crafted[: data.draw(st.integers(20, len(whole)))])
        found = read_tags(path)
        assert found is None or found.latitude is None or -90 <= found.latitude <= 90

    def test_entities_are_not_expanded(self, tmp_path, caplog):
        bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + make_xmp(RelativeAltitude="&a;")
        found = read_tags(write_photograph(tmp_path / "a.jpg", xmp=bomb))
        assert found.relative_altitude_m is None
        assert "its XMP packet cannot be read" in caplog.text

    def test_a_broken_packet_leaves_the_rest(self, tmp_path, caplog):
        path = write_photograph(tmp_path / "a.jpg", lonlat=(10, 50), xmp=b"<drone-dji <<")
        with caplog.at_level(logging.WARNING):
            assert read_tags(path).latitude == pytest.approx(50)
        assert "broken XML" in caplog.text

    @pytest.mark.parametrize("text", ["nan", "inf", "-1e999", "fifty", ""])
    def test_what_is_no_number_is_left_out(self, tmp_path, text):
        path = write_photograph(tmp_path / "a.jpg", xmp=make_xmp(RelativeAltitude=text))
        assert read_tags(path).relative_altitude_m is None

    def test_control_characters_do_not_reach_the_terminal(self, tmp_path):
        path = write_photograph(tmp_path / "a.jpg", camera=("\x1b[31mEvil", "M" * 500))
        found = read_tags(path).camera
        assert found.startswith("[31mEvil MMM")
        assert len(found) < 250
        assert np.all([character.isprintable() for character in found])
