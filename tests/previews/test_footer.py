from itertools import pairwise

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyproj import CRS, Geod, Transformer

from geodet.geometry.geobox import GeoBox
from geodet.previews import footer
from geodet.previews.footer import ClassCount, density_text, with_footer
from geodet.raster.scene import Scene

UTM = {"crs": "EPSG:32610", "transform": Affine(0.5, 0, 600000, 0, -0.5, 4000000)}
PIXELS = {"transform": Affine(2, 0, 0, 0, -2, 0)}


def paint(path, place):
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "width": 2000, "height": 20}
    with rasterio.open(path, "w", **profile, **place) as dataset:
        dataset.write(np.zeros((1, 20, 2000), np.uint8))
    return path


def test_the_legend_counts_what_is_there():
    counts = [ClassCount("tree", 34, (1, 2, 3)), ClassCount("car", 1200, (4, 5, 6))]
    texts = [text for text, _ in footer._entries(counts)]
    assert texts == ["1,234 objects", "tree  34", "car  1,200"]
    assert footer._entries([]) == [("no objects", None)]
    assert footer._entries(counts[:1])[0][0] == "34 objects"


def test_a_long_legend_and_a_long_name_find_room(tmp_path):
    counts = [ClassCount(f"a long name of class {i}", i, (9, 9, 9)) for i in range(30)]
    rows = list(footer._rows(footer._entries(counts), 560, 14))
    assert len(rows) > 5
    assert sum(map(len, rows)) == 31
    image = Image.new("RGB", (30, 40))
    picture = with_footer(image, "long" * 40, counts, footer.ScaleBar("5 m", 6))
    assert picture.width >= 560
    assert picture.height > 40 + 14 * len(rows)


@pytest.mark.parametrize(
    ("gsd", "width", "place", "text", "width_px"),
    [
        (None, 2000, UTM, "200 m", 400),  # 0.5 m: a fifth of 1,000 m
        (None, 1000, UTM, "200 m", 200),  # the same at half the size
        (0.01, 2000, UTM, "2 m", 200),
        (0.0001, 2000, UTM, "2 cm", 200),
        (20.0, 2000, UTM, "5 km", 250),
        (None, 1000, PIXELS, "200 px", 100),  # without a CRS: the raster's own pixels
    ],
)
def test_the_scale_bar_has_a_round_length(tmp_path, gsd, width, place, text, width_px):
    path = paint(tmp_path / "scene.tif", place)
    with Scene(path, gsd=gsd) as scene:
        scale = footer.ScaleBar.of(scene, 2000, width)
    assert scale.text == text
    assert scale.width_px == pytest.approx(width_px, abs=1)


def test_a_remark_ends_the_legend():
    counts = [ClassCount("tree", 1, (1, 2, 3))]
    texts = [text for text, _ in footer._entries(counts, "brightest: 9 per ha")]
    assert texts == ["1 object", "tree  1", "brightest: 9 per ha"]


def test_half_of_a_scene_has_a_bar_of_half_the_ground(tmp_path):
    with Scene(paint(tmp_path / "scene.tif", UTM)) as scene:
        assert footer.ScaleBar.of(scene, 1000, 1000).text == "100 m"


METRES = {"km": 1000.0, "m": 1.0, "cm": 0.01}
TURNED = Affine.translation(500_000, 4_500_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)
PLACES = {
    "utm": (32633, Affine(0.5, 0, 500_000, 0, -0.5, 4_500_000)),
    "rotated": (32633, TURNED),
    "flat pixels": (32633, Affine(0.5, 0, 500_000, 0, -2.0, 4_500_000)),
    "degrees": (4326, Affine(5e-6, 0, 10, 0, -5e-6, 60)),
    "web mercator": (3857, Affine(1, 0, 1e6, 0, -1, 8.4e6)),
    "feet": (2263, Affine(1, 0, 980_000, 0, -1, 200_000)),
}


class Shown:
    """The attributes of a scene that a scale bar uses."""

    def __init__(self, resolution):
        self.resolution = resolution


@pytest.mark.parametrize("width", [2000, 640])
@pytest.mark.parametrize("place", PLACES)
def test_the_bar_is_as_long_as_it_says_on_the_ground(place, width):
    """Measured over the ellipsoid along a bar in the middle of the image."""
    epsg, transform = PLACES[place]
    crs = CRS.from_epsg(epsg)
    geobox = GeoBox(2000, 1200, transform, crs)
    scale = footer.ScaleBar.of(Shown(geobox.ground_resolution), 2000, width)
    half = scale.width_px * 2000 / width / 2
    ends = geobox.to_world(np.array([[1000 - half, 600], [1000 + half, 600]]))
    to_degrees = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    (lon0, lon1), (lat0, lat1) = to_degrees.transform(*ends.T)
    ground = crs.get_geod() or Geod(ellps="WGS84")
    number, unit = scale.text.split()
    length = float(number) * METRES[unit]
    rounding = 0.5 / scale.width_px  # of the bar to whole pixels
    assert ground.inv(lon0, lat0, lon1, lat1)[2] == pytest.approx(length, rel=rounding + 1e-3)


@given(st.floats(1e-4, 1e4), st.integers(1, 100_000), st.integers(64, 2048))
def test_a_bar_is_round_and_takes_a_fifth_at_most(resolution, columns, width):
    scale = footer.ScaleBar.of(Shown((resolution, resolution)), columns, width)
    number, unit = scale.text.split()
    assert unit in METRES
    assert f"{float(number):e}"[:2] in {"1.", "2.", "5."}
    length = resolution * columns / 5
    assert length / 2.5 * (1 - 1e-9) <= float(number) * METRES[unit] <= length * (1 + 1e-9)


def test_a_length_just_below_a_power_of_ten_has_a_bar():
    almost = np.nextafter(1000.0, 0)  # whose logarithm rounds to 3
    assert footer.ScaleBar.of(Shown((almost, almost)), 5, 100).text in {"500 m", "1 km"}


def ink(picture, colour, rows):
    """Return the columns that have a colour in some rows."""
    part = np.asarray(picture)[rows]
    return np.flatnonzero((part == colour).all(axis=-1).any(axis=0))


@pytest.mark.parametrize("length", [20, 150])
def test_the_bar_that_is_drawn_has_its_length(length):
    image = Image.new("RGB", (800, 100))
    picture = with_footer(image, "", [], footer.ScaleBar("", length))
    columns = ink(picture, footer._INK, slice(100, None))
    assert columns.max() - columns.min() + 1 == pytest.approx(length, abs=1)
    assert columns.max() < 800


def test_the_legend_is_drawn_in_the_order_of_the_classes():
    counts = [ClassCount(f"class {i}", 9 - i, (200, 20 * i, 0)) for i in range(1, 6)]
    picture = with_footer(Image.new("RGB", (900, 50)), "", counts, footer.ScaleBar("5 m", 50))
    squares = [ink(picture, kind.colour, slice(50, None)) for kind in counts]
    assert all(a.max() < b.min() for a, b in pairwise(squares))


def test_the_image_stays_as_it_is_and_a_narrow_one_is_centred():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 100, 3), np.uint8)
    picture = with_footer(Image.fromarray(pixels), "a", [], footer.ScaleBar("5 m", 20))
    left = (picture.width - 100) // 2
    np.testing.assert_array_equal(np.asarray(picture)[:40, left : left + 100], pixels)


@pytest.mark.parametrize(
    ("per_pixel", "resolution", "text"),
    [
        (0.01, (0.5, 0.5), "400 per ha"),
        (0.123456, (0.1, 0.1), "120,000 per ha"),
        (1e-5, (0.5, 0.5), "40 per km²"),
        (0.00025, None, "2.5 in 100 x 100 px"),
    ],
)
def test_a_density_is_per_hectare_or_per_square_kilometre(per_pixel, resolution, text):
    assert density_text(per_pixel, resolution) == text
