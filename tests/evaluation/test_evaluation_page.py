"""The report of an evaluation shows the numbers of metrics.json, and pictures from the images."""

import io
import json
from base64 import b64decode

import geopandas
import numpy as np
import pytest
from PIL import Image
from readings_html import addresses_of, figures_of, read_page, tables_of, text_of
from shapely import box, polygons

from geodet.config import Config
from geodet.evaluation import report_files
from geodet.evaluation.evaluate import evaluate_vectors
from geodet.geometry.oriented_boxes import oriented_corners
from geodet.raster.scene import Scene

CLASSES = ('<img src="x">', "$bus$ & Bäume")
KIND = {"tile": {"label_field": "kind"}}
SVG = "svg"


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch):
    """Leave out the picture of the curves, which is slow."""
    monkeypatch.setattr(report_files, "draw_curves", lambda path, *_: path.touch())


def write_boxes(path, corners, **fields):
    shapes = [box(*one) for one in corners]
    geopandas.GeoDataFrame(fields, geometry=shapes, crs=32633).to_file(path)
    return path


@pytest.fixture
def files(tmp_path, make_scene):
    """Return detections, labels and the scene: a match, a wrong class and two misses."""
    places = [(10, 10), (40, 10), (70, 10), (10, 50)]
    scene = make_scene(objects=[(x, y, x + 12, y + 12, 250) for x, y in places])
    corners = [
        (
            500_000 + 0.6 * x,
            4_500_000 - 0.6 * (y + 12),
            500_000 + 0.6 * (x + 12),
            4_500_000 - 0.6 * y,
        )
        for x, y in places
    ]
    found = write_boxes(
        tmp_path / "found.gpkg",
        corners[:2],
        label=[CLASSES[0], CLASSES[0]],
        score=[0.9, 0.8],
    )
    kinds = [CLASSES[0], CLASSES[1], CLASSES[1], CLASSES[0]]
    return found, write_boxes(tmp_path / "truth.gpkg", corners, kind=kinds), scene


def report(files, tmp_path, *, scene=None, **options):
    tmp_path.mkdir(exist_ok=True)
    output = tmp_path / "out"
    evaluate_vectors(*files[:2], Config.model_validate(KIND), scene=scene, output=output, **options)
    page = read_page(output / "report.html")
    return page, json.loads((output / "metrics.json").read_text(encoding="utf-8"))


def test_the_page_shows_the_numbers_of_the_json_file(files, tmp_path):
    page, metrics = report(files, tmp_path)
    overall, figures = metrics["overall"], figures_of(page)
    for name in ("precision", "recall", "f1", "ap50"):
        shown = figures[{"f1": "F1", "ap50": "AP50"}.get(name, name.capitalize())]
        assert float(shown) == pytest.approx(overall[name], abs=5e-4)
    assert (figures["Objects"], figures["Detections"]) == ("4", "2")
    by_class, ap, confusion, _, _ = tables_of(page)
    assert [row[0] for row in by_class[1:]] == ["all", *sorted(CLASSES)]
    for row in by_class[2:]:
        one, cells = metrics["by_class"][row[0]], dict(zip(by_class[0], row, strict=True))
        for name in ("threshold", "precision", "recall"):
            assert float(cells[name]) == pytest.approx(one[name], abs=5e-4)
        counts = [int(cells[name]) for name in ("objects", "detections", "right")]
        assert counts == [one["labelled"], one["detected"], one["matched"]]
    assert float(ap[1][2]) == pytest.approx(overall["ap50"], abs=5e-4)
    assert [[int(n) for n in row[1:]] for row in confusion[1:]] == metrics["confusion"]["counts"]
    assert confusion[0][1:-1] == metrics["confusion"]["classes"]


def test_the_curves_show_the_thresholds(files, tmp_path):
    page, metrics = report(files, tmp_path)
    texts = [text_of(text) for svg in page.iter(SVG) for text in svg.iter("text")]
    assert f"chosen {metrics['overall']['threshold']:.3g}" in texts
    assert f"best {metrics['best']['threshold']:.3g}" in texts


def test_without_imagery_there_are_no_pictures(files, tmp_path):
    page, _ = report(files, tmp_path)
    assert addresses_of(page) == []
    assert "give the raster as scene (--scene)" in text_of(page)


def test_pictures_are_cut_where_the_objects_are(files, tmp_path):
    page, metrics = report(files, tmp_path, scene=files[2])
    shown = [b64decode(one.partition(",")[2]) for one in addresses_of(page)]
    overall = metrics["overall"]
    misses = overall["labelled"] - overall["matched"]
    assert len(shown) == overall["detected"] + misses == 5
    for jpeg in shown:  # 12 px of bright object in 40 px of noise
        image = np.asarray(Image.open(io.BytesIO(jpeg))).astype(float).mean(axis=2)
        assert image.max() > 235
    drawn = [rect for svg in page.iter(SVG) for rect in svg.iter("rect")]
    subjects = [rect.get("class").split()[1] for rect in drawn if "subject" in rect.get("class")]
    assert sorted(subjects) == ["missed"] * 3 + ["right", "wrong"]


def test_the_middle_of_a_picture_is_the_object(files, tmp_path):
    page, _ = report(files, tmp_path, scene=files[2])
    (right,) = [
        (svg, rect)
        for svg in page.iter(SVG)
        for rect in svg.iter("rect")
        if rect.get("class") == "box right subject"
    ]
    x, y, width, height = (float(right[1].get(key)) for key in ("x", "y", "width", "height"))
    (address,) = [one.get("href") for one in right[0].iter("image")]
    jpeg = b64decode(address.partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(jpeg))).astype(float).mean(axis=2)
    inside = pixels[round(y) + 2 : round(y + height) - 2, round(x) + 2 : round(x + width) - 2]
    assert inside.min() > 200


def test_the_page_tells_how_it_was_made(files, tmp_path):
    page, _ = report(files, tmp_path, command="geodet evaluate --labels '<b>'")
    blocks = [text_of(block) for block in page.iter("pre")]
    assert blocks[0] == "geodet evaluate --labels '<b>'"
    assert "[match]" in blocks[1]
    assert "[model]" not in blocks[1]  # the detections may be of another program
    assert ["labels", "truth.gpkg"] in tables_of(page)[-1]


def test_the_page_says_what_was_labelled_also_with_one_class(files, tmp_path):
    page, _ = report(files, tmp_path)
    data = tables_of(page)[-2]
    assert [row[:2] for row in data[1:]] == [[name, "2"] for name in sorted(CLASSES)]
    assert [row[3] for row in data[1:]] == ["7.2 m", "7.2 m"]
    page, _ = report(files, tmp_path / "scene", scene=files[2])
    assert [row[3] for row in tables_of(page)[-2][1:]] == ["7.2 m", "7.2 m"]
    assert "Metres per pixel: 0.6." in text_of(page)
    for path in files[:2]:
        frame = geopandas.read_file(path)
        frame["kind" if "kind" in frame else "label"] = "one"
        frame.to_file(path)
    page, metrics = report(files, tmp_path / "again")
    confusion = tables_of(page)[2]
    assert confusion[0] == ["labelled as", "one", "(not found)"]
    assert [[int(n) for n in row[1:]] for row in confusion[1:]] == metrics["confusion"]["counts"]


def test_the_galleries_are_limited(tmp_path, make_scene):
    places = [(x, y) for x in range(0, 480, 16) for y in range(0, 320, 16)]
    scene = make_scene(width=500, height=340)
    corners = [
        (500_000 + 0.6 * x, 4_500_000 - 0.6 * (y + 8), 500_000 + 0.6 * (x + 8), 4_500_000 - 0.6 * y)
        for x, y in places
    ]
    scores = np.linspace(0.99, 0.1, 300)
    found = write_boxes(tmp_path / "found.gpkg", corners[:300], label=["a"] * 300, score=scores)
    labels = write_boxes(tmp_path / "truth.gpkg", corners[150:], kind=["a"] * 450)
    page, _ = report((found, labels), tmp_path, scene=scene)
    assert len(addresses_of(page)) == 3 * 18
    assert (tmp_path / "out" / "report.html").stat().st_size < 1_000_000
    captions = [text_of(one) for one in page.iter("figcaption") if text_of(one).startswith("a 0")]
    worst = [float(text[2:6]) for text in captions[:18]]
    assert worst == pytest.approx(scores[:18], abs=0.006)


def test_pictures_show_rectangles_at_their_angles(tmp_path, make_scene):
    scene = make_scene()
    rows = np.array([[30.0, 30, 20, 8, 0.5], [70, 50, 24, 10, -0.3]])
    with Scene(scene) as raster:
        shapes = polygons(raster.geobox.to_world(oriented_corners(rows)))
    fields = {"kind": ["ship"] * 2, "label": ["ship"] * 2, "score": [0.9, 0.8]}
    for name in ("found", "truth"):
        geopandas.GeoDataFrame(fields, geometry=shapes, crs=32633).to_file(
            tmp_path / f"{name}.gpkg"
        )
    page, _ = report((tmp_path / "found.gpkg", tmp_path / "truth.gpkg"), tmp_path, scene=scene)
    turns = {mark.get("transform", "").split(" ")[0] for mark in page.iter("rect")} - {""}
    assert turns == {f"rotate({np.degrees(angle):.2f}" for angle in rows[:, 4]}
