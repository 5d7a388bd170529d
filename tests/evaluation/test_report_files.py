"""The files of an evaluation."""

import csv
import json

import numpy as np
import pyogrio
import pytest
from affine import Affine
from pyproj import CRS

from geodet.config import MatchConfig
from geodet.errors import OutputError
from geodet.evaluation import report_files as files
from geodet.evaluation.charts import draw_curves
from geodet.evaluation.measures import EvaluatedImage, measure
from geodet.evaluation.report_files import to_json, write_evaluation
from geodet.files.output_folders import EVALUATION_FILES, check_evaluation_folder
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox

CLASSES = ("car, small", 'the "bus"', "Bäume")
LAYERS = ("true_positives", "false_positives", "misses")
UTM = GeoBox(100, 100, Affine(0.5, 0, 500_000, 0, -0.5, 4_500_000), CRS.from_epsg(32633))


@pytest.fixture(autouse=True)
def charts(monkeypatch):
    """Record the measures of each chart by its title, instead of drawing it, which is slow."""
    drawn = {}
    monkeypatch.setattr(
        files, "draw_curves", lambda _, title, figures: drawn.update({title: figures})
    )
    return drawn


def sample(name="a.tif", gsd=0.5):
    """Return three labels and four detections 20 px apart: two match, one of them 2 px off."""
    at = np.arange(0, 100, 20.0)
    boxes = np.stack([at, 0 * at, at + 10, 0 * at + 10], axis=1)
    found = boxes[:4] + np.array([[0, 0, 0, 0], [2, 0, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    detections = Detections(found, [0.9, 0.8, 0.7, 0.2], [0, 1, 0, 1])
    return EvaluatedImage(
        name, detections, boxes[[0, 1, 4]], np.array([0, 1, 1]), np.zeros((0, 4)), gsd
    )


def evaluation(samples=None, threshold=0.5, **options):
    return measure(samples or [sample()], CLASSES, MatchConfig(), threshold=threshold, **options)


def write(folder, measures, places=(("a.tif", UTM, 0.5),)):
    write_evaluation(folder, measures, places, title="cars", about={"model": "m", "data": None})
    return folder


def reject(constant):
    raise ValueError(f"{constant} is not JSON")


def read_json(folder):
    """Read JSON strictly: without NaN and Infinity."""
    text = (folder / "metrics.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=reject)


def read_table(folder):
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_layer(folder, name):
    return pyogrio.read_dataframe(folder / "errors.gpkg", layer=name)


def test_measures_equal_those_computed_by_hand(tmp_path):
    content = read_json(write(tmp_path / "out", evaluation()))
    assert (content["model"], content["data"], content["gsd"]) == ("m", None, 0.5)
    counts = ("matched", "detected", "labelled")
    overall = content["overall"]
    assert [overall[name] for name in counts] == [2, 3, 3]
    assert (overall["precision"], overall["recall"]) == pytest.approx((2 / 3, 2 / 3))
    assert [content["by_class"][CLASSES[1]][name] for name in counts] == [1, 1, 2]
    assert overall["best"] == content["best"]
    assert overall["best"]["threshold"] == pytest.approx(0.75)


def test_a_class_without_objects_has_no_average_precision(tmp_path):
    measures = evaluation()
    content = read_json(write(tmp_path / "out", measures))
    bare = content["by_class"][CLASSES[2]]
    assert [bare[name] for name in ("ap", "ap50", "small", "labelled")] == [None, None, None, 0]
    assert content["by_class"][CLASSES[0]]["ap"] == pytest.approx(1.0)
    assert to_json(measures)["by_class"][CLASSES[2]] == bare


def test_a_class_of_the_name_all_has_figures_of_its_own(tmp_path, charts):
    measures = measure([sample()], ("all", "car"), MatchConfig(), threshold=0.5)
    names = ["all classes", "all", "car"]
    content = read_json(write(tmp_path / "out", measures))
    assert list(content["reliability"]) == list(content["curves"])[1:] == names
    rows = read_table(tmp_path / "out")
    assert [row["class"] for row in rows] == list(charts["cars"]) == names
    assert [row["labelled"] for row in rows] == ["3", "1", "2"]
    assert "all classes" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("gsd", "has_pixels", "px", "m"),
    [
        (0.5, True, [32.0, 96.0], [16.0, 48.0]),
        (None, True, [32.0, 96.0], None),
        (0.5, False, None, None),
    ],
)
def test_size_bounds_are_also_in_metres_if_the_gsd_is_known(gsd, has_pixels, px, m):
    rule = MatchConfig(size_bounds_px=(32.0, 96.0))
    measures = measure([sample(gsd=gsd)], CLASSES, rule, threshold=0.5, has_pixels=has_pixels)
    plain = to_json(measures)
    assert (plain["size_bounds_px"], plain["size_bounds_m"]) == (px, m)


def test_curves_equal_counts_at_each_threshold(tmp_path):
    curves = read_json(write(tmp_path / "out", evaluation()))["curves"]
    scores, hits = np.array([0.9, 0.8, 0.7, 0.2], np.float32), np.array([1, 1, 0, 0])
    for row, threshold in enumerate(curves["threshold"]):
        kept = scores >= np.float32(threshold)
        precision = hits[kept].mean() if kept.any() else 0.0
        assert curves["all"]["recall"][row] == pytest.approx(hits[kept].sum() / 3, abs=1e-6)
        assert curves["all"]["precision"][row] == pytest.approx(precision, abs=1e-6)
    assert set(curves) == {"threshold", "all", *CLASSES}


def test_the_table_has_the_values_of_the_json_file(tmp_path):
    folder = write(tmp_path / "out", evaluation())
    content, rows = read_json(folder), read_table(folder)
    assert len({row["run"] for row in rows}) == 1
    assert [row["class"] for row in rows] == ["all", *CLASSES]
    for row, figures in zip(rows, (content["overall"], *content["by_class"].values()), strict=True):
        best = figures.pop("best")
        expected = figures | {f"best_{key}": best[key] for key in ("threshold", "f1")}
        for name, value in expected.items():
            assert row[name] == "" if value is None else float(row[name]) == value


def test_every_detection_and_every_label_is_in_one_layer(tmp_path):
    folder = write(tmp_path / "out", evaluation())
    hits, wrong, missed = (read_layer(folder, name) for name in LAYERS)
    assert hits["label"].tolist() == [CLASSES[0], CLASSES[1]]
    assert hits["score"].tolist() == pytest.approx([0.9, 0.8])
    assert hits["iou"].tolist() == pytest.approx([1, 8 / 12], abs=1e-4)
    assert hits["distance_m"].tolist() == pytest.approx([0, 1])  # 2 px of half a metre
    assert (wrong["label"].tolist(), missed["label"].tolist()) == ([CLASSES[0]], [CLASSES[1]])
    assert missed["score"].isna().all()
    assert wrong["distance_m"].isna().all()
    assert missed.geometry[0].bounds == pytest.approx((500_040, 4_499_995, 500_045, 4_500_000))


def test_the_layers_contain_the_detections_above_the_threshold(tmp_path):
    counts = [
        [
            len(read_layer(write(tmp_path / f"{t}", evaluation(threshold=t)), name))
            for name in LAYERS
        ]
        for t in (0.1, 0.85, 0.95)
    ]
    assert counts == [[2, 2, 1], [1, 0, 2], [0, 0, 3]]


def test_each_box_has_the_name_and_the_place_of_its_image(tmp_path):
    beside = GeoBox(100, 100, Affine(0.5, 0, 500_100, 0, -0.5, 4_500_000), UTM.crs)
    measures = evaluation([sample("a.tif"), sample("b.tif")])
    places = [("a.tif", UTM, 0.5), ("b.tif", beside, 0.5)]
    missed = read_layer(write(tmp_path / "out", measures, places), "misses")
    assert missed["image"].tolist() == ["a.tif", "b.tif"]
    assert [shape.bounds[0] for shape in missed.geometry] == pytest.approx([500_040, 500_140])


def test_places_and_images_must_agree_in_number(tmp_path):
    with pytest.raises(ValueError, match="zip"):
        write(tmp_path / "out", evaluation(), [])
    assert list(tmp_path.iterdir()) == []


def test_an_evaluation_without_detections_and_objects_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "draw_curves", draw_curves)
    nothing = EvaluatedImage(
        "a.tif", Detections.empty(), np.zeros((0, 4)), np.zeros(0, int), np.zeros((0, 4)), None
    )
    folder = write(tmp_path / "out", evaluation([nothing]))
    assert sorted(path.name for path in folder.iterdir()) == sorted(EVALUATION_FILES)
    overall = read_json(folder)["overall"]
    assert (overall["ap"], overall["detected"], overall["labelled"]) == (None, 0, 0)
    assert [len(read_layer(folder, name)) for name in LAYERS] == [0, 0, 0]


def test_the_curves_show_the_classes_of_the_table(tmp_path, charts):
    write(tmp_path / "out", measures := evaluation())
    assert charts == {"cars": {"all": measures.overall, **measures.by_class}}


def test_a_folder_with_something_else_is_never_replaced(tmp_path):
    folder = write(tmp_path / "out", evaluation())
    check_evaluation_folder(folder, overwrite=True)
    with pytest.raises(OutputError, match="is not empty"):
        check_evaluation_folder(folder, overwrite=False)
    with pytest.raises(OutputError, match=r"holds more than an earlier output: found\.gpkg"):
        check_evaluation_folder(folder, overwrite=True, inputs=[folder / "found.gpkg"])
    with pytest.raises(OutputError, match=r"cannot write .*errors\.gpkg: because of its !"):
        check_evaluation_folder(tmp_path / "new!", overwrite=False)


def test_reliability_is_written_for_each_class(tmp_path):
    content = read_json(write(tmp_path / "out", measures := evaluation()))
    assert set(content["reliability"]) == {"all", *measures.by_class}
    bins = content["reliability"]["all"]
    assert sum(one["count"] for one in bins) == len(measures.results[0].detections)
    assert {one["precision"] for one in bins if not one["count"]} == {None}
    assert content["overall"]["score_error"] == pytest.approx(measures.overall.score_error)
