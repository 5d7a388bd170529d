import pytest
import shapely
from factories_photographs import nadir_pose, write_photograph
from pyproj import Geod

import geodet
from geodet.errors import SceneError


@pytest.fixture
def folder(tmp_path):
    about = {"lonlat": (15.0, 45.0), "film": 24, "time": "2024:05:01 10:20:30", "offset": "+02:00"}
    write_photograph(tmp_path / "b.jpg", xmp=nadir_pose(100, yaw=20.0), **about)
    write_photograph(tmp_path / "a.jpg", altitude=350)
    return tmp_path


def test_a_row_for_each_picture(folder):
    frame = geodet.read_photographs(folder)
    assert frame.crs.to_epsg() == 4326
    assert frame["scene"].tolist() == ["a.jpg", "b.jpg"]
    assert frame["time"].tolist() == ["", "2024-05-01T10:20:30+02:00"]
    assert frame.geometry.isna().tolist() == [True, False]
    assert frame["reason"].tolist() == ["its height above the ground is unknown", ""]
    assert frame["gsd_from"].tolist() == ["unknown", "relative altitude"]
    assert frame["footprint"].isna().tolist() == [True, False]
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(frame["footprint"].iloc[1])
    assert abs(area) == pytest.approx(40 * 30 * frame["gsd_m"].iloc[1] ** 2, rel=1e-3)
    assert frame["footprint"].iloc[1].contains(shapely.Point(15, 45))


def test_metres_per_pixel_that_are_given(folder):
    frame = geodet.read_photographs([folder / "a.jpg", folder / "b.jpg"], gsd=0.5)
    assert frame["gsd_m"].tolist() == [0.5, 0.5]
    assert set(frame["gsd_from"]) == {"detect.gsd"}


def test_no_such_picture(tmp_path):
    with pytest.raises(SceneError, match="no such file"):
        geodet.read_photographs(tmp_path / "a.jpg")
