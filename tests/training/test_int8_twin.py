"""The eight-bit file at the end of a training."""

import pytest
from factories_models import write_tileset
from factories_training import SQUARES, configured

from geodet.models.model import int8_path
from geodet.onnx.backend import build_engine, load_model
from geodet.training.train import run_training


@pytest.fixture(scope="module")
def tileset(tmp_path_factory):
    return write_tileset(tmp_path_factory.mktemp("tileset"))


def train(tileset, output, config, monkeypatch):
    monkeypatch.setattr("geodet.training.int8_twin.can_write_int8", lambda: True)
    return run_training(tileset, output, config, device="cpu")


def test_a_model_that_learnt_gets_its_eight_bit_file(tileset, tmp_path, monkeypatch):
    output = tmp_path / "squares.safetensors"
    report = train(tileset, output, SQUARES, monkeypatch)
    assert report.int8 == int8_path(output)
    assert build_engine(load_model(output), "int8", "cpu").precision == "int8"


def test_one_whose_eight_bits_find_something_else_has_none(tileset, tmp_path, monkeypatch, said):
    output = tmp_path / "squares.safetensors"
    int8_path(output).write_bytes(b"of other weights")
    monkeypatch.setattr("geodet.evaluation.int8_export._LEAST_AGREEMENT", 1.01)
    report = train(tileset, output, configured(epochs=2), monkeypatch)
    assert report.int8 is None
    assert not int8_path(output).exists()
    assert any("no eight-bit file of squares.safetensors: " in line for line in said())


def test_a_setting_turns_it_off(tileset, tmp_path, monkeypatch):
    int8_path(tmp_path / "a.safetensors").write_bytes(b"of other weights")
    report = train(
        tileset, tmp_path / "a.safetensors", configured(epochs=1, int8=False), monkeypatch
    )
    assert report.int8 is None
    assert not int8_path(tmp_path / "a.safetensors").exists()
