import re

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Transformer

from geodet.geometry.geobox import GeoBox
from geodet.vector.extents import LABELS_REMEDY, compare_file_extent, guess_why_apart

UTM = CRS.from_epsg(32633)
BERLIN = GeoBox(1000, 1000, Affine(1, 0, 390_000, 0, -1, 5_820_000), UTM)
DEGREES = np.array(Transformer.from_crs(UTM, 4326, always_xy=True).transform(390_500, 5_819_500))
EAST, NORTH = DEGREES


def around(x, y, side=0.001):
    return np.array([x - side, y - side, x + side, y + side])


@pytest.mark.parametrize(
    ("bounds", "epsg", "guess"),
    [
        (around(NORTH, EAST), 4326, "latitude and longitude are swapped"),
        (around(5_819_500, 390_500), 32633, "x and y are swapped"),
        (around(390_500, 5_819_500), 4326, "are in WGS 84 / UTM zone 33N, as the scene"),
        (around(EAST, NORTH), 32633, "are degrees: name their CRS with ogr2ogr"),
        (around(NORTH, EAST), None, "are degrees, with latitude and longitude swapped"),
        (around(EAST, NORTH), 4326, ""),
        (around(-100, 12), 4326, ""),
    ],
)
def test_what_would_make_bounds_meet_the_scene_is_guessed(bounds, epsg, guess):
    found = guess_why_apart(bounds, None if epsg is None else CRS.from_epsg(epsg), BERLIN)
    assert guess in found
    assert bool(found) == bool(guess)


def test_nothing_is_guessed_for_a_scene_without_a_crs_but_swapped_axes():
    scene = GeoBox(100, 50, Affine(1, 0, 0, 0, -1, 0), None)
    assert (
        guess_why_apart(np.array([-20.0, 80, -10, 90]), None, scene)
        == "perhaps x and y are swapped"
    )
    assert guess_why_apart(np.array([500.0, 500, 510, 510]), None, scene) == ""


def test_both_extents_are_in_the_crs_of_the_file(tmp_path):
    path = tmp_path / "swapped.geojson"
    shapes = [shapely.Point(NORTH, EAST), shapely.Point(NORTH + 0.001, EAST)]
    geopandas.GeoDataFrame(geometry=shapes, crs=4326).to_file(path)
    text = compare_file_extent(path, BERLIN, what="labels")
    to_degrees = Transformer.from_crs(UTM, 4326, always_xy=True)
    box = to_degrees.transform_bounds(390_000, 5_819_000, 391_000, 5_820_000)
    numbers = [float(n) for n in re.findall(r"-?\d+\.\d+", text)]
    np.testing.assert_allclose(numbers, [NORTH, EAST, NORTH + 0.001, EAST, *box], atol=2e-6)
    assert text.endswith("in WGS 84; perhaps latitude and longitude are swapped")
    assert "inf" not in text


def test_a_file_without_objects_is_said_to_have_none(tmp_path):
    path = tmp_path / "empty.gpkg"
    geopandas.GeoDataFrame({"a": []}, geometry=[], crs=32633).to_file(path)
    assert compare_file_extent(path, BERLIN, what="labels") == "the file contains no labels"


def test_the_remedy_for_labels_in_degrees_is_the_option_of_their_commands():
    found = guess_why_apart(around(EAST, NORTH), UTM, BERLIN, remedy=LABELS_REMEDY)
    assert "--crs EPSG:4326 for a file without a CRS" in found
