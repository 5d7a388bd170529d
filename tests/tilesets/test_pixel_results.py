import json

import numpy as np
import pytest
from factories_vectors import CLASSES, NORTH_UP, UTM, found, part, write

from geodet.errors import VectorError
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.scene_detections import SceneDetections
from geodet.tilesets.pixel_results import PixelObjects, is_pixel_results, read_pixel_results

WIDE = SceneDetections("wide.tif", GeoBox(2000, 500, NORTH_UP, UTM), found(7, 4))
RESULT = {"image_id": 1, "file_name": "a.tif", "category": "tree", "bbox": [1, 2, 3, 4]}


def coco(tmp_path, *results):
    path = tmp_path / "found.json"
    path.write_text(json.dumps(results), encoding="utf-8")
    return path


def yolo(tmp_path, **files):
    for stem, text in ({"classes": "tree\npalm\n"} | files).items():
        (tmp_path / f"{stem}.txt").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("name", "format"), [("found.coco.json", "coco"), ("found", "yolo")])
def test_detections_survive_writing_and_reading(tmp_path, name, format):
    empty = part(Detections.empty(), scene="none.tif")
    sources = (part(found(5)), WIDE, empty)
    path = write(tmp_path / name, *sources, format=format)
    assert is_pixel_results(path)
    results = read_pixel_results(path)
    for source in sources:
        size = (source.geobox.width, source.geobox.height)
        read, there = results.of(source.scene, size), source.detections
        np.testing.assert_allclose(read.boxes, there.boxes, atol=1e-9)
        np.testing.assert_allclose(read.scores, there.scores, atol=5.1e-7)
        assert read.names == tuple(CLASSES[label] for label in there.labels)


def test_boxes_survive_conversion_to_world_coordinates():
    objects = read_of(WIDE)
    placed = objects.placed(WIDE.geobox)
    np.testing.assert_allclose(placed.objects.to_pixels(WIDE.geobox), objects.boxes, atol=1e-6)
    assert (placed.objects.names, placed.scenes) == (objects.names, ())


def read_of(source):
    names = tuple(CLASSES[label] for label in source.detections.labels)
    return PixelObjects(source.detections.boxes, source.detections.scores.astype(float), names)


def test_vector_files_and_labels_are_not_pixel_results(tmp_path):
    write(tmp_path / "found.geojson")
    (tmp_path / "found.geojson").rename(tmp_path / "found.json")  # an object, and no list
    (tmp_path / "tiles").mkdir()
    for name in ("found.json", "tiles", "none.json"):
        assert not is_pixel_results(tmp_path / name)


def test_an_image_without_detections_needs_a_file_in_yolo_text_only(tmp_path):
    assert read_pixel_results(coco(tmp_path)).of("b.tif", (9, 9)).boxes.shape == (0, 4)
    with pytest.raises(VectorError, match=r"has no b\.txt with the detections of b\.tif"):
        read_pixel_results(yolo(tmp_path, a="")).of("b.tif", (9, 9))


def test_without_a_score_field_every_score_is_1(tmp_path):
    for path in (coco(tmp_path, RESULT), yolo(tmp_path, a="0 .5 .5 .1 .1\n1 .5 .5 .1 .1 .3")):
        read = read_pixel_results(path, score_field="").of("a.tif", (100, 100))
        assert set(read.scores.tolist()) == {1.0}


def test_folders_in_the_names_of_images_are_ignored(tmp_path):
    path = coco(tmp_path, RESULT | {"file_name": "images/a.tif", "score": 0.5})
    assert read_pixel_results(path).of("a.tif", (9, 9)).boxes.tolist() == [[1, 2, 4, 6]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "result 1: it has no score"),
        ({"score": 1.5}, r"result 1: .*the score 1\.5 is not in \[0, 1\]"),
        ({"score": 0.5, "bbox": [1, 2, 3]}, "result 1: the bbox .* is not four numbers"),
        ({"score": 0.5, "bbox": [1, 2, float("nan"), 3]}, "result 1: nan is not a finite number"),
        ({"score": 0.5, "bbox": [1e308, 2, 1, 3]}, "result 1: the box .* is beyond any image"),
        ({"score": 0.5, "file_name": None}, "result 1: its file_name is None, not a text"),
    ],
)
def test_broken_coco_results_are_refused_with_their_place(tmp_path, changes, message):
    with pytest.raises(VectorError, match=message) as caught:
        read_pixel_results(coco(tmp_path, RESULT | changes))
    assert "file_name, category, bbox and score" in caught.value.hint


def test_two_images_of_one_name_are_refused(tmp_path):
    other = RESULT | {"image_id": 2, "file_name": "deep/a.tif", "score": 0.5}
    with pytest.raises(VectorError, match=r"result 2: two images have the name 'a\.tif'"):
        read_pixel_results(coco(tmp_path, RESULT | {"score": 0.5}, other))


def test_broken_json_is_refused(tmp_path):
    (tmp_path / "found.json").write_text("[1,", encoding="utf-8")
    with pytest.raises(VectorError, match=r"found\.json: broken JSON"):
        read_pixel_results(tmp_path / "found.json")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 .5 .5 .1 .1", "line 2: 4 numbers after the class"),
        ("0 .5 .5 .1 .1 .9 7", "line 2: 6 numbers after the class"),
        ("2 .5 .5 .1 .1 .9", r"line 2: class 2 is not one of the 2 in classes\.txt"),
        ("-1 .5 .5 .1 .1 .9", "line 2: class -1 is not one"),
        ("0 .5 .5 .1 .1 -.1", r"line 2: the score -0\.1 is not in \[0, 1\]"),
        ("0 .5 .5 .1", "line 2: 3 numbers after the class"),
        ("0 .5 inf .1 .1 .9", "line 2: the box .* is not finite"),
    ],
)
def test_broken_yolo_text_is_refused_with_its_line(tmp_path, line, message):
    with pytest.raises(VectorError, match=message) as caught:
        read_pixel_results(yolo(tmp_path, a=f"0 .5 .5 .1 .1 .9\n{line}\n"))
    assert "height, score" in caught.value.hint
