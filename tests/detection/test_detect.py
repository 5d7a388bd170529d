import csv
import json
import logging
import re
import sqlite3
import threading
from contextlib import closing

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
import torch
from affine import Affine
from geopandas.testing import assert_geodataframe_equal
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from overlaps import pairwise_iou
from pretended_predictor import SMALL, BrightnessSeer, Seer
from pyproj import CRS

import geodet
import geodet.detection.detect as detect_module
from geodet.config import DetectConfig
from geodet.demo.town import paint_town
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.detect_report import record_path
from geodet.detection.predictor import build_predictor
from geodet.detection.scene_run import detect_scene
from geodet.errors import ModelFileError, OutputError, SceneError
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window, WindowGrid
from geodet.models.checkpoint import load_checkpoint
from geodet.raster.geotiff import write_raster
from geodet.raster.scene import Scene


def run(scenes, outputs, model, config=SMALL, **options):
    """Detect in one scene or more and read the first output."""
    scenes = scenes if isinstance(scenes, list) else [scenes]
    outputs = outputs if isinstance(outputs, list) else [outputs]
    progress = options.pop("progress", lambda _: None)
    options = DetectOptions(device="cpu", **options)
    report = detect_to_files(scenes, outputs, model, config, options, progress=progress)
    return geopandas.read_file(outputs[0], layer="detections"), report


def boxes_of(layer):
    return layer[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy()


def readers():
    return [t for t in threading.enumerate() if t.name.startswith("geodet-read")]


# With a network


@pytest.fixture(scope="module")
def first_run():
    return {}


@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_detections_do_not_depend_on_batch_size_and_workers(
    make_scene, tiny_model, tmp_path, first_run, batch_size, workers
):
    path = make_scene(width=450, height=300, nodata=0, holes=[(200, 0, 330, 170)])
    config = SMALL.model_copy(update={"batch_size": batch_size, "workers": workers})
    layer, report = run(path, tmp_path / "out.gpkg", tiny_model, config)
    assert len(layer) > 100
    assert report.chips == 60
    first = first_run.setdefault(batch_size, layer)
    assert layer.equals(first)
    # torch may convolve one chip by another algorithm than several, rounded differently.
    other = first_run.setdefault("any", layer)
    assert list(layer["label"]) == list(other["label"])
    np.testing.assert_allclose(boxes_of(layer), boxes_of(other), rtol=0, atol=1e-3)
    np.testing.assert_allclose(layer["score"], other["score"], rtol=0, atol=1e-5)


def test_two_runs_write_the_same_bytes(make_scene, tiny_model, tmp_path):
    files = [tmp_path / "a.geojson", tmp_path / "b.geojson"]
    for file in files:
        run(make_scene(), file, tiny_model)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_an_empty_scene_gives_an_empty_layer(make_scene, tiny_model, tmp_path):
    path = make_scene(nodata=0, holes=[(0, 0, 96, 80)])
    out = tmp_path / "out.gpkg"
    layer, report = run(path, out, tiny_model)
    full, _ = run(make_scene(), tmp_path / "full.gpkg", tiny_model)
    assert len(layer) == 0 < len(full)
    assert layer.crs == full.crs == "EPSG:32633"
    assert (report.chips, report.empty_chips, report.detections) == (4, 4, {"scene.tif": 0})
    empty_info, full_info = (
        pyogrio.read_info(path, layer="detections") for path in (out, tmp_path / "full.gpkg")
    )
    for key in ("layer_name", "fields", "dtypes", "ogr_types", "geometry_type"):
        np.testing.assert_array_equal(empty_info[key], full_info[key])


@pytest.mark.parametrize("size", [(40, 50), (1, 1), (7, 200), (64, 64)])
def test_a_scene_may_be_smaller_than_a_chip(make_scene, tiny_model, tmp_path, size):
    path = make_scene(width=size[0], height=size[1])
    layer, report = run(path, tmp_path / "out.gpkg", tiny_model)
    assert report.megapixels == size[0] * size[1] / 1e6
    boxes = boxes_of(layer)
    assert len(layer) == report.detections["scene.tif"]
    assert (boxes >= 0).all()
    assert (boxes <= [*size, *size]).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()


def test_polygons_are_the_boxes_on_the_ground(make_scene, tiny_model, tmp_path):
    path = make_scene(rotation=25)
    layer, _ = run(path, tmp_path / "out.gpkg", tiny_model)
    with Scene(path) as scene:
        geobox = scene.geobox
    for box, polygon in zip(boxes_of(layer), layer.geometry, strict=True):
        x1, y1, x2, y2 = box
        corners = geobox.to_world(np.array([(x1, y1), (x1, y2), (x2, y2), (x2, y1)]))
        assert shapely.Polygon(corners).symmetric_difference(polygon).area < 1e-6


def test_the_report_counts_chips_and_detections_by_scene_and_class(
    make_scene, make_model, tmp_path
):
    model = load_checkpoint(make_model("two.safetensors", classes=("tree", "palm")))
    path = make_scene(width=200, height=150, nodata=0, holes=[(0, 0, 100, 150)])
    outputs = [tmp_path / "out.gpkg", tmp_path / "out.geojson"]
    seen = []
    layer, report = run(path, outputs, model, progress=seen.append)
    grid = WindowGrid(200, 150, 64, 16, align=16)
    assert report.outputs == tuple(outputs)
    assert report.chips == len(grid) == 12
    assert report.empty_chips == sum(window.col_end <= 100 for window in grid) == 3
    assert report.megapixels == 200 * 150 / 1e6
    assert report.detections == {"scene.tif": len(layer)}
    assert report.labels == {name: (layer["label"] == name).sum() for name in ("tree", "palm")}
    assert all(report.labels.values())
    assert (report.capped, report.device) == (0, "cpu")
    assert report.seconds > 0
    assert sum(step.chips for step in seen) == report.chips
    assert sum(step.pixels for step in seen) == 200 * 150
    assert {(step.scene, step.total) for step in seen} == {("scene.tif", 12)}
    assert seen[-1].detections >= len(layer)
    assert len(geopandas.read_file(outputs[1])) == len(layer)


def test_a_cap_that_binds_is_reported(make_scene, tiny_model, tmp_path, caplog):
    path = make_scene(width=64, height=64, origin=(0.0, 0.0))
    free, _ = run(path, tmp_path / "free.gpkg", tiny_model)
    predictor = build_predictor(tiny_model, SMALL, "cpu")
    with Scene(path) as scene:
        chip = scene.read(Window(0, 0, 64, 64))
    logits = predictor.forward(torch.tensor(chip.pixels)[None], torch.tensor(chip.valid)[None])[0]
    candidates = int((logits.sigmoid() > predictor.score_threshold).sum())
    assert not caplog.records
    config = SMALL.model_copy(update={"max_candidates": 3})
    layer, report = run(path, tmp_path / "capped.gpkg", tiny_model, config)
    assert report.capped == candidates - 3 > 0
    assert len(layer) <= 3 < len(free)
    assert layer["score"].max() == free["score"].max()
    assert (
        f"{report.capped} candidate boxes were dropped by the limit detect.max_per_level"
        in caplog.text
    )
    assert "=1000 or detect.max_candidates=3, those with the lowest scores" in caplog.text
    assert "raise it only if objects are missing there" in caplog.text
    config = SMALL.model_copy(update={"max_per_level": 2})
    layer, report = run(path, tmp_path / "level.gpkg", tiny_model, config)
    assert report.capped == candidates - 2 * len(tiny_model.network.anchors.strides)
    assert (
        "were dropped by the limit detect.max_per_level=2 or detect.max_candidates=" in caplog.text
    )


def test_thresholds_of_the_configuration_come_before_the_models(make_scene, tiny_model, tmp_path):
    path = make_scene()
    layer, _ = run(path, tmp_path / "a.gpkg", tiny_model)
    middle = float(layer["score"].median())
    stricter = SMALL.model_copy(update={"score_threshold": middle})
    fewer, _ = run(path, tmp_path / "b.gpkg", tiny_model, stricter)
    assert 0 < len(fewer) < len(layer)
    assert fewer["score"].min() >= round(middle, 6)
    sparse = SMALL.model_copy(update={"iou_threshold": 0.01})
    apart, _ = run(path, tmp_path / "c.gpkg", tiny_model, sparse)
    overlaps = pairwise_iou(boxes_of(apart), boxes_of(apart))
    assert overlaps[~np.eye(len(apart), dtype=bool)].max() <= 0.01 + 1e-6


# What does not fit


@pytest.mark.parametrize(
    ("bands", "chosen", "message"),
    [
        (2, (), r"scene\.tif has 2 bands, and tiny needs 3: red, green, blue"),
        (4, (1, 2), r"detect\.bands names 2 bands, and tiny needs 3"),
    ],
)
def test_a_model_needs_its_bands(make_scene, tiny_model, tmp_path, bands, chosen, message):
    config = SMALL.model_copy(update={"bands": chosen})
    with pytest.raises(ModelFileError, match=message):
        run(make_scene(bands=bands), tmp_path / "out.gpkg", tiny_model, config)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["scene.tif"]


def test_the_first_bands_are_taken_or_those_that_are_named(make_scene, tiny_model, tmp_path):
    three, _ = run(make_scene("a.tif"), tmp_path / "a.gpkg", tiny_model)
    five = make_scene("b.tif", bands=5)
    first, _ = run(five, tmp_path / "b.gpkg", tiny_model)
    named = SMALL.model_copy(update={"bands": (1, 2, 3)})
    chosen, _ = run(five, tmp_path / "c.gpkg", tiny_model, named)
    other = SMALL.model_copy(update={"bands": (3, 3, 1)})
    changed, _ = run(five, tmp_path / "d.gpkg", tiny_model, other)
    np.testing.assert_array_equal(boxes_of(first), boxes_of(three))
    np.testing.assert_array_equal(boxes_of(chosen), boxes_of(three))
    assert len(changed) != len(three) or (boxes_of(changed) != boxes_of(three)).any()


def test_a_scene_must_have_a_crs_where_it_is_required(make_scene, tiny_model, tmp_path, caplog):
    path, config = make_scene(epsg=None), SMALL.model_copy(update={"gsd": 0.6})
    strict = config.model_copy(update={"require_crs": True})
    with pytest.raises(SceneError, match=r"scene\.tif has no CRS"):
        run(path, tmp_path / "out.gpkg", tiny_model, strict)
    assert not (tmp_path / "out.gpkg").exists()
    layer, _ = run(path, tmp_path / "out.gpkg", tiny_model, config)
    assert "scene.tif has no CRS: coordinates in the output are pixels" in caplog.text
    expected = boxes_of(layer)[:, [0, 3, 2, 1]] * (1, -1, 1, -1)  # y = -row
    np.testing.assert_allclose(layer.bounds.to_numpy(), expected, atol=1e-9)
    assert layer["area_m2"].isna().all()


def test_a_crs_without_a_geotransform_places_nothing(make_scene, tiny_model, tmp_path, caplog):
    path, bare = make_scene(epsg=None, crs="EPSG:32611"), make_scene("bare.tif", epsg=None)
    strict = SMALL.model_copy(update={"require_crs": True})
    message = r"scene\.tif declares the CRS WGS 84 / UTM zone 11N, but has no geotransform to it"
    with pytest.raises(SceneError, match=message) as caught:
        run(path, tmp_path / "out.gpkg", tiny_model, strict)
    assert "gdal_edit -a_ullr" in caught.value.hint
    caplog.clear()
    layer, _ = run(path, tmp_path / "out.gpkg", tiny_model)
    assert caplog.text.count("scene.tif declares a CRS (WGS 84 / UTM zone 11N), but no geotr") == 1
    assert "scene.tif has no CRS: coordinates in the output are pixels" in caplog.text
    assert layer.crs is None or layer.crs.name.startswith("Undefined")
    assert layer["area_m2"].isna().all()
    expected, _ = run(bare, tmp_path / "bare.gpkg", tiny_model)
    np.testing.assert_array_equal(boxes_of(layer), boxes_of(expected))


def test_scenes_with_a_crs_but_no_geotransform_are_warned_of_once(
    make_scene, tiny_model, tmp_path, caplog
):
    for name in ("a.tif", "b.tif"):
        make_scene(name, epsg=None, crs="EPSG:4326")
    run([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "out.gpkg", tiny_model)
    assert caplog.text.count("2 scenes, such as a.tif, declare a CRS (WGS 84), but no geotr") == 1


def test_an_unknown_gsd_is_a_warning_unless_it_does_not_matter(
    make_scene, tiny_model, tmp_path, caplog
):
    path = make_scene(epsg=None)
    run(path, tmp_path / "out.gpkg", tiny_model)
    assert "the metres per pixel of scene.tif are unknown" in caplog.text
    caplog.clear()
    for change in ({"resample": False}, {"gsd": 0.6}):
        config = SMALL.model_copy(update=change)
        run(path, tmp_path / "out.gpkg", tiny_model, config, overwrite=True)
        assert "metres per pixel" not in caplog.text


def test_noise_of_another_dtype_is_used_as_it_is_with_a_warning(
    make_scene, tiny_model, tmp_path, caplog
):
    run(make_scene(dtype="uint16"), tmp_path / "out.gpkg", tiny_model)
    assert "scene.tif contains only noise: its values are not rescaled" in caplog.text


@pytest.mark.parametrize(("dtype", "highest"), [("uint16", 65535), ("float32", 1)])
def test_a_value_range_maps_other_dtypes_to_the_models_bytes(
    make_scene, tiny_model, tmp_path, caplog, dtype, highest
):
    plain, _ = run(make_scene("a.tif"), tmp_path / "a.gpkg", tiny_model)
    config = SMALL.model_copy(update={"value_range": (0, highest)})
    layer, _ = run(make_scene("b.tif", dtype=dtype), tmp_path / "b.gpkg", tiny_model, config)
    assert len(plain) > 10
    # 257 times a byte is exact, a 255th of one is not
    tolerance = 0 if dtype == "uint16" else 1e-3
    np.testing.assert_allclose(boxes_of(layer), boxes_of(plain), rtol=0, atol=tolerance)
    np.testing.assert_allclose(layer["score"], plain["score"], rtol=0, atol=tolerance)
    assert "b.tif" not in caplog.text


def test_values_of_each_other_dtype_are_matched_to_the_training_images(
    tiny_model, tmp_path, caplog
):
    """What they are measured in changes nothing, nor that the bands have units of their own."""
    town = paint_town(96, 80, seed=3, gsd=0.6).pixels * np.array([[[13]], [[20]], [[7]]]) + 500
    kinds = {"a.tif": "uint16", "b.tif": "float64", "c.tif": "uint16"}
    for n, (name, dtype) in enumerate(kinds.items()):
        place = Affine(0.6, 0, 500_000 + 57.6 * n, 0, -0.6, 4_500_000)  # 96 px apart
        geobox = GeoBox(96, 80, place, CRS.from_epsg(32633))
        write_raster(tmp_path / name, (town * 0.01 if n == 1 else town).astype(dtype), geobox)
    paths = [tmp_path / name for name in kinds]
    layer, report = run(paths, tmp_path / "out.gpkg", tiny_model)
    first, other, _ = (layer[layer["scene"] == name] for name in kinds)
    assert len(first) > 10
    np.testing.assert_allclose(boxes_of(other), boxes_of(first), atol=1e-2)
    np.testing.assert_allclose(other["score"], first["score"], atol=1e-3)
    assert "2 scenes (such as a.tif): uint16 values, but tiny was trained on" in caplog.text
    assert "b.tif: float64 values" in caplog.text
    assert list(report.values) == ["uint16", "float64"]
    with closing(sqlite3.connect(tmp_path / "out.gpkg")) as database:
        (text,) = database.execute("SELECT metadata FROM gpkg_metadata").fetchone()
    assert f"uint16: {report.values['uint16']}; float64: " in text


# Files


def test_two_scenes_are_written_to_one_layer(make_scene, tiny_model, tmp_path):
    paths = [make_scene("a.tif", seed=1), make_scene("b.tif", seed=2, origin=(500_100, 4_500_000))]
    both, report = run(paths, tmp_path / "both.gpkg", tiny_model)
    apart = [run(path, tmp_path / f"{path.stem}.gpkg", tiny_model)[0] for path in paths]
    assert report.detections == {"a.tif": len(apart[0]), "b.tif": len(apart[1])}
    assert both["scene"].tolist() == ["a.tif"] * len(apart[0]) + ["b.tif"] * len(apart[1])
    np.testing.assert_array_equal(boxes_of(both), np.vstack([boxes_of(layer) for layer in apart]))
    assert both.geometry.tolist() == [shape for layer in apart for shape in layer.geometry]
    layers = pyogrio.list_layers(tmp_path / "both.gpkg")[:, 0].tolist()
    assert layers == ["detections", "layer_styles"]


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-9000])
    return path


@pytest.mark.parametrize("is_ground_shared", [False, True])
def test_a_truncated_scene_is_left_out_and_the_others_are_written(
    make_scene, tiny_model, tmp_path, monkeypatch, caplog, is_ground_shared
):
    """Its own objects are left out, also those of the windows before the one that fails."""
    config = SMALL.model_copy(update={"batch_size": 2, "workers": 1})
    origins = [(500_000 + 100 * n * (not is_ground_shared), 4_500_000) for n in range(3)]
    names = ["a.tif", "b.tif", "c.tif"]
    a, b, c = (
        make_scene(name, seed=n, tiled=True, height=300, origin=origin)
        for n, (name, origin) in enumerate(zip(names, origins, strict=True))
    )
    run([a, c], tmp_path / "good.gpkg", tiny_model, config)
    message = (
        r"1 of 3 scenes could not be read; .* detections .*both\.gpkg.*: b\.tif: cannot read window"
    )
    outputs = [tmp_path / name for name in ("both.gpkg", "both.geojson", "both.fgb")]
    with pytest.raises(SceneError, match=message) as caught:
        run([a, cut_off(b), c], outputs, tiny_model, config)
    assert "--append" in caught.value.hint
    assert list(caught.value.failed) == ["b.tif"]
    assert set(caught.value.report.detections) == {"a.tif", "b.tif", "c.tif"}
    assert re.search(r"b\.tif is left out: cannot read window \d+,240,", caplog.text)
    expected = geopandas.read_file(tmp_path / "good.gpkg", layer="detections")
    found = geopandas.read_file(outputs[0], layer="detections")
    assert_geodataframe_equal(found, expected)
    said = pyogrio.read_info(outputs[0], layer="detections")["layer_metadata"]
    assert said["scenes left out"].startswith("b.tif: cannot read window")
    assert said["model"] == "tiny"
    assert "b.tif: cannot read" in json.loads(outputs[1].read_text())["metadata"]["scenes left out"]
    assert "scenes left out" in pyogrio.read_info(outputs[2])["layer_metadata"]


def test_no_file_is_written_if_no_scene_can_be_read(make_scene, tiny_model, tmp_path):
    paths = [cut_off(make_scene(name, tiled=True)) for name in ("a.tif", "b.tif")]
    with pytest.raises(SceneError, match=r"cannot read window .* of .*b\.tif"):
        run(paths, tmp_path / "out.gpkg", tiny_model)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["a.tif", "b.tif", "out.gpkg.scenes.csv"]
    assert [row["status"] for row in read_record(tmp_path / "out.gpkg")] == ["failed", "failed"]


def read_record(output):
    with record_path(output).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_record_says_what_became_of_each_scene(make_scene, tiny_model, tmp_path):
    good = make_scene("a.tif", seed=1)
    late = cut_off(make_scene("b.tif", tiled=True, origin=(500_100, 4_500_000)))
    broken = tmp_path / "c.tif"
    broken.write_bytes(b"no raster")
    far = make_scene("d.tif", origin=(600_000, 4_500_000))
    listed = tmp_path / "list.txt"
    listed.write_text("a.tif\nb.tif\nc.tif\nd.tif\ngone.tif\n")
    output = tmp_path / "out.gpkg"
    bounds = (500_000, 4_499_000, 500_500, 4_500_500)
    with pytest.raises(SceneError, match="3 of 5 scenes could not be read") as caught:
        run(listed, output, tiny_model, bounds=bounds)
    assert set(caught.value.failed) == {"b.tif", "c.tif", "gone.tif"}
    record = read_record(output)
    paths = [good, late, broken, far, tmp_path / "gone.tif"]
    assert [row["path"] for row in record] == list(map(str, paths))
    status = ["ok", "failed", "failed", "skipped", "failed"]
    assert [row["status"] for row in record] == status
    layer = geopandas.read_file(output, layer="detections")
    assert [row["detections"] for row in record] == [str(len(layer)), "0", "0", "0", "0"]
    reasons = ["", "cannot read window", "cannot open", "outside the area", "no such file"]
    for row, reason in zip(record, reasons, strict=True):
        assert reason in row["reason"]
        assert bool(reason) == bool(row["reason"])
    assert float(record[0]["seconds"]) > 0
    told = caught.value.report.scenes
    assert [(one.path, one.status) for one in told] == list(
        zip(map(str, paths), status, strict=True)
    )


def test_a_scene_that_is_named_and_missing_is_refused_at_once(make_scene, tiny_model, tmp_path):
    with pytest.raises(SceneError, match=r"no such file or folder: .*gone\.tif"):
        run([make_scene(), tmp_path / "gone.tif"], tmp_path / "out.gpkg", tiny_model)
    assert [file.name for file in tmp_path.iterdir()] == ["scene.tif"]


def test_the_output_has_model_and_settings_as_metadata(make_scene, tiny_model, tmp_path):
    out = tmp_path / "out.gpkg"
    run(make_scene(), out, tiny_model)
    metadata = pyogrio.read_info(out, layer="detections")["layer_metadata"]
    assert metadata["software"] == f"geodet {geodet.__version__}"
    assert metadata["torch"] == torch.__version__
    assert (metadata["model"], metadata["model_sha256"]) == ("tiny", tiny_model.digest)
    assert DetectConfig(**json.loads(metadata["configuration"])) == SMALL


def test_an_existing_output_is_kept_without_overwrite(make_scene, tiny_model, tmp_path):
    out = tmp_path / "out.gpkg"
    out.write_bytes(b"dear to somebody")
    with pytest.raises(OutputError, match=r"out\.gpkg exists already"):
        run(make_scene(), out, tiny_model)
    assert out.read_bytes() == b"dear to somebody"
    layer, _ = run(make_scene(), out, tiny_model, overwrite=True)
    assert len(layer) > 0


def test_one_bad_output_is_refused_before_any_is_written(make_scene, tiny_model, tmp_path):
    outputs = [tmp_path / "out.gpkg", tmp_path / "out.tab"]
    with pytest.raises(OutputError, match=r"cannot tell the format of .*out\.tab"):
        run(make_scene(), outputs, tiny_model)
    assert not outputs[0].exists()


def test_a_preview_shows_one_scene_or_two(make_scene, tiny_model, tmp_path):
    preview = tmp_path / "view.png"
    run(make_scene(), tmp_path / "out.gpkg", tiny_model, preview=preview)
    assert preview.stat().st_size > 0
    paths = [make_scene("a.tif"), make_scene("b.tif")]
    run(paths, tmp_path / "two.gpkg", tiny_model, preview=tmp_path / "two.png")
    assert (tmp_path / "two.png").stat().st_size > 0


# With a stub that knows where the objects are: what is left is the joining of windows


def seen_in(path, predictor, config):
    with Scene(path) as scene:
        return detect_scene(scene, predictor, config).detections


@st.composite
def crowds(draw):
    """Draw a grid and objects, most of them near the seams of its windows."""
    chip_size = draw(st.integers(32, 48))
    overlap = draw(st.integers(0, chip_size // 2))
    grid = WindowGrid(draw(st.integers(20, 120)), draw(st.integers(20, 120)), chip_size, overlap, 1)
    longest = 2 * (overlap // 2)
    objects = []
    for _ in range(draw(st.integers(0, 8)) if longest else 0):
        core = grid.core(draw(st.integers(0, len(grid) - 1)))
        box = []
        for seam, side in ((core.col_off, grid.width), (core.row_off, grid.height)):
            length = draw(st.integers(1, min(longest, side)))
            near = st.integers(seam - longest, seam + longest)
            low = draw(near | st.integers(0, side - length))
            box.append((min(max(low, 0), side - length), length))
        (x, width), (y, height) = box
        objects.append((x, y, x + width, y + height))
    return grid, objects


def config_of(grid):
    return DetectConfig(chip_size=grid.size, overlap=grid.overlap, batch_size=3)


@settings(max_examples=100)
@given(crowds())
def test_each_object_is_found_once_whatever_the_windows(make_scene, crowd):
    grid, objects = crowd
    assume(apart(objects, 0.4))
    path = make_scene(width=grid.width, height=grid.height, bands=1)
    found = seen_in(path, Seer(objects), config_of(grid))
    assert sorted(map(tuple, found.boxes.tolist())) == sorted(objects)


@settings(max_examples=100)
@given(crowds())
def test_an_object_is_found_once_if_its_fragments_score_as_high(make_scene, crowd):
    grid, objects = crowd
    assume(apart(objects, 0))
    path = make_scene(width=grid.width, height=grid.height, bands=1)
    found = seen_in(path, Seer(objects, is_sure=True), config_of(grid))
    assert len(found) == len(objects)
    if objects:
        overlap = pairwise_iou(found.boxes, np.array(objects, float))
        assert ((overlap > 0.5).sum(axis=0) == 1).all()
        assert ((overlap > 0.5).sum(axis=1) == 1).all()


def apart(objects, limit):
    boxes = np.array(objects, float).reshape(-1, 4)
    return (np.triu(pairwise_iou(boxes, boxes), 1) <= limit).all()


@settings(max_examples=40)
@given(st.integers(32, 64), st.integers(0, 16), st.integers(0, 99))
def test_painted_objects_are_found_once(make_scene, chip_size, overlap, seed):
    rng = np.random.default_rng(seed)
    corners = 20 * np.argwhere(rng.random((6, 6)) < 0.6) + rng.integers(0, 4)
    sides = rng.integers(1, max(2 * (overlap // 2), 1) + 1, corners.shape)
    if overlap < 2:
        sides = np.ones_like(sides)  # without an overlap any larger one may be cut
    objects = np.hstack([corners, corners + sides]).tolist()
    path = make_scene(width=130, height=125, bands=1, objects=objects)
    config = DetectConfig(chip_size=chip_size, overlap=overlap)
    found = seen_in(path, BrightnessSeer(200), config)
    assert sorted(found.boxes.tolist()) == sorted(objects)


@pytest.mark.parametrize("rotation", [0, 20])
def test_a_resampled_scene_gives_boxes_in_its_own_pixels(
    make_scene, make_model, tmp_path, monkeypatch, caplog, rotation
):
    objects = [(20, 12, 32, 20), (60, 64, 76, 72), (120, 16, 128, 28), (190, 142, 200, 150)]
    path = make_scene(width=200, height=150, objects=objects, rotation=rotation)
    model = load_checkpoint(make_model("coarse.safetensors", gsd=1.2, share=0.5))
    monkeypatch.setattr(detect_module, "build_predictor", lambda *_, **__: BrightnessSeer(200))
    caplog.set_level(logging.INFO)
    layer, report = run(path, tmp_path / "out.gpkg", model)
    assert sorted(boxes_of(layer).tolist()) == sorted(map(list, objects))
    assert "resampled while reading to 100 x 75 px" in caplog.text
    assert report.megapixels == 100 * 75 / 1e6
    with Scene(path) as scene:
        geobox: GeoBox = scene.geobox
    painted = geobox.to_world(np.array([[(a + c) / 2, (b + d) / 2] for a, b, c, d in objects]))
    for centre in shapely.points(painted):
        assert sum(layer.contains(centre)) == 1


@pytest.mark.parametrize("gsd", [0.45, 0.9, 1.07])
def test_boxes_of_any_resampling_land_on_the_painted_ground(
    make_scene, make_model, tmp_path, monkeypatch, gsd
):
    objects = [(20, 12, 38, 27), (60, 64, 76, 82), (120, 16, 138, 31)]
    path = make_scene(width=203, height=151, objects=objects)
    model = load_checkpoint(make_model(f"at{gsd}.safetensors", gsd=gsd, share=0.5))
    monkeypatch.setattr(detect_module, "build_predictor", lambda *_, **__: BrightnessSeer(150))
    config = SMALL.model_copy(update={"overlap": 32})
    layer, _ = run(path, tmp_path / "out.gpkg", model, config)
    assert len(layer) == len(objects)
    overlap = pairwise_iou(boxes_of(layer), np.array(objects, float))
    assert (overlap.max(axis=0) > 0.8).all()
    # No pixel of either grid is off: a box is the object to within one coarse pixel.
    nearest = boxes_of(layer)[overlap.argmax(axis=0)]
    assert np.abs(nearest - objects).max() <= max(gsd / 0.6, 1)


def test_a_scene_near_the_models_resolution_is_read_as_it_is(make_scene, tiny_model, tmp_path):
    _, report = run(make_scene(pixel_size=0.64), tmp_path / "out.gpkg", tiny_model)
    assert report.megapixels == 96 * 80 / 1e6


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt("by the user")])
def test_a_predictor_that_fails_leaves_no_reader_and_no_file(
    make_scene, tiny_model, tmp_path, monkeypatch, error
):
    class Failing(Seer):
        def __call__(self, chips):
            raise error

    monkeypatch.setattr(detect_module, "build_predictor", lambda *_, **__: Failing([]))
    with pytest.raises(type(error), match=str(error)) as caught:
        run(make_scene(width=400, height=300), tmp_path / "out.gpkg", tiny_model)
    assert not readers()
    assert caught.value is error
    assert [file.name for file in tmp_path.iterdir()] == ["scene.tif"]


def test_a_truncated_scene_alone_leaves_no_file(make_scene, tiny_model, tmp_path):
    path = make_scene(tiled=True)
    path.write_bytes(path.read_bytes()[:-9000])
    with pytest.raises(SceneError, match=r"cannot read window .* of .*scene\.tif"):
        run(path, tmp_path / "out.gpkg", tiny_model)
    assert not readers()
    assert [file.name for file in tmp_path.iterdir()] == ["scene.tif"]
