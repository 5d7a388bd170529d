"""The report of a detection shows what the run reports, and pictures of bounded size."""

import io
import logging
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image
from pretended_predictor import SMALL, BrightnessSeer
from readings_html import addresses_of, figures_of, read_page, tables_of, text_of

import geodet.detection.detect as detect_module
from geodet.detection import run_page, run_thumbnails
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.errors import OutputError, SceneError
from geodet.vector.vector_summary import summarise_vector

OBJECTS = [(10, 10, 20, 20, 250), (60, 40, 70, 50, 250), (30, 55, 40, 65, 250)]


@pytest.fixture(autouse=True)
def _seer(monkeypatch):
    monkeypatch.setattr(detect_module, "build_predictor", lambda *_, **__: BrightnessSeer(200))


@pytest.fixture
def detect(tiny_model, tmp_path):
    """Return a function that detects in scenes and returns the report and its page."""

    def run(*scenes, output="out.gpkg", **options):
        path = tmp_path / "report.html"
        options = DetectOptions(device="cpu", report=path, overwrite=True, **options)
        report = detect_to_files(list(scenes), [tmp_path / output], tiny_model, SMALL, options)
        return report, read_page(path)

    return run


def dark(make_scene, name="scene.tif", **paint):
    return make_scene(name, **({"objects": OBJECTS} | paint))


def table(page, first):
    (found,) = [rows for rows in tables_of(page) if rows[0][0] == first]
    return found


def picture(page):
    jpeg = b64decode(addresses_of(page)[0].partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)


def test_counts_and_densities_are_those_of_the_run(make_scene, detect):
    report, page = detect(dark(make_scene))
    figures = figures_of(page)
    hectares = 96 * 80 * 0.36 / 10_000
    assert report.labels == {"tree": 3}
    assert figures["Objects"] == "3"
    assert float(figures["Searched"].split()[0]) == pytest.approx(hectares, rel=2e-3)
    assert float(figures["Density"].split()[0]) == pytest.approx(3 / hectares, rel=1e-2)
    assert table(page, "class")[1][:2] == ["tree", "3"]
    assert table(page, "scene")[1][:3] == ["scene.tif", "ok", "3"]


def test_the_density_is_that_of_the_area_of_interest(make_scene, detect):
    bounds = (500_000.0, 4_500_000 - 0.6 * 80, 500_000 + 0.6 * 48, 4_500_000.0)
    _, page = detect(dark(make_scene), bounds=bounds)
    figures = figures_of(page)
    assert figures["Objects"] == "2"
    assert float(figures["Searched"].split()[0]) == pytest.approx(48 * 80 * 0.36e-4, rel=2e-3)


def test_the_stages_add_up_to_the_time(make_scene, detect):
    report, page = detect(dark(make_scene))
    stages = {row[0]: float(row[1]) for row in table(page, "stage")[1:]}
    assert stages.keys() - {"the rest"} == report.stages.keys()
    assert sum(stages.values()) >= report.seconds - 0.005 * len(stages)


def test_dots_lie_on_the_objects(make_scene, detect):
    _, page = detect(dark(make_scene))
    pixels = picture(page)
    assert pixels.shape == (80, 96, 3)
    yellow = (pixels[..., 0] > 180) & (pixels[..., 1] > 170) & (pixels[..., 2] < 140)
    for x, y in ((15, 15), (65, 45), (35, 60)):
        assert yellow[y - 2 : y + 3, x - 2 : x + 3].any()


def test_scenes_are_on_a_map_and_in_a_table(make_scene, detect):
    first = dark(make_scene, "a.tif")
    beside = dark(make_scene, "b.tif", origin=(500_100.0, 4_500_000.0), objects=OBJECTS[:1])
    report, page = detect(first, beside)
    shapes = [path for path in page.iter("path") if path.get("class") == "ground"]
    assert [text_of(shape).partition(":")[0] for shape in shapes] == ["a.tif", "b.tif"]
    shades = [float(shape.get("style").removeprefix("--shade:")) for shape in shapes]
    assert shades == pytest.approx([1, 1 / 3], abs=0.01)
    assert [row[2] for row in table(page, "scene")[1:]] == ["3", "1"]
    assert len(addresses_of(page)) == 2
    assert sum(report.detections.values()) == 4


def test_the_outputs_that_are_not_named_are_counted(make_scene, detect):
    scenes = [dark(make_scene, f"{name}.tif") for name in "abcde"]
    _, page = detect(*scenes[:3], output="three/*.gpkg")
    assert "Written to a.gpkg, b.gpkg, c.gpkg." in text_of(page)
    _, page = detect(*scenes, output="five/*.gpkg")
    assert "Written to a.gpkg, b.gpkg, c.gpkg and 2 more." in text_of(page)


@pytest.fixture
def overlapping(make_scene):
    """Paint two scenes, of which the second begins in the middle of the first, and one apart."""
    (x1, y1, x2, y2, value), *_ = [box for box in OBJECTS if box[0] > 48]
    second = [(x1 - 48, y1, x2 - 48, y2, value)]
    return (
        dark(make_scene, "a.tif"),
        dark(make_scene, "b.tif", origin=(500_000 + 0.6 * 48, 4_500_000.0), objects=second),
        dark(make_scene, "c.tif", origin=(501_000.0, 4_500_000.0), objects=OBJECTS[:1]),
    )


def test_ground_that_several_scenes_show_counts_once(overlapping, detect, tmp_path):
    _, page = detect(*overlapping)
    figures, scene = figures_of(page), 96 * 80 * 0.36e-4
    assert figures["Objects"] == "4"
    searched = float(figures["Searched"].split()[0])
    assert searched == pytest.approx(2.5 * scene, rel=2e-3)
    assert searched == pytest.approx(summarise_vector(tmp_path / "out.gpkg").examined_ha, rel=1e-3)
    density = f"{4 / searched:.3g}"
    assert figures["Density"].split()[0] == table(page, "class")[1][2] == density
    assert "Objects and area where scenes overlap count once." in text_of(page.find(".//main"))


def test_a_scene_that_overlaps_another_has_no_density_of_its_own(overlapping, detect):
    _, page = detect(*overlapping)
    rows = table(page, "scene")[1:]
    assert [row[4] == "-" for row in rows] == [True, True, False]
    assert {row[3] for row in rows} == {"0.2767"}
    text = text_of(page.find(".//main"))
    assert "A scene that overlaps others has no density" in text
    shapes = [path for path in page.iter("path") if path.get("class") == "ground"]
    assert [text_of(shape) for shape in shapes[:2]] == [
        "a.tif: no density, overlaps other scenes",
        "b.tif: no density, overlaps other scenes",
    ]
    shades = [shape.get("style").removeprefix("--shade:") for shape in shapes]
    assert shades == ["0.00", "0.00", "1.00"]
    _, page = detect(*overlapping[:2])
    assert "Scenes; they overlap, so each has no density of its own." in text_of(
        page.find(".//main")
    )


def test_scenes_that_only_touch_have_densities(make_scene, detect):
    beside = dark(make_scene, "b.tif", origin=(500_000 + 0.6 * 96, 4_500_000.0))
    _, page = detect(dark(make_scene, "a.tif"), beside)
    assert [float(row[4]) for row in table(page, "scene")[1:]] == [10.8, 10.8]
    assert "counts once" not in text_of(page.find(".//main"))


def test_with_a_file_for_each_scene_ground_counts_as_often_as_its_objects(overlapping, detect):
    _, page = detect(*overlapping, output="*.geojson")
    figures, scene = figures_of(page), 96 * 80 * 0.36e-4
    assert figures["Objects"] == "5"
    assert float(figures["Searched"].split()[0]) == pytest.approx(3 * scene, rel=2e-3)
    assert [float(row[4]) for row in table(page, "scene")[1:]] == pytest.approx(
        [3 / scene, 1 / scene, 1 / scene], rel=1e-2
    )
    text = text_of(page.find(".//main"))
    assert "Objects and area where scenes overlap count once for each scene." in text


def test_a_scene_that_cannot_be_read_is_named(make_scene, detect, tmp_path):
    broken = dark(make_scene, "broken.tif", origin=(500_100.0, 4_500_000.0), tiled=True)
    data = broken.read_bytes()
    broken.write_bytes(data[: len(data) // 2])
    with pytest.raises(SceneError, match=r"broken\.tif"):
        detect(dark(make_scene), broken)
    page = read_page(tmp_path / "report.html")
    assert "broken.tif could not be read" in text_of(page.find(".//ul"))
    assert [row[1] for row in table(page, "scene")[1:]] == ["ok", "failed"]
    assert len(addresses_of(page)) == 1


def test_warnings_are_shown_without_secrets(make_scene, detect, monkeypatch):
    logger = logging.getLogger("geodet.detection")
    plan = detect_module.plan_detection

    def warn(*values, **options):
        logger.warning("slow: %s", "https://me:word@example.org/a.tif?token=x")
        return plan(*values, **options)

    monkeypatch.setattr(detect_module, "plan_detection", warn)
    _, page = detect(dark(make_scene))
    assert text_of(page.find(".//ul")) == "slow: https://***@example.org/a.tif?***"


def test_a_page_of_many_scenes_is_limited(make_scene, detect, monkeypatch):
    monkeypatch.setattr(run_page, "_MOST_ROWS", 2)
    monkeypatch.setattr(run_thumbnails, "_MOST", 1)
    origins = {f"{n}.tif": (500_000.0 + 100 * n, 4_500_000.0) for n in range(3)}
    scenes = [dark(make_scene, name, origin=origin) for name, origin in origins.items()]
    _, page = detect(*scenes)
    assert len(table(page, "scene")) == 1 + 2
    assert "The first 2 of 3 scenes" in text_of(page.find(".//main"))
    assert len(addresses_of(page)) == 1


def test_a_scene_without_a_place_has_counts_alone(make_scene, detect):
    _, page = detect(dark(make_scene, epsg=None))
    assert "Density" not in figures_of(page)
    assert table(page, "scene")[1][2:5] == ["3", "-", "-"]


def test_a_page_is_refused_before_the_run(make_scene, tiny_model, tmp_path):
    scene = dark(make_scene)
    for name, words in (("page.pdf", "cannot tell the format"), ("none/a.html", "no folder")):
        options = DetectOptions(device="cpu", report=tmp_path / name)
        with pytest.raises(OutputError, match=words):
            detect_to_files([scene], [tmp_path / "out.gpkg"], tiny_model, SMALL, options)
