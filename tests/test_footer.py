import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from geodet.previews import footer
from geodet.previews.footer import ClassCount, with_footer
from geodet.scene import Scene

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
def test_the_scale_bar_is_round_and_true(tmp_path, gsd, width, place, text, width_px):
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
