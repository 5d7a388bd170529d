"""Calibrated scores in both files of a model, and what happens where one cannot be written."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch

from geodet.config import DetectConfig
from geodet.demo.town import paint_town
from geodet.detection.predictor import build_predictor
from geodet.evaluation.calibrated_files import as_calibrated, write_calibrated
from geodet.evaluation.calibration import ScoreScale
from geodet.files.outputs import int8_path
from geodet.onnx.backend import load_model

SCALES = {
    "urban-trees": [ScoreScale(0.5, -1.0)],
    "thermal": [ScoreScale(0.5, -1.0), ScoreScale(2.0, 0.25), ScoreScale(1.0, 1.0)],
}


def logits_of(model, precision):
    """Compute the logits of a painted chip, (A, C)."""
    bands = len(model.description.bands)
    predictor = build_predictor(model, DetectConfig(precision=precision), "cpu")
    pixels = paint_town(64, 64, seed=3).pixels[:bands]
    chips = predictor.engine.stack([pixels], [np.ones((64, 64), np.bool_)])
    with torch.inference_mode():
        return np.asarray(predictor.engine.forward(*chips, predictor.values).logits)[0]


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_both_files_have_the_new_scores(tmp_path, name, precision):
    model, output = load_model(name), tmp_path / "here.safetensors"
    about = model.description.model_copy(update={"score_threshold": 0.123})
    write_calibrated(model, output, about, SCALES[name])
    written = load_model(output)
    assert written.int8 == int8_path(output)
    assert written.description.score_threshold == 0.123
    factors = np.array([one.scale for one in SCALES[name]])
    shifts = np.array([one.shift for one in SCALES[name]])
    expected = factors * logits_of(model, precision) + shifts
    np.testing.assert_allclose(logits_of(written, precision), expected, rtol=1e-4, atol=1e-3)


def test_calibrating_again_applies_both_changes(tmp_path):
    scale, model = SCALES["urban-trees"], load_model("urban-trees")
    for name in ("once", "twice"):
        write_calibrated(model, tmp_path / f"{name}.safetensors", model.description, scale)
        model = load_model(tmp_path / f"{name}.safetensors")
    expected = 0.5 * (0.5 * logits_of(load_model("urban-trees"), "int8") - 1) - 1
    np.testing.assert_allclose(logits_of(model, "int8"), expected, rtol=1e-4, atol=1e-3)


def test_without_onnx_the_model_has_floats_alone(tmp_path, monkeypatch, caplog):
    """Those of an earlier file of that name are of other weights."""
    model, output = load_model("urban-trees"), tmp_path / "here.safetensors"
    write_calibrated(model, output, model.description, SCALES["urban-trees"])
    assert int8_path(output).is_file()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    given = as_calibrated(model)
    assert (given.int8, given.digest) == (None, model.digest)
    assert "urban-trees will have no eight-bit file" in caplog.text
    assert as_calibrated(given) is given
    write_calibrated(given, output, model.description, SCALES["urban-trees"])
    assert not int8_path(output).exists()


def test_an_eight_bit_file_of_other_weights_is_left_out(tmp_path):
    model, output = load_model("urban-trees"), tmp_path / "here.safetensors"
    other = replace(model, digest="0" * 64)
    write_calibrated(other, output, model.description, SCALES["urban-trees"])
    assert output.is_file()
    assert not int8_path(output).exists()
