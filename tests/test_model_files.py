import geopandas
import numpy as np
import pytest

from geodet.config import DetectConfig
from geodet.detect import DetectOptions, detect
from geodet.engine.model_files import open_model
from geodet.errors import ModelFileError
from geodet.export import export_model


@pytest.mark.parametrize("name", ["gone.safetensors", "gone.onnx"])
def test_a_file_that_is_not_there_is_an_error(tmp_path, name):
    with pytest.raises(ModelFileError, match=name):
        open_model(tmp_path / name)


def test_an_onnx_file_detects_what_the_model_does(make_scene, make_model, tmp_path):
    path = make_model("tiny.safetensors")
    export_model(open_model(path), tmp_path / "tiny.onnx", reader="plain")
    layers = []
    for model in (path, tmp_path / "tiny.onnx"):
        out = tmp_path / f"{model.suffix[1:]}.gpkg"
        config = DetectConfig(chip_size=64, overlap=16, precision="float32")
        detect([make_scene()], [out], open_model(model), config, DetectOptions(device="cpu"))
        layers.append(geopandas.read_file(out, layer="detections").sort_values("score"))
    first, second = layers
    assert len(first) == len(second) > 0
    np.testing.assert_allclose(first["score"], second["score"], atol=1e-4)
    np.testing.assert_allclose(first["x1_px"].to_numpy(), second["x1_px"].to_numpy(), atol=1e-2)
