"""The choice of the fastest precision, and where it is kept."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geodet.models.engine import HostDevice
from geodet.onnx.backend import load_model
from geodet.onnx.precision_probe import (
    Forms,
    choice_file,
    fastest_library,
    fastest_precision,
    remember_precision,
)


class Sleeper:
    """An engine that takes so many milliseconds."""

    device = HostDevice()

    def __init__(self, precision, milliseconds):
        self.precision, self.seconds, self.calls = precision, milliseconds / 1000, 0

    def stack(self, pixels, valid):
        return np.stack(pixels), np.stack(valid)

    def forward(self, pixels, valid, values):
        assert pixels.shape[1] == len(values.mean)
        self.calls += 1
        time.sleep(self.seconds)


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("geodet.onnx.precision_probe._SECONDS", 0.05)
    return load_model("thermal")


def forms(model, *, int8, float32, bfloat16=None):
    floats = {"float32": Sleeper("float32", float32)}
    floats["auto"] = Sleeper("bfloat16", bfloat16) if bfloat16 else floats["float32"]
    return Forms(model, Sleeper("int8", int8), floats.__getitem__)


@pytest.mark.parametrize(
    ("milliseconds", "wanted"),
    [
        ({"int8": 2, "float32": 20}, "int8"),
        ({"int8": 20, "float32": 2}, "float32"),
        ({"int8": 20, "float32": 20, "bfloat16": 2}, "bfloat16"),
    ],
    ids=str,
)
def test_the_fastest_is_chosen_and_integers_only_where_they_gain(model, milliseconds, wanted):
    assert fastest_precision(forms(model, **milliseconds)) == wanted


def test_integers_that_gain_little_are_not_worth_other_results(model, monkeypatch):
    seconds = {"int8": 0.020, "float32": 0.0202}
    monkeypatch.setattr("geodet.onnx.precision_probe._measure", lambda *_: seconds)
    assert fastest_precision(forms(model, int8=0, float32=0)) == "float32"


def test_the_choice_is_measured_once(model):
    assert fastest_precision(forms(model, int8=1, float32=10)) == "int8"
    again = forms(model, int8=10, float32=1)
    assert fastest_precision(again) == "int8"
    assert again.int8.calls == 0


def test_a_choice_is_for_one_model(model):
    remember_precision(model, "int8")
    assert not choice_file(replace(model, digest="other")).exists()


@pytest.mark.parametrize("text", ["", "[]", '{"precision": "int4"}', '{"precision": []}'])
def test_a_broken_file_is_measured_again(model, text):
    remember_precision(model, "int8")
    choice_file(model).write_text(text)
    assert fastest_precision(forms(model, int8=10, float32=1)) == "float32"


def test_a_folder_that_cannot_be_written_keeps_nothing(model, tmp_path, said):
    (tmp_path / "cache").write_text("a file")
    assert fastest_precision(forms(model, int8=1, float32=10)) == "int8"
    assert any("is not kept" in line for line in said(20))


class SleepingFile(Sleeper):
    """An ONNX file in a library that takes so many milliseconds."""

    path = Path("tiny.int8.onnx")
    about = load_model("thermal").description


@pytest.fixture
def with_openvino(monkeypatch):
    """Pretend that OpenVINO is installed; return a function that says how long it takes."""
    monkeypatch.setattr("geodet.onnx.precision_probe.has_openvino", lambda: True)

    def takes(milliseconds):
        other = SleepingFile("int8", milliseconds)
        monkeypatch.setattr("geodet.onnx.precision_probe.OnnxEngine", lambda *_, library: other)
        return other

    return takes


def test_without_openvino_nothing_is_measured(model, monkeypatch):
    monkeypatch.setattr("geodet.onnx.precision_probe.has_openvino", lambda: False)
    engine = SleepingFile("int8", 1)
    assert fastest_library(model, engine) is engine
    assert engine.calls == 0


def test_openvino_is_chosen_where_it_is_a_tenth_faster_and_measured_once(model, with_openvino):
    engine, other = SleepingFile("int8", 20), with_openvino(2)
    assert fastest_library(model, engine) is other
    calls = other.calls
    assert calls > 0
    assert fastest_library(model, engine) is other
    assert other.calls == calls


@pytest.mark.parametrize("milliseconds", [19, 40])
def test_onnxruntime_stays_where_openvino_gains_little(
    model, with_openvino, monkeypatch, milliseconds
):
    seconds = {"onnxruntime": 0.020, "openvino": milliseconds / 1000}
    monkeypatch.setattr("geodet.onnx.precision_probe._measure", lambda *_: seconds)
    engine = SleepingFile("int8", 20)
    with_openvino(milliseconds)
    assert fastest_library(model, engine) is engine


def test_each_precision_has_a_choice_of_its_own(model, with_openvino):
    engine, other = SleepingFile("int8", 20), with_openvino(2)
    assert fastest_library(model, engine) is other
    slow = SleepingFile("float32", 2)
    with_openvino(20)
    assert fastest_library(model, slow) is slow
