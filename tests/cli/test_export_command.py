"""The command `geodet export`."""

import json
import re
import shutil

import numpy as np
import pytest
from affine import Affine
from cli_runner import invoke_fixture, tiny_path_fixture  # noqa: F401 - fixtures
from pyproj import CRS

from geodet.files.outputs import int8_path
from geodet.geometry.geobox import GeoBox
from geodet.raster.geotiff import write_raster


def test_the_file_and_its_difference_from_pytorch_are_printed(tmp_path, tiny_path, invoke):
    done = invoke("export", tiny_path, "-o", "a.onnx", "--chip-size", 64, "--overlap", 8)
    assert re.match(r"a\.onnx: \d\.\d MB for deepness; PyTorch within", done.stdout)
    options = ("--format", "onnx", "--reader", "plain", "--overwrite", "--json")
    report = json.loads(invoke("export", tiny_path, "-o", "a.onnx", *options).stdout)
    assert (report["output"], report["reader"]) == ("a.onnx", "plain")
    assert report["megabytes"] == (tmp_path / "a.onnx").stat().st_size / 1e6


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "urban-trees"),
        ("export", "urban-trees", "-o", "a.onnx", "--reader", "nobody"),
        ("export", "urban-trees", "-o", "a.onnx", "--format", "pt"),
        ("export", "urban-trees", "-o", "a.onnx", "--chip-size", "5"),
    ],
)
def test_wrong_usage_exits_2(invoke, arguments):
    assert "Usage" in invoke(*arguments, code=2).stderr


def test_a_model_that_the_reader_cannot_feed_is_an_error(tmp_path, make_model, invoke):
    bands = ("red", "green", "blue", "nir")
    path = make_model("four.safetensors", bands=bands)
    done = invoke("export", path, "-o", "a.onnx", "--reader", "geodeep", code=1)
    assert "GeoDeep reads three bands" in done.stderr
    assert "hint: --reader deepness" in done.stderr
    assert list(tmp_path.glob("*.onnx")) == []


@pytest.mark.parametrize(
    "options",
    [
        ("--precision", "int8"),
        ("-o", "a.onnx", "--calibrate", "tiles"),
        ("--precision", "int8", "--calibrate", "tiles", "--reader", "deepness"),
    ],
    ids=str,
)
def test_options_that_do_not_go_together_are_wrong_usage(invoke, tiny_path, options):
    assert "Usage" in invoke("export", tiny_path, *options, code=2).stderr


def test_eight_bits_lie_beside_the_model(tmp_path, tiny_path, invoke, monkeypatch):
    """Of an untrained network; what is asked of a trained one is tested with the bundled model."""
    monkeypatch.setattr("geodet.evaluation.int8_export._LEAST_AGREEMENT", 0.0)
    model, scene = tmp_path / "own.safetensors", tmp_path / "scene.tif"
    shutil.copy(tiny_path, model)
    noise = np.random.default_rng(0).integers(0, 256, (3, 160, 160)).astype(np.uint8)
    box = GeoBox(160, 160, Affine(0.6, 0, 0, 0, -0.6, 0), CRS.from_epsg(32633))
    write_raster(scene, noise, box)
    done = invoke("export", model, "--precision", "int8", "--calibrate", scene)
    assert re.search(
        r"\.int8\.onnx: 0?\d\.\d MB for plain; .* F1 of the detections against PyTorch", done.stdout
    )
    assert int8_path(model).is_file()
