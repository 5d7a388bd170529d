"""Detections on labelled chips, read together with their labels."""

import json

import numpy as np
import pytest
from affine import Affine
from factories_models import paint_chip, write_coco
from factories_tilesets import paint_geotiff

from geodet.config import Config, MatchConfig
from geodet.errors import ConfigError, VectorError
from geodet.evaluation import report_files as files
from geodet.evaluation.evaluate import evaluate_results
from geodet.evaluation.evaluated_chips import compare_images, read_evaluated_chips
from geodet.evaluation.threshold_curves import MatchCounts
from geodet.geometry.boxes import Detections
from geodet.tilesets.tileset import read_tileset

BOXES = {"a.png": [[0, 0, 10, 10], [20, 0, 30, 10]], "b.png": [[0, 30, 10, 40]], "c.png": []}
LABELS = {"a.png": [0, 1], "b.png": [1], "c.png": []}
NAMES = ("car", "bus")
FOUND = [
    ("a.png", "car", [0, 0, 10, 10], 0.9),
    ("a.png", "car", [20, 0, 30, 10], 0.8),  # a bus
    ("c.png", "bus", [5, 5, 15, 15], 0.7),
    ("b.png", "bus", [1, 30, 11, 40], 0.6),
]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "tiles"
    for name in (*BOXES, "t.png"):
        paint_chip(folder / name)
    write_coco(folder / "train.json", {"t.png": [[1, 1, 9, 9]]}, NAMES)
    write_coco(folder / "val.json", BOXES, NAMES, labels=LABELS)
    return folder


@pytest.fixture(params=["coco", "yolo"])
def write(request, tmp_path):
    """Return a function that writes rows of image, class, box and score in one of two formats."""
    return {"coco": write_results, "yolo": write_text}[request.param](tmp_path)


def write_results(tmp_path):
    def make(rows=FOUND):
        results = [
            {
                "image_id": list(BOXES).index(image) if image in BOXES else 9,
                "file_name": image,
                "category": name,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": score,
            }
            for image, name, (x1, y1, x2, y2), score in rows
        ]
        (tmp_path / "found.json").write_text(json.dumps(results), encoding="utf-8")
        return tmp_path / "found.json"

    return make


def write_text(tmp_path):
    def make(rows=FOUND):
        folder = tmp_path / "found"
        folder.mkdir()
        names = sorted({name for _, name, *_ in rows})
        (folder / "classes.txt").write_text("\n".join(names), encoding="utf-8")
        for image in {*BOXES, *(row[0] for row in rows)} if rows[0][0] in BOXES else {rows[0][0]}:
            lines = [
                f"{names.index(name)} {(x1 + x2) / 128} {(y1 + y2) / 128}"
                f" {(x2 - x1) / 64} {(y2 - y1) / 64} {score}"
                for place, name, (x1, y1, x2, y2), score in rows
                if place == image
            ]
            file = folder / image.replace(".png", ".txt")
            file.write_text("\n".join(lines), encoding="utf-8")
        return folder

    return make


def samples(path, data, **settings):
    config = Config.model_validate({"data": settings})
    tileset = read_tileset(data, config.data)
    return read_evaluated_chips(path, tileset, tileset.split("val"), config)[:2]


def test_detections_are_assigned_to_images_by_file_name(write, data):
    read, classes = samples(write(), data)
    assert classes == ("bus", "car")
    assert [one.name for one in read] == ["a.png", "b.png", "c.png"]
    assert [one.detections.boxes.tolist() for one in read] == [
        [[0, 0, 10, 10], [20, 0, 30, 10]],
        [[1, 30, 11, 40]],
        [[5, 5, 15, 15]],
    ]
    assert [one.detections.labels.tolist() for one in read] == [[1, 1], [0], [0]]
    assert [one.labels.tolist() for one in read] == [[1, 0], [0], []]


def test_classes_of_the_detections_are_renamed_like_those_of_the_labels(write, data):
    read, classes = samples(write(), data, class_map={"car": "vehicle", "bus": "vehicle"})
    assert classes == ("vehicle",)
    assert [one.detections.labels.tolist() for one in read] == [[0, 0], [0], [0]]


def test_a_map_that_swaps_two_classes_renames_the_labels_alone(write, data):
    read, classes = samples(write(), data, class_map={"car": "bus", "bus": "car"})
    assert classes == ("bus", "car")
    assert [one.detections.labels.tolist() for one in read] == [[1, 1], [0], [0]]
    assert [one.labels.tolist() for one in read] == [[0, 1], [1], []]


def test_measures_equal_those_computed_by_hand(write, data, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "draw_curves", lambda *_: None)  # slow, and tested elsewhere
    report = evaluate_results(write(), data, Config(), output=tmp_path / "out")
    assert (report.split, report.images) == ("val", 3)
    assert report.evaluation.overall.scores == MatchCounts(0.6, 2, 4, 3)
    assert report.evaluation.by_class["car"].scores == MatchCounts(0.6, 1, 2, 1)
    strict = Config.model_validate({"detect": {"score_threshold": 0.75}})
    again = evaluate_results(tmp_path / report.title.split()[0], data, strict)
    assert again.evaluation.overall.scores == MatchCounts(0.75, 1, 2, 3)
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (content["data"], content["images"]) == ("tiles", 3)


def test_classes_may_be_taken_as_one_or_left_out(write, data):
    path = write()
    read, classes = samples(path, data, one_class="vehicle")
    assert classes == ("vehicle",)
    assert [one.detections.labels.tolist() for one in read] == [[0, 0], [0], [0]]
    read, classes = samples(path, data, ignore_classes=["bus"])
    assert classes == ("car",)
    assert [len(one.detections) for one in read] == [2, 0, 0]


def test_detections_of_other_images_are_reported(write, data, caplog):
    read, _ = samples(write([*FOUND, ("t.png", "car", [0, 0, 9, 9], 0.5)]), data)
    assert sum(len(one.detections) for one in read) == 4
    assert "1 images are not in this split and are left out" in caplog.text


def test_detections_of_none_of_the_images_are_refused(write, data):
    with pytest.raises(VectorError, match=r"has objects of x.*, but of none of the 3 images"):
        samples(write([("x.png", "car", [0, 0, 9, 9], 0.5)]), data)


def test_classes_without_one_in_common_are_refused(write, data):
    with pytest.raises(ConfigError, match="no class in common: the labels have bus, car"):
        samples(write([(i, f"{n}!", b, s) for i, n, b, s in FOUND]), data)


MANY = [("a.png", "car", [x, 45, x + 10, 55], 0.5) for x in range(5, 50, 5)]


def test_boxes_in_another_form_are_warned_of(data, tmp_path, caplog):
    """Corners where COCO has sizes, and where YOLO has a centre and sizes."""
    coco = [(i, n, [a, b, a + c, b + d], s) for i, n, (a, b, c, d), s in MANY]
    yolo = [
        (i, n, [a - c / 2, b - d / 2, a + c / 2, b + d / 2], s) for i, n, (a, b, c, d), s in MANY
    ]
    for write, rows, read_as in ((write_results, coco, "x, y, w"), (write_text, yolo, "centre x")):
        caplog.clear()
        samples(write(tmp_path)(rows), data)
        assert "9 of 9 boxes are inverted or reach outside of their image" in caplog.text
        assert f"if their numbers are {read_as}" in caplog.text
        assert "such as one of a.png, and none if they are xmin, ymin, xmax, ymax" in caplog.text


def test_boxes_in_their_form_are_not_warned_of(write, data, caplog):
    samples(write(MANY), data)
    assert "inverted" not in caplog.text


def test_a_vector_file_is_refused_with_a_hint(tmp_path, data):
    with pytest.raises(VectorError, match=r"found\.gpkg is neither a JSON list") as caught:
        samples(tmp_path / "found.gpkg", data)
    assert "--labels" in caught.value.hint


def test_yolo_results_that_two_images_share_are_refused(tmp_path, data):
    paint_chip(data / "a.jpg")
    boxes, labels = BOXES | {"a.jpg": [[0, 0, 10, 10]]}, LABELS | {"a.jpg": [0]}
    write_coco(data / "val.json", boxes, NAMES, labels=labels)
    found = write_text(tmp_path)()
    with pytest.raises(VectorError, match=r"images are called a, .* but .* has only one a\.txt"):
        samples(found, data)


@pytest.mark.parametrize(("east_px", "south_px"), [(10, 0), (0, 10)])
def test_distances_on_chips_are_those_on_the_ground(tmp_path, east_px, south_px):
    """At 60 degrees north a pixel of 1e-5 degrees is 0.558 m wide and 1.114 m high."""
    transform = Affine(1e-5, 0, 10, 0, -1e-5, 60)
    for name, column in (("a.tif", 0), ("t.tif", 5000)):
        place = {"column": column, "transform": transform, "epsg": 4326}
        paint_geotiff(tmp_path / name, height=64, **place)
    write_coco(tmp_path / "train.json", {"t.tif": [[1, 1, 9, 9]]}, NAMES)
    write_coco(tmp_path / "val.json", {"a.tif": [[20, 20, 30, 30]]}, NAMES)
    images = read_tileset(tmp_path, Config().data).split("val")
    box = np.array([[20, 20, 30, 30]]) + [east_px, south_px] * 2
    found = Detections(box.astype(np.float32), np.ones(1, np.float32), images[0].labels)
    distance = 0.558 * east_px + 1.114 * south_px
    for share, count in ((0.98, 0), (1.02, 1)):
        rule = MatchConfig(by="distance", distance_m=share * distance)
        (result,) = compare_images([found], images, rule)
        assert len(result.pairs.label) == count
