"""A detection is checked before it begins, and its scenes are opened no more than needed."""

import json
import logging

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image, ImageOps
from remote_server import Fault

from geodet.config import DetectConfig
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.detect_options import check_paths
from geodet.detection.detect_report import record_path
from geodet.detection.detection_plan import plan_detection
from geodet.detection.open_scenes import OpenScenes
from geodet.errors import ConfigError, OutputError, SceneError, VectorError
from geodet.files.locks import locked_output
from geodet.raster.orientation import Turn
from geodet.raster.scene import Scene

SMALL = DetectConfig(chip_size=64, overlap=16, precision="float32")


@pytest.fixture
def plan(tiny_model, tmp_path):
    """Return a function that plans a detection into out.gpkg."""

    def make(scenes, outputs=("out.gpkg",), **options):
        paths, about = [tmp_path / name for name in outputs], tiny_model.description
        with OpenScenes(about, SMALL) as opened:
            return plan_detection(scenes, paths, about, SMALL, DetectOptions(**options), opened)

    return make


def run(scenes, model, output, **options):
    report = detect_to_files(scenes, [output], model, SMALL, DetectOptions(device="cpu", **options))
    return geopandas.read_file(output, layer="detections"), report


def area(path, scene, x1, y1, x2, y2, crs=None):
    """Write a rectangle of the scene's pixels as a GeoJSON in WGS 84, or in another CRS."""
    corners = scene.to_world(np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], float))
    frame = geopandas.GeoDataFrame(geometry=[shapely.Polygon(corners)], crs=scene.crs)
    frame.to_crs(crs or 4326).to_file(path)
    return path


def test_scenes_of_one_file_name_are_named_with_their_folder(plan, make_scene, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    paths = [make_scene("a/x.tif"), make_scene("b/x.tif"), make_scene("y.tif")]
    assert [scene.name for scene in plan(paths).scenes] == ["a/x.tif", "b/x.tif", "y.tif"]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_picture_gives_the_detections_of_the_picture_saved_upright(
    orientation, make_scene, tiny_model, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    upright = make_scene("upright.png", epsg=None, width=150, height=110)
    with Image.open(upright) as image:
        displayed = np.asarray(image)
    back = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]  # the turn that undoes it
    stored = Turn.of(back).applied(displayed.transpose(2, 0, 1)).transpose(1, 2, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    with Image.open(paths[0]) as image:
        np.testing.assert_array_equal(ImageOps.exif_transpose(image), displayed)
    wanted, _ = run([upright], tiny_model, tmp_path / "upright.gpkg")
    assert "EXIF orientation" not in caplog.text
    found, _ = run(paths, tiny_model, tmp_path / "turned.gpkg")
    assert caplog.text.count("EXIF orientation") == 1
    sides = ["x1_px", "y1_px", "x2_px", "y2_px", "score"]
    assert len(wanted) > 0
    for name in ("a.png", "b.png"):
        mine = found[found["scene"] == name]
        np.testing.assert_array_equal(mine[sides], wanted[sides])


def test_a_server_that_names_scenes_is_asked_as_often_as_the_settings_say(
    server, tiny_model, tmp_path
):
    (tmp_path / "a.json").touch()
    about, options = tiny_model.description, DetectOptions()
    server.fault = Fault("503")
    for config, message in (
        (DetectConfig(retries=0), r"HTTP status 503\n"),
        (DetectConfig(retries=1, retry_delay=0.0), "HTTP status 503; tried 2 times"),
    ):
        with pytest.raises(SceneError, match=message):
            check_paths([f"{server.url}/a.json"], [], options, config)
        with OpenScenes(about, config) as opened, pytest.raises(SceneError, match=message):
            plan_detection([f"{server.url}/a.json"], [], about, config, options, opened)


def test_only_detections_in_the_area_of_interest_are_written(
    make_scene, tiny_model, tmp_path, plan
):
    path = make_scene(width=300, height=200, rotation=10)
    geobox = plan([path]).scenes[0].geobox
    everything, _ = run([path], tiny_model, tmp_path / "all.gpkg")
    aoi = area(tmp_path / "aoi.gpkg", geobox, 100, 20, 180, 90, crs=3857)
    some, report = run([path], tiny_model, tmp_path / "some.gpkg", aoi=aoi)
    x = (everything["x1_px"] + everything["x2_px"]) / 2
    y = (everything["y1_px"] + everything["y2_px"]) / 2
    inside = everything[(x > 100) & (x < 180) & (y > 20) & (y < 90)]
    assert 0 < len(some) == len(inside) < len(everything)
    assert sorted(some["score"]) == sorted(inside["score"])
    assert report.megapixels < 300 * 200 / 1e6 / 2


def test_bounds_are_an_area_of_interest_in_any_crs(make_scene, tiny_model, tmp_path, plan):
    path = make_scene(width=300, height=200)
    geobox = plan([path]).scenes[0].geobox
    (x1, y2), (x2, y1) = geobox.to_world(np.array([(50.0, 40), (150, 120)]))
    own, _ = run([path], tiny_model, tmp_path / "own.gpkg", bounds=(x1, y1, x2, y2))
    ring = geopandas.GeoSeries([shapely.box(x1, y1, x2, y2)], crs=geobox.crs).to_crs(4326)
    degrees = tuple(ring.total_bounds)
    named = {"bounds": degrees, "bounds_crs": "EPSG:4326"}
    other, _ = run([path], tiny_model, tmp_path / "other.gpkg", **named)
    assert 0 < len(own) <= len(other) <= len(own) + 10  # the bounds in degrees are a little larger


def test_scenes_outside_of_the_area_are_left_out(make_scene, plan, tmp_path, caplog):
    near, far = make_scene("near.tif"), make_scene("far.tif", origin=(700_000, 5_000_000))
    geobox = plan([near]).scenes[0].geobox
    aoi = area(tmp_path / "aoi.gpkg", geobox, 10, 10, 30, 30)
    caplog.set_level(logging.INFO, "geodet")
    assert [scene.name for scene in plan([far, near], aoi=aoi).scenes] == ["near.tif"]
    assert "1 of 2 scenes are outside the area of interest" in caplog.text
    with pytest.raises(VectorError, match="the area does not intersect the scene"):
        plan([far], aoi=aoi)


@pytest.mark.parametrize(
    ("outputs", "options", "error", "message"),
    [
        (
            ("a.gpkg",),
            {"aoi": "x", "bounds": (0, 0, 1, 1)},
            ConfigError,
            "both an area of interest and bounds",
        ),
        (
            ("a.csv", "b.csv"),
            {"format": "csv"},
            ConfigError,
            "the format csv is given for 2 outputs",
        ),
        (("a.gpkg", "a.gpkg"), {}, OutputError, r"a\.gpkg would be written twice"),
        (("scene.tif.tab",), {}, OutputError, "cannot tell the format"),
        (("a.gpkg",), {"append": True, "overwrite": True}, OutputError, "both appended to and"),
        (("a.csv",), {"append": True}, OutputError, "append"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    plan, make_scene, outputs, options, error, message
):
    with pytest.raises(error, match=message):
        plan([make_scene()], outputs, **options)


@pytest.mark.parametrize(
    ("output", "options"),
    [
        ("scene.tif", {"format": "csv"}),
        ("aoi.geojson", {}),
        ("list.txt", {"format": "csv"}),
        ("out.csv", {"preview": "scene.tif.png"}),
        ("aoi.csv", {"format": "geojson", "style": True}),  # its style is the area
    ],
)
def test_an_output_that_is_also_an_input_is_refused(plan, make_scene, tmp_path, output, options):
    path = make_scene()
    (tmp_path / "scene.tif.png").symlink_to(path)
    with Scene(path) as scene:
        aoi = area(tmp_path / "aoi.geojson", scene.geobox, 0, 0, 96, 80)
    aoi = aoi.rename(tmp_path / "aoi.qml") if "style" in options else aoi
    (tmp_path / "list.txt").write_text("scene.tif\n")
    if "preview" in options:
        options = {"preview": tmp_path / options["preview"]}
    with pytest.raises(OutputError, match="is an input and would be overwritten"):
        plan([f"@{tmp_path / 'list.txt'}"], (output,), aoi=aoi, overwrite=True, **options)


def test_an_existing_style_is_kept_without_overwrite(make_scene, tiny_model, tmp_path):
    style = tmp_path / "out.qml"
    style.write_text("mine")
    with pytest.raises(OutputError, match=r"out\.qml exists already"):
        run([make_scene()], tiny_model, tmp_path / "out.geojson", style=True)
    assert style.read_text() == "mine"
    assert not (tmp_path / "out.geojson").exists()
    options = DetectOptions(device="cpu", style=True, overwrite=True)
    detect_to_files([make_scene()], [tmp_path / "out.geojson"], tiny_model, SMALL, options)
    assert style.read_text() != "mine"


@pytest.mark.parametrize(
    ("name", "format"), [("a.coco.json", None), ("a.json", "coco"), ("a", "yolo")]
)
def test_formats_that_qgis_does_not_open_get_no_style(
    make_scene, tiny_model, tmp_path, name, format
):
    options = DetectOptions(device="cpu", style=True, format=format)
    detect_to_files([make_scene()], [tmp_path / name], tiny_model, SMALL, options)
    assert (tmp_path / name).exists()
    assert not list(tmp_path.rglob("*.qml"))


def test_scenes_that_would_share_an_output_file_are_refused(plan, make_scene):
    twins = [make_scene("a.tif"), make_scene("a.png")]
    with pytest.raises(
        OutputError, match=r"a\.txt would hold detections of a\.png and something else"
    ):
        plan(twins, ("out",), format="yolo")
    with pytest.raises(OutputError, match=r"classes\.txt would hold detections of classes\.tif"):
        plan([make_scene("classes.tif")], ("out",), format="yolo")
    assert len(plan([make_scene("b.tif"), twins[0]], ("out",), format="yolo").scenes) == 2


def test_missing_georeferences_are_warned_of_once_for_all_scenes_of_a_run(plan, make_scene, caplog):
    plan([make_scene(f"{name}.tif", epsg=None) for name in "abc"])
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2
    assert texts[0].startswith("the metres per pixel of 3 scenes")
    assert texts[1].startswith("3 pictures (such as a.tif): the objects cannot be located")


def test_a_second_run_is_appended(make_scene, tiny_model, tmp_path):
    out = tmp_path / "out.gpkg"
    first, _ = run([make_scene("a.tif")], tiny_model, out)
    away = make_scene("b.tif", seed=5, origin=(510_000, 4_500_000))
    both, _ = run([away], tiny_model, out, append=True)
    assert both["scene"].tolist()[: len(first)] == ["a.tif"] * len(first)
    assert set(both["scene"]) == {"a.tif", "b.tif"}


def test_appending_an_overlapping_scene_keeps_what_one_call_keeps(make_scene, tiny_model, tmp_path):
    scenes = [make_scene(name, seed=seed) for name, seed in (("a.tif", 0), ("b.tif", 5))]
    together, _ = run(scenes, tiny_model, tmp_path / "both.gpkg")
    out = tmp_path / "out.gpkg"
    first, _ = run(scenes[:1], tiny_model, out)
    both, _ = run(scenes[1:], tiny_model, out, append=True)
    assert not set(first["x1_px"]) <= set(both[both["scene"] == "a.tif"]["x1_px"])
    columns = ["scene", "x1_px", "y1_px", "score"]
    expected = together[columns].sort_values(columns).to_numpy().tolist()
    assert both[columns].sort_values(columns).to_numpy().tolist() == expected


def test_a_scene_that_is_there_is_refused_or_replaced(make_scene, tiny_model, tmp_path):
    out, scenes = tmp_path / "out.gpkg", [make_scene("a.tif"), make_scene("b.tif", seed=5)]
    together, _ = run(scenes, tiny_model, out)
    with pytest.raises(OutputError, match=r"out\.gpkg contains detections of b\.tif already"):
        run(scenes[1:], tiny_model, out, append=True)
    replaced, _ = run(scenes[1:], tiny_model, out, append=True, replace_scenes=True)
    assert set(replaced["scene"]) == {"a.tif", "b.tif"}
    assert len(replaced) <= len(together)
    with pytest.raises(
        ConfigError, match="scenes can be replaced only in a file that is appended to"
    ):
        run(scenes, tiny_model, tmp_path / "new.gpkg", replace_scenes=True)
    area = {"bounds": (500_000.0, 4_499_990.0, 500_010.0, 4_500_000.0)}
    with pytest.raises(ConfigError, match="a scene is replaced as a whole"):
        run(scenes[1:], tiny_model, out, append=True, replace_scenes=True, **area)


def test_a_refused_run_leaves_the_record_of_the_other(make_scene, tiny_model, tmp_path):
    out, scenes = tmp_path / "out.gpkg", [make_scene("a.tif"), make_scene("b.tif", seed=5)]
    with locked_output(out), pytest.raises(OutputError, match="another run is writing"):
        run(scenes, tiny_model, out)
    assert not record_path(out).exists()
    run(scenes, tiny_model, out)
    assert record_path(out).exists()


def test_an_object_in_two_overlapping_scenes_is_written_once(make_scene, tiny_model, tmp_path):
    """The same ground in two files: each object of one is there, none twice."""
    alone, _ = run([make_scene("a.tif")], tiny_model, tmp_path / "alone.gpkg")
    both, report = run(
        [make_scene("a.tif"), make_scene("b.tif")], tiny_model, tmp_path / "both.gpkg"
    )
    assert len(both) == len(alone) == sum(report.detections.values()) == sum(report.labels.values())
    assert sorted(both["score"]) == sorted(alone["score"])


def test_styles_are_written_beside_files_that_cannot_hold_one(make_scene, tiny_model, tmp_path):
    outputs = [tmp_path / "a.gpkg", tmp_path / "b.geojson", tmp_path / "c.fgb"]
    options = DetectOptions(device="cpu", style=True, geometry="centroid")
    detect_to_files([make_scene()], outputs, tiny_model, SMALL, options)
    assert sorted(path.name for path in tmp_path.glob("*.qml")) == ["b.qml", "c.qml"]
    features = json.loads(outputs[1].read_text(encoding="utf-8"))["features"]
    assert {feature["geometry"]["type"] for feature in features} == {"Point"}


def test_the_report_has_the_time_of_each_stage(make_scene, tiny_model, tmp_path):
    _, report = run([make_scene()], tiny_model, tmp_path / "out.gpkg", profile=True)
    stages = ["read", "transfer", "forward", "decode", "journal", "merge", "write"]
    assert sorted(report.stages) == sorted(stages)
    assert 0 < sum(report.stages.values()) <= report.seconds


def test_the_preview_has_the_colours_that_the_bands_name(make_scene, tiny_model, tmp_path):
    scene = make_scene(bands=4, descriptions=("blue", "green", "red", "nir"))
    with rasterio.open(scene, "r+") as raster:
        for band, value in enumerate((10, 20, 200, 90), start=1):
            raster.write(np.full(raster.shape, value, np.uint8), band)
    options = {"preview": tmp_path / "view.png"}
    detect_to_files(
        [scene], [tmp_path / "a.gpkg"], tiny_model, SMALL, DetectOptions("cpu", **options)
    )
    with Image.open(tmp_path / "view.png") as image:
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (colours == [200, 20, 10]).all(axis=1).mean() > 0.05
    assert not (colours == [10, 20, 200]).all(axis=1).any()
