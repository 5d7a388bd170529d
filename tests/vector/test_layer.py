import pytest
from factories_vectors import SITE, UTM, part
from pyproj import CRS

from geodet.errors import OutputError
from geodet.geometry.scene_detections import common_crs
from geodet.vector.rows import crs_text


def test_the_first_scene_has_the_crs():
    assert common_crs([part(), part(crs=CRS.from_epsg(4326))]) == UTM
    assert common_crs([part(crs=None)]) is None


def test_no_scenes_are_a_value_error():
    with pytest.raises(ValueError, match="there are no scenes to write"):
        common_crs([])


def test_scenes_with_and_without_crs_do_not_mix():
    with pytest.raises(OutputError, match=r"1 of 2 scenes have no CRS, such as b\.tif") as caught:
        common_crs([part(), part(crs=None, scene="b.tif")])
    assert "a file of their own" in caught.value.hint


@pytest.mark.parametrize("crs", [UTM, SITE, CRS.from_epsg(2227)])
def test_the_text_of_a_crs_gives_it_again(crs):
    assert CRS.from_user_input(crs_text(crs)) == crs


def test_a_crs_with_a_code_is_named_by_it():
    assert crs_text(CRS.from_wkt(UTM.to_wkt())) == "EPSG:32610"
