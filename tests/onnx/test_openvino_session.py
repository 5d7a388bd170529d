"""OpenVINO as another library for ONNX files; a pretended one where it is not installed."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from geodet.errors import ModelFileError
from geodet.models.input_values import InputValues
from geodet.onnx.backend import load_model
from geodet.onnx.export import export_model
from geodet.onnx.onnx_engine import OnnxEngine
from geodet.onnx.openvino_session import open_in_openvino
from geodet.onnx.session import open_session


@pytest.fixture(scope="module")
def path(make_model, tmp_path_factory):
    output = tmp_path_factory.mktemp("openvino") / "tiny.onnx"
    export_model(load_model(make_model("tiny.safetensors")), output, reader="plain")
    return output


class PretendedCore:
    """OpenVINO's core around a session of onnxruntime."""

    def read_model(self, path):
        session = open_session(Path(path).read_bytes())
        results = [
            SimpleNamespace(output=lambda _, name=one.name: SimpleNamespace(names={name}))
            for one in session.get_outputs()
        ]
        self.removed = []
        return SimpleNamespace(
            session=session, get_results=lambda: results, remove_result=self.removed.append
        )

    def compile_model(self, graph, device, hints):
        assert (device, hints["INFERENCE_NUM_THREADS"]) == ("CPU", 1)
        assert len(self.removed) == 2  # boxes and scores
        names = ["logits", "deltas", "anchors"]

        def infer(fed):
            return dict(zip(names, graph.session.run(names, fed), strict=True))

        return SimpleNamespace(create_infer_request=lambda: SimpleNamespace(infer=infer))


@pytest.fixture(params=["pretended", "installed"])
def openvino(request, monkeypatch):
    if request.param == "installed":
        pytest.importorskip("openvino")
        return
    pretended = SimpleNamespace(Core=PretendedCore)
    monkeypatch.setitem(sys.modules, "openvino", pretended)
    monkeypatch.setattr("geodet.onnx.onnx_engine.version", lambda _: "1")


@pytest.mark.usefixtures("openvino")
def test_openvino_computes_what_onnxruntime_does(path):
    engines = [OnnxEngine(path, library=name, threads=1) for name in ("onnxruntime", "openvino")]
    assert [list(one.software) for one in engines] == [["onnxruntime"], ["openvino"]]
    about = engines[0].about
    pixels = np.random.default_rng(0).integers(0, 255, (3, 61, 48)).astype(np.uint8)
    valid = np.ones((61, 48), np.bool_)
    found = [
        one.forward(*one.stack([pixels], [valid]), InputValues(about.mean, about.std))
        for one in engines
    ]
    for one, other in zip(found[0][:3], found[1][:3], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert found[0].level_sizes == found[1].level_sizes


def test_what_openvino_cannot_read_is_an_error_with_the_way_out(path, monkeypatch):
    def refuse(_):
        raise RuntimeError("an unknown operator")

    core = SimpleNamespace(read_model=refuse)
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=lambda: core))
    with pytest.raises(ModelFileError, match="an unknown operator"):
        open_in_openvino(path, ["logits"], threads=1)
