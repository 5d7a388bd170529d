"""The demonstration runs detect on a painted scene and counts the matches."""

import geopandas
import numpy as np
import pytest
import rasterio
from cli_runner import invoke_fixture  # noqa: F401 - a fixture

from geodet.demo.run_demo import DemoReport, run_demo
from geodet.errors import OutputError
from geodet.models.checkpoint import load_checkpoint
from geodet.onnx.export import export_model


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "made"
    return run_demo(folder, load_checkpoint("urban-trees"), size=768)


def test_scene_truth_and_detections_have_the_same_georeference(demo):
    scene, truth, found, copy, preview = demo.files
    with rasterio.open(scene) as raster:
        assert (raster.width, raster.height, raster.count) == (768, 768, 3)
        bounds, crs = raster.bounds, raster.crs
    for path in (truth, found):
        layer = geopandas.read_file(path, layer="detections")
        assert layer.crs == crs
        x1, y1, x2, y2 = layer.total_bounds
        assert bounds.left <= x1 <= x2 <= bounds.right
        assert bounds.bottom <= y1 <= y2 <= bounds.top
    assert len(geopandas.read_file(copy)) == demo.detected == count_rows(found)
    assert count_rows(truth) == demo.painted
    assert preview.read_bytes().startswith(b"\x89PNG")


def count_rows(path):
    return len(geopandas.read_file(path, layer="detections"))


def test_the_bundled_model_finds_most_painted_trees(demo):
    assert demo.recall > 0.7
    assert demo.precision > 0.3


def test_the_number_of_matches_agrees_with_the_files(demo):
    truth, found = (geopandas.read_file(path, layer="detections") for path in demo.files[1:3])
    a = np.stack([truth.centroid.x, truth.centroid.y], axis=1)
    b = np.stack([found.centroid.x, found.centroid.y], axis=1)
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    # One to one is at most the number of trees, and of detections, with a neighbour within 6 m.
    reachable = min((distance <= 6).any(axis=1).sum(), (distance <= 6).any(axis=0).sum())
    assert 0 < demo.matched <= reachable


def test_existing_files_are_replaced_only_with_overwrite(demo):
    folder = demo.files[0].parent
    before = [path.read_bytes() for path in demo.files]
    with pytest.raises(OutputError, match=r"scene\.tif exists already"):
        run_demo(folder, load_checkpoint("urban-trees"), size=768)
    assert [path.read_bytes() for path in demo.files] == before


def test_recall_and_precision_without_trees_are_zero():
    report = DemoReport(painted=0, detected=0, matched=0, files=())
    assert (report.recall, report.precision) == (0.0, 0.0)


def test_an_onnx_file_detects_as_well(invoke, make_model, tmp_path):
    path = tmp_path / "tiny.onnx"
    export_model(load_checkpoint(make_model("tiny.safetensors")), path, reader="plain")
    options = ("--size", "512", "--model", str(path))
    invoke("demo", str(tmp_path / "town"), *options)
    assert (tmp_path / "town" / "trees.gpkg").is_file()
