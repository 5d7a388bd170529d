"""Chips from reviews: of the windows that were looked at, with what was right in them."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from edited_reviews import draw

import geodet
from geodet.config import DataConfig
from geodet.errors import ConfigError, VectorError
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.raster.scene import Scene
from geodet.raster.scene_names import slashed_path
from geodet.reviewing.reviewed_items import ReviewedObject, ReviewedWindow
from geodet.reviewing.reviews import ReviewFile
from geodet.tilesets.reviewed_labels import choose_labels
from geodet.tilesets.tile import LabelledArea
from geodet.tilesets.tileset import read_tileset

WINDOWS = [Window(0, 0, 128, 128), Window(256, 128, 128, 128)]
CHIPS = {"tile.chip_size": 64, "tile.block_size": 64, "tile.overlap": 0, "tile.empty_share": 1.0}


def review(path, scene, geobox, *, windows=WINDOWS, step=32):
    """Accept objects all over a scene, reject every fourth, and mark windows as done."""
    file = ReviewFile(path, scene, geobox)
    places = [(x, y) for x in range(8, 380, step) for y in range(8, 250, step)]
    objects = [
        ReviewedObject(file.take_id(), n, verdict, "tree", 0.5, (x, y, x + 12.0, y + 12.0))
        for n, (x, y) in enumerate(places)
        for verdict in ("rejected" if n % 4 == 3 else "accepted",)
    ]
    done = [ReviewedWindow(file.take_id(), window) for window in windows]
    file.replace([], [*objects, *done])
    return [one for one in objects if one.verdict == "accepted"]


@pytest.fixture
def scene(make_scene):
    return make_scene(width=384, height=256)


def test_only_reviewed_windows_become_chips(scene, tmp_path):
    with Scene(scene) as opened:
        geobox = opened.geobox
    right = review(tmp_path / "r.gpkg", "scene.tif", geobox)
    report = geodet.tile(
        scene, None, tmp_path / "tiles", reviews=tmp_path / "r.gpkg", settings=CHIPS
    )
    inside = [
        one for one in right for w in WINDOWS
        if w.col_off <= one.box_px[0] < w.col_end and w.row_off <= one.box_px[1] < w.row_end
    ]  # fmt: skip
    assert report.objects_kept == len(inside)
    assert report.train + report.val + report.skipped_empty + report.skipped_overlap == 8
    ground = shapely.union_all(
        [shapely.polygons(geobox.corners(np.array([[w.col_off, w.row_off, w.col_end, w.row_end]])))
         for w in WINDOWS]
    )  # fmt: skip
    images = read_tileset(tmp_path / "tiles", DataConfig()).images
    for image in images:
        with rasterio.open(image.path) as chip:
            assert ground.buffer(1e-6).covers(shapely.box(*chip.bounds))
    assert sum(len(image.boxes) for image in images) == len(inside)


def test_a_scene_without_a_reviewed_window_is_named(scene, make_scene, tmp_path):
    with Scene(scene) as opened:
        review(tmp_path / "r.gpkg", "scene.tif", opened.geobox)
    other = make_scene(name="other.tif", width=64, height=64, origin=(700_000, 5_000_000))
    match = r"r\.gpkg has no reviewed window in .*other\.tif; its windows are in scene\.tif"
    with pytest.raises(VectorError, match=match) as refused:
        geodet.tile(other, None, tmp_path / "tiles", reviews=tmp_path / "r.gpkg", settings=CHIPS)
    assert refused.value.hint.startswith(
        "give the scenes that were reviewed; or mark windows as done"
    )


def test_rectangles_become_labels_at_their_angles(scene, tmp_path):
    turned = (30.0, 30.0, 30.0, 8.0, 0.5)
    with Scene(scene) as opened:
        file = ReviewFile(tmp_path / "r.gpkg", "scene.tif", opened.geobox)
    kept = ReviewedObject(file.take_id(), None, "added", "ship", None, (0, 0, 1, 1), turned)
    file.replace([], [kept, ReviewedWindow(file.take_id(), Window(0, 0, 64, 64))])
    settings = CHIPS | {"tile.val_fraction": 0}
    geodet.tile(scene, None, tmp_path / "tiles", reviews=tmp_path / "r.gpkg", settings=settings)
    (image,) = read_tileset(tmp_path / "tiles", DataConfig()).images
    np.testing.assert_allclose(image.oriented, [turned], atol=0.01)


def test_what_was_not_looked_at_is_no_background(scene, tmp_path):
    with Scene(scene) as opened:
        review(tmp_path / "r.gpkg", "scene.tif", opened.geobox, windows=[Window(0, 0, 100, 100)])
    geodet.tile(scene, None, tmp_path / "tiles", reviews=tmp_path / "r.gpkg", settings=CHIPS)
    images = read_tileset(tmp_path / "tiles", DataConfig()).images
    cut = [image for image in images if "_c64" in image.path.stem or "_r64" in image.path.stem]
    assert cut
    assert all(len(image.ignored) for image in cut)


def test_reviewed_windows_without_objects_are_all_kept(scene, tmp_path):
    """What a model took for objects there is the background to learn."""
    with Scene(scene) as opened:
        file = ReviewFile(tmp_path / "r.gpkg", "scene.tif", opened.geobox)
    right = ReviewedObject(file.take_id(), 0, "accepted", "tree", 0.5, (8.0, 8.0, 20.0, 20.0))
    wrong = [
        ReviewedObject(file.take_id(), n, "rejected", "tree", 0.5, (n * 64.0, 70.0, 300.0, 99.0))
        for n in range(1, 4)
    ]
    file.replace([], [right, *wrong, ReviewedWindow(file.take_id(), Window(0, 0, 256, 128))])
    settings = CHIPS | {"tile.val_fraction": 0, "tile.empty_share": 0.1}
    report = geodet.tile(
        scene, None, tmp_path / "tiles", reviews=tmp_path / "r.gpkg", settings=settings
    )
    assert (report.train, report.skipped_empty) == (8, 0)


def test_a_window_without_objects_is_background(scene, tmp_path):
    with Scene(scene) as opened:
        review(tmp_path / "r.gpkg", "scene.tif", opened.geobox, step=130)
    report = geodet.tile(
        scene, None, tmp_path / "tiles", reviews=tmp_path / "r.gpkg", settings=CHIPS
    )
    assert any(
        not len(image.boxes) for image in read_tileset(tmp_path / "tiles", DataConfig()).images
    )
    assert report.objects_kept >= 1


def test_labels_or_reviews_are_given(tmp_path):
    whole = LabelledArea()
    with pytest.raises(ConfigError, match="no labels are given"):
        choose_labels(None, None, whole)
    with pytest.raises(ConfigError, match="labels and reviews are given"):
        choose_labels(tmp_path / "l.gpkg", tmp_path / "r.gpkg", whole)
    with pytest.raises(ConfigError, match=r"the area park\.gpkg"):
        choose_labels(None, tmp_path / "r.gpkg", LabelledArea(aoi=tmp_path / "park.gpkg"))
    assert choose_labels(tmp_path / "l.gpkg", None, whole) == (tmp_path / "l.gpkg", whole)


def test_reviews_without_a_window_that_is_done_are_refused(scene, tmp_path):
    with Scene(scene) as opened:
        review(tmp_path / "r.gpkg", "scene.tif", opened.geobox, windows=[])
    with pytest.raises(VectorError, match="no window is reviewed") as caught:
        choose_labels(None, tmp_path / "r.gpkg", LabelledArea())
    assert "key w" in caught.value.hint


def test_scenes_without_a_crs_do_not_share_a_file(tmp_path):
    geobox = GeoBox(384, 256, Affine(1, 0, 0, 0, -1, 0), None)
    for name in ("a.jpg", "b.jpg"):
        review(tmp_path / "r.gpkg", name, geobox)
    with pytest.raises(VectorError, match=r"share their coordinates: a\.jpg, b\.jpg"):
        choose_labels(None, tmp_path / "r.gpkg", LabelledArea())


def test_another_file_is_refused(tmp_path, make_scene):
    frame = geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    frame.to_file(tmp_path / "l.gpkg", layer="labels")
    with pytest.raises(VectorError, match="is not a file of reviews"):
        choose_labels(None, tmp_path / "l.gpkg", LabelledArea())


def review_of(path, scene, verdicts):
    """Review all of a scene: an object in each quarter, with a verdict."""
    with Scene(scene) as opened:
        file = ReviewFile(path, slashed_path(scene), opened.geobox)
    places = [(20, 20), (212, 20), (20, 148), (212, 148)]
    objects = [
        ReviewedObject(file.take_id(), n, verdict, "tree", 0.5, (x, y, x + 12.0, y + 12.0))
        for n, ((x, y), verdict) in enumerate(zip(places, verdicts, strict=True))
    ]
    file.replace([], [*objects, ReviewedWindow(file.take_id(), Window(0, 0, 384, 256))])
    return file.scene


RIGHT, WRONG = "accepted", "rejected"


@pytest.mark.parametrize("names", [("2023.tif", "2024.tif"), ("2023/ortho.tif", "2024/ortho.tif")])
@pytest.mark.parametrize("is_renamed", [False, True])
def test_scenes_of_one_place_get_the_labels_that_were_given_to_each(
    tmp_path, make_scene, names, is_renamed
):
    """Flights of two years overlap, and what was right in one was rejected in the other."""
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
    scenes = [make_scene(names[0], width=384, height=256)]
    # of nearly the same ground, as flights of the same plan are
    scenes.append(make_scene(names[1], width=384, height=256, origin=(500_002.0, 4_500_000.0)))
    path = tmp_path / "r.gpkg"
    stored = [
        review_of(path, str(scene), verdicts)
        for scene, verdicts in zip(
            scenes, [(RIGHT, RIGHT, RIGHT, WRONG), (WRONG, RIGHT, WRONG, WRONG)], strict=True
        )
    ]
    assert len(set(stored)) == 2
    if is_renamed:
        scenes = [Path(scene).rename(tmp_path / f"new{n}.tif") for n, scene in enumerate(scenes)]
    settings = CHIPS | {"tile.chip_size": 384, "tile.block_size": 384, "tile.val_fraction": 0}
    geodet.tile(scenes, None, tmp_path / "tiles", reviews=path, settings=settings)
    images = read_tileset(tmp_path / "tiles", DataConfig()).images
    labels = {image.path.stem: len(image.boxes) for image in images}
    assert sorted(labels.values()) == [1, 3]
    assert [labels[stem] for stem in sorted(labels)] == [3, 1]


def test_a_mosaic_of_reviewed_scenes_gets_the_labels_that_lie_in_it(tmp_path, make_scene):
    parts = [
        make_scene(f"{n}.tif", width=384, height=256, origin=(500_000.0 + 153.6 * n, 4_500_000.0))
        for n in range(2)
    ]
    path = tmp_path / "r.gpkg"
    for part in parts:
        review_of(path, str(part), (RIGHT, RIGHT, WRONG, RIGHT))
    whole = make_scene("whole.tif", width=768, height=256)
    report = geodet.tile(whole, None, tmp_path / "tiles", reviews=path, settings=CHIPS)
    assert report.objects_kept == 6


def test_a_scene_without_a_reviewed_window_is_left_out(tmp_path, make_scene):
    scenes = [
        make_scene(f"{shift}.tif", width=384, height=256, origin=(500_000.0 + shift, 4_500_000.0))
        for shift in (0, 10)
    ]
    path = tmp_path / "r.gpkg"
    review_of(path, str(scenes[0]), (RIGHT,) * 4)
    with Scene(scenes[1]) as opened:
        ReviewFile(path, slashed_path(str(scenes[1])), opened.geobox)
    report = geodet.tile(scenes, None, tmp_path / "tiles", reviews=path, settings=CHIPS)
    assert report.scenes == 1
    assert report.objects_kept == 4


def edited(path, scene):
    """Review a scene at one place, in a window, and draw in QGIS what was missed in it."""
    with Scene(scene) as opened:
        geobox = opened.geobox
    review(path, "scene.tif", geobox, windows=[Window(0, 0, 128, 128)], step=500)
    draw(path, "labels", geobox, [(40, 40, 60, 60), (80, 90, 96, 106)], label="tree")
    return geobox


def test_labels_that_were_drawn_without_a_scene_are_taken_by_their_place(scene, tmp_path, caplog):
    path = tmp_path / "r.gpkg"
    edited(path, scene)
    report = geodet.tile(scene, None, tmp_path / "tiles", reviews=path, settings=CHIPS)
    assert report.objects_kept == 3
    assert "outside of" not in caplog.text


def test_windows_that_were_drawn_without_a_scene_are_taken_by_their_place(scene, tmp_path):
    path = tmp_path / "r.gpkg"
    geobox = edited(path, scene)
    draw(path, "windows", geobox, [(256, 128, 320, 192)])
    draw(path, "labels", geobox, [(270, 140, 290, 150)], label="tree")
    report = geodet.tile(scene, None, tmp_path / "tiles", reviews=path, settings=CHIPS)
    assert report.objects_kept == 4
    assert report.train + report.val + report.skipped_empty + report.skipped_overlap == 5


def test_what_was_drawn_without_a_scene_is_that_of_no_other_place(tmp_path, make_scene):
    scenes = [
        make_scene(f"{n}.tif", width=384, height=256, origin=(500_000.0 + 999 * n, 4_500_000.0))
        for n in range(2)
    ]
    path = tmp_path / "r.gpkg"
    for scene in scenes:
        review_of(path, str(scene), (RIGHT, WRONG, WRONG, WRONG))
    with Scene(scenes[1]) as opened:
        draw(path, "labels", opened.geobox, [(100, 100, 120, 120)], label="tree")
    for scene, count in zip(scenes, (1, 2), strict=True):
        tiles = tmp_path / scene.stem
        settings = CHIPS | {"tile.val_fraction": 0}
        report = geodet.tile(scene, None, tiles, reviews=path, settings=settings)
        assert report.objects_kept == count


def test_photographs_share_no_file_also_where_a_window_names_none(tmp_path):
    geobox = GeoBox(384, 256, Affine(1, 0, 0, 0, -1, 0), None)
    path = tmp_path / "r.gpkg"
    review(path, "a.jpg", geobox)
    draw(path, "windows", geobox, [(256, 128, 320, 192)])
    choose_labels(None, path, LabelledArea())
    review(path, "b.jpg", geobox)
    with pytest.raises(VectorError, match=r"of 2 scenes .* coordinates: a\.jpg, b\.jpg"):
        choose_labels(None, path, LabelledArea())
