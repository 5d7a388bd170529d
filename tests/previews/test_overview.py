from functools import partial

import numpy as np
import pytest
from PIL import Image
from pyproj import CRS, Transformer

from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.scene_detections import SceneDetections
from geodet.previews.overview import OverviewScene, draw_overview
from geodet.raster.scene import Scene

UTM = CRS.from_epsg(32633)


@pytest.fixture
def draw(tmp_path):
    def run(paths, found, crs=UTM, **options):
        shown = []
        for path, boxes in zip(paths, found, strict=True):
            with Scene(path) as scene:
                geobox = scene.geobox
            count = len(boxes)
            objects = Detections(
                np.array(boxes, float).reshape(-1, 4), np.full(count, 0.9), np.zeros(count, int)
            )
            part = SceneDetections(path.name, geobox, objects)
            shown.append(OverviewScene(part, partial(Scene, path)))
        output = tmp_path / "overview.png"
        draw_overview(output, shown, ("tree",), crs=crs, **options)
        with Image.open(output) as image:
            return np.asarray(image)

    return run


def side_by_side(make_scene, **second):
    west = make_scene("a.tif", width=200, height=200, origin=(500_000, 4_500_000))
    about = {"width": 200, "height": 200, "origin": (500_300, 4_500_000)} | second
    return west, make_scene("b.tif", **about)


def test_scenes_lie_where_they_are_on_the_ground(make_scene, draw):
    """Two scenes of 120 m, 180 m apart, in a picture of 420 m."""
    image = draw(side_by_side(make_scene), [[], []], max_side=600)
    row = image[80, :600].astype(int)
    is_gap = (row == 236).all(axis=1)
    edges = np.flatnonzero(np.diff(is_gap.astype(int)))
    assert edges.tolist() == pytest.approx([171, 428], abs=2)


def test_a_box_is_drawn_where_its_scene_lies(make_scene, draw):
    paths = side_by_side(make_scene)
    plain = draw(paths, [[], []], max_side=600).astype(int)
    image = draw(paths, [[], [(50, 50, 150, 150)]], max_side=600, overwrite=True).astype(int)
    changed = (plain[:170, :600] != image[:170, :600]).any(axis=2)
    rows, columns = np.nonzero(changed)
    middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    assert middle == pytest.approx((86, 514), abs=3)


def test_a_scene_of_another_crs_lies_beside_it(make_scene, draw):
    x, y = Transformer.from_crs(32633, 32632, always_xy=True).transform(500_300, 4_500_000)
    paths = side_by_side(make_scene, epsg=32632, origin=(x, y))
    image = draw(paths, [[], []], max_side=600)
    assert (image[100, 560] != 236).any()


def test_the_first_of_overlapping_scenes_is_shown(make_scene, draw):
    bright = make_scene("a.tif", width=100, height=100, objects=[(0, 0, 100, 100)])
    dark = make_scene("b.tif", width=100, height=100)
    first = draw([bright, dark], [[], []])
    second = draw([dark, bright], [[], []], overwrite=True)
    middle = np.s_[:90, 240:320]
    assert first[middle].mean() > second[middle].mean() + 50


def test_pictures_without_a_place_are_arranged_in_rows(make_scene, draw):
    paths = [make_scene(f"{n}.tif", epsg=None, width=300, height=200) for n in range(5)]
    image = draw(paths, [[(10, 10, 200, 150)]] * 5, crs=None, max_side=900)
    assert image.shape[1] == 900
    cells = [image[20:180, 300 * column + 20 : 300 * column + 280] for column in range(3)]
    assert all(cell.std() > 10 for cell in cells)
    last = image[230:380, 620:880]
    assert (last == 236).all()


def test_a_caption_has_the_letters_of_the_name(make_scene, draw):
    paths = [make_scene(f"{letter}.tif", epsg=None, width=300, height=200) for letter in "äö"]
    first, second = (draw([path], [[]], crs=None, overwrite=True) for path in paths)
    np.testing.assert_array_equal(first[:200], second[:200])
    assert (first[200:220] != second[200:220]).any()


def test_an_existing_picture_is_not_replaced(make_scene, draw):
    paths = side_by_side(make_scene)
    draw(paths, [[], []], max_side=100)
    with pytest.raises(OutputError, match="exists already"):
        draw(paths, [[], []], max_side=100)


def test_scenes_on_the_two_sides_of_the_antimeridian_lie_side_by_side(make_scene, draw):
    step, crs = 0.00001, CRS.from_epsg(4326)
    about = {"width": 200, "height": 200, "epsg": 4326, "pixel_size": step}
    west = make_scene("w.tif", origin=(180 - 200 * step, -17.0), **about)
    pictures = [
        draw(
            [west, make_scene("e.tif", origin=(x, -17.0), **about)],
            [[], [(50, 50, 150, 150)]],
            crs=crs,
            max_side=400,
            overwrite=True,
        )
        for x in (180.0, -180.0)
    ]
    assert pictures[0].shape[1] >= 400
    np.testing.assert_array_equal(*pictures)
    assert (pictures[1][100, 5:395] != 236).any(axis=1).all()  # no ground between them
