import os
import subprocess
import sys

import geopandas
import numpy as np
import pytest

from geodet.config import DetectConfig
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.predictor import build_predictor
from geodet.errors import ConfigError, ModelFileError
from geodet.files.outputs import int8_path
from geodet.geometry.windows import Window
from geodet.models.checkpoint import load_checkpoint
from geodet.models.description import find_model
from geodet.onnx.backend import load_model, load_onnx_model
from geodet.onnx.export import export_model
from geodet.onnx.session import load_onnx_description, open_session
from geodet.raster.chip import Chip

VARIABLE = "ORT_DISABLE_TELEMETRY"
OPEN = f"""
import os, sys
from pathlib import Path
from geodet.onnx.session import open_session
open_session(Path(sys.argv[1]))
print(os.environ.get("{VARIABLE}"))
"""


@pytest.mark.parametrize("name", ["gone.safetensors", "gone.onnx"])
def test_a_file_that_is_not_there_is_an_error(tmp_path, name):
    with pytest.raises(ModelFileError, match=name):
        load_model(tmp_path / name)


def test_an_onnx_file_detects_what_the_model_does(make_scene, make_model, tmp_path):
    path = make_model("tiny.safetensors")
    export_model(load_model(path), tmp_path / "tiny.onnx", reader="plain")
    layers = []
    for model in (path, tmp_path / "tiny.onnx"):
        out = tmp_path / f"{model.suffix[1:]}.gpkg"
        config = DetectConfig(chip_size=64, overlap=16, precision="float32")
        detect_to_files(
            [make_scene()], [out], load_model(model), config, DetectOptions(device="cpu")
        )
        layers.append(geopandas.read_file(out, layer="detections").sort_values("score"))
    first, second = layers
    assert len(first) == len(second) > 0
    np.testing.assert_allclose(first["score"], second["score"], atol=1e-4)
    np.testing.assert_allclose(first["x1_px"].to_numpy(), second["x1_px"].to_numpy(), atol=1e-2)


CONFIG = DetectConfig(precision="float32")


@pytest.fixture(scope="module")
def pair(make_model, tmp_path_factory):
    """Provide a model of two classes in PyTorch, and the path of its ONNX file."""
    model = load_checkpoint(make_model("pair.safetensors", classes=("car", "tree")))
    path = tmp_path_factory.mktemp("onnx") / "pair.onnx"
    export_model(model, path, reader="plain")
    return model, path


def make_chips(count, *, width=61, height=48, dtype="uint8"):
    source = np.random.default_rng(4)
    pixels = source.integers(20, 91, (count, 3, height, width)).astype(dtype)
    valid = np.ones((count, height, width), bool)
    valid[:, :9, :9] = False
    pixels[:, :, :9, :9] = 255
    return [Chip(Window(0, 0, width, height), *one) for one in zip(pixels, valid, strict=True)]


def assert_same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        assert one.capped == other.capped
        here, there = one.detections, other.detections
        assert len(here) == len(there) > 0
        np.testing.assert_allclose(here.boxes, there.boxes, atol=1e-3)
        np.testing.assert_allclose(here.scores, there.scores, atol=1e-4)
        np.testing.assert_array_equal(here.labels, there.labels)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "changes",
    [{}, {"max_candidates": 7}, {"max_per_level": 5}, {"precision": "bfloat16"}],
    ids=str,
)
def test_an_onnx_network_finds_what_torch_finds(pair, count, changes):
    """It computes in float32 even when PyTorch would not."""
    model, path = pair
    wanted = build_predictor(
        model, CONFIG.model_copy(update=changes | {"precision": "float32"}), "cpu"
    )
    found = build_predictor(load_onnx_model(path), CONFIG.model_copy(update=changes), "cpu")
    assert found.caps == wanted.caps
    assert_same(found(make_chips(count)), wanted(make_chips(count)))


def test_values_of_another_range_are_scaled_as_for_torch(pair):
    model, path = pair
    config = CONFIG.model_copy(update={"value_range": (100.0, 50_000.0)})
    chips = make_chips(2)
    words = [Chip(c.window, c.pixels.astype("float32") * 195.7 + 100, c.valid) for c in chips]
    wanted = build_predictor(model, config, "cpu")(words)
    assert_same(build_predictor(load_onnx_model(path), config, "cpu")(words), wanted)


def test_the_description_is_read_back_from_the_file(pair):
    model, path = pair
    assert load_onnx_description(path) == model.description
    loaded = load_onnx_model(path)
    assert loaded.description == model.description
    assert len(loaded.digest) == 64
    assert loaded.digest != model.digest


def test_a_file_for_another_reader_is_refused(pair, tmp_path):
    path = tmp_path / "tiles.onnx"
    export_model(pair[0], path, reader="deepness", chip_size=64, overlap=0)
    with pytest.raises(ModelFileError, match="is an ONNX file for deepness, not one that"):
        load_onnx_model(path)


def test_files_that_are_not_onnx_are_refused(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ModelFileError, match=r"broken\.onnx is not an ONNX file"):
        load_onnx_description(path)
    with pytest.raises(ModelFileError, match=r"absent\.onnx cannot be read"):
        load_onnx_model(tmp_path / "absent.onnx")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match="needs the package onnxruntime") as caught:
        open_session(b"")
    assert "geodet[onnx]" in caught.value.hint


@pytest.mark.parametrize("own", [None, "0"])
def test_onnxruntime_reports_nothing_to_its_makers(tmp_path, own):
    """From 1.31 on, its import alone begins a file of events in the home folder."""
    environment = os.environ | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop(VARIABLE, None)
    environment |= {} if own is None else {VARIABLE: own}
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(int8_path(find_model("vehicles")))],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(own)  # the variable is as the user left it
    assert not list(tmp_path.rglob("*"))
