import geopandas
import numpy as np
import pytest
import shapely
from factories_models import architecture
from pretended_predictor import SMALL

from geodet.config import Config
from geodet.detection.band_parts import BandPart
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.flipped_engine import FlippedEngine
from geodet.detection.predictor import build_predictor
from geodet.errors import ModelFileError
from geodet.evaluation.int8_export import export_int8
from geodet.geometry.boxes import Detections, paired_iou
from geodet.geometry.oriented_boxes import hulls
from geodet.models.checkpoint import load_checkpoint
from geodet.onnx.backend import load_model
from geodet.onnx.export import export_model
from geodet.raster.scene import Scene
from geodet.vector.read_detections import read_detections


@pytest.fixture(scope="module")
def oriented_model(make_model):
    return make_model("oriented.safetensors", architecture=architecture(boxes="oriented"))


def detect(scene, output, file, config=SMALL, **options):
    model = load_model(file)
    detect_to_files([scene], [output], model, config, DetectOptions(device="cpu", **options))
    return geopandas.read_file(output, layer="detections")


def test_polygons_on_the_ground_are_the_oriented_boxes(make_scene, tmp_path, oriented_model):
    scene = make_scene("s.tif", width=150, height=120)
    frame = detect(scene, tmp_path / "out.gpkg", oriented_model)
    assert len(frame)
    tilted = np.abs(np.sin(2 * np.radians(frame.angle_px)))
    assert (tilted > 0.1).mean() > 0.3
    with Scene(scene) as opened:
        found = read_detections(tmp_path / "out.gpkg", ("tree",))
        corners = opened.geobox.to_world(found.corners)
    shapes = frame.geometry.to_numpy()
    overlap = shapely.area(shapely.intersection(shapes, shapely.polygons(corners)))
    np.testing.assert_allclose(overlap, shapely.area(shapes), rtol=1e-6)
    np.testing.assert_allclose(hulls(found.oriented), found.boxes, atol=1e-6)


def test_no_two_boxes_of_a_scene_overlap_by_more_than_the_threshold(
    make_scene, tmp_path, oriented_model
):
    scene = make_scene("s.tif", width=200, height=200)
    config = SMALL.model_copy(update={"iou_threshold": 0.2})
    detect(scene, tmp_path / "out.gpkg", oriented_model, config)
    shapes = read_detections(tmp_path / "out.gpkg", ("tree",)).shapes
    overlaps = paired_iou(shapes[:, None], shapes)
    np.fill_diagonal(overlaps, 0)
    assert len(shapes) > 10
    assert overlaps.max() <= 0.2 + 1e-6


def test_parts_of_bands_keep_oriented_boxes():
    rows = np.array([[5.0, 6, 7, 2, 0.3]])
    part = BandPart(Detections.of_oriented(rows, [0.5], [0]), np.zeros((1, 4), bool))
    back = BandPart.from_bytes(part.to_bytes()).detections
    assert np.array_equal(back.oriented, rows)
    assert BandPart.from_bytes(BandPart.concatenate([]).to_bytes()).detections.oriented is None


def test_a_plain_file_of_onnx_finds_the_same(make_scene, tmp_path, oriented_model):
    model = load_checkpoint(oriented_model)
    export_model(model, tmp_path / "m.onnx", reader="plain")
    with pytest.raises(ModelFileError, match="finds oriented boxes, but deepness reads only axis"):
        export_model(model, tmp_path / "d.onnx", reader="deepness")
    scene = make_scene("s.tif", width=100, height=90)
    for name in (oriented_model, tmp_path / "m.onnx"):
        detect(scene, tmp_path / f"{name.stem}.gpkg", name)
    first, second = (
        read_detections(tmp_path / f"{stem}.gpkg", ("tree",)).ranked() for stem in ("oriented", "m")
    )
    assert len(first) == len(second)
    assert (paired_iou(first.shapes, second.shapes) > 0.99).mean() > 0.95


def test_eight_bits_find_the_same_rectangles(make_scene, tmp_path, oriented_model):
    model = load_checkpoint(oriented_model)
    scene = make_scene("s.tif", width=256, height=256)
    report = export_int8(model, tmp_path / "m.onnx", scene, Config())
    assert report.agreement >= 0.95
    assert report.box_difference_px < 0.1
    detect(scene, tmp_path / "floats.gpkg", oriented_model)
    # Some of the scores lie just above the threshold, and those in integers differ by 0.01.
    lower = {"precision": "auto", "score_threshold": model.description.score_threshold - 0.02}
    detect(scene, tmp_path / "eight.gpkg", tmp_path / "m.onnx", SMALL.model_copy(update=lower))
    floats, eight = (
        read_detections(tmp_path / f"{stem}.gpkg", ("tree",)).shapes for stem in ("floats", "eight")
    )
    nearest = paired_iou(floats[:, None], eight).max(axis=1)
    assert (nearest > 0.9).mean() > 0.8, nearest


def test_averages_over_flips_are_those_of_the_flipped_chip(make_scene, oriented_model):
    model = load_checkpoint(oriented_model)
    predictor = build_predictor(model, SMALL, "cpu", score_threshold=0.5)
    engine = FlippedEngine(predictor.engine, model.description.architecture)
    with Scene(make_scene("s.tif", width=64, height=64)) as scene:
        chip = scene.read_overview(64)
    stacked = engine.start(engine.stack([chip.pixels], [chip.valid]))
    mirrored = engine.stack(
        [np.ascontiguousarray(chip.pixels[:, :, ::-1])],
        [np.ascontiguousarray(chip.valid[:, ::-1])],
    )
    one = engine.forward(*stacked, predictor.values)
    other = engine.forward(*engine.start(mirrored), predictor.values)
    count = one.level_sizes[0]
    side = 64 // 4
    for outputs in (one, other):
        assert outputs.deltas.shape[-1] == 6
    maps = [o.deltas[0, :count].reshape(side, side, -1, 6).numpy() for o in (one, other)]
    signs = np.array([-1, 1, 1, 1, 1, -1])
    np.testing.assert_allclose(maps[0][:, ::-1] * signs, maps[1], atol=1e-4)
