"""Exported files: what is written, when, and that it is checked first."""

import json

import numpy as np
import pytest

from geodet.errors import ConfigError, ModelFileError, OutputError
from geodet.models.checkpoint import load_checkpoint
from geodet.onnx import export
from geodet.onnx.export import export_model
from geodet.onnx.graph import plain_graph
from geodet.onnx.session import open_session


@pytest.mark.parametrize("reader", ["deepness", "geodeep"])
def test_a_file_for_tiles_has_one_input_and_one_output(tiny_model, tmp_path, reader):
    path = tmp_path / "tiny.onnx"
    report = export_model(tiny_model, path, reader=reader, chip_size=96, overlap=16)
    assert (report.output, report.reader) == (path, reader)
    assert report.megabytes == path.stat().st_size / 1e6
    assert max(report.score_difference, report.box_difference_px) < 1e-3
    session = open_session(path)
    (images,), (found,) = session.get_inputs(), session.get_outputs()
    assert images.shape == [1, 3, 96, 96]  # both readers take the size of a tile from here
    assert (found.shape[0], found.shape[2]) == (1, 6)
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["tiles_overlap"]) == 17
    (rows,) = session.run(None, {images.name: np.full((1, 3, 96, 96), 0.5, np.float32)})
    assert rows.shape[2] == 6


def test_a_plain_file_takes_any_batch_and_size(tiny_model, tmp_path):
    export_model(tiny_model, tmp_path / "tiny.onnx", reader="plain")
    session = open_session(tmp_path / "tiny.onnx")
    for shape in ((1, 3, 64, 64), (3, 3, 40, 72)):
        boxes, scores = session.run(["boxes", "scores"], {"pixels": np.zeros(shape, np.float32)})
        assert boxes.shape[:2] == scores.shape[:2] == (shape[0], shape[2] * shape[3] // 16)


def test_a_file_is_replaced_only_when_asked(tiny_model, tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already"):
        export_model(tiny_model, path)
    assert path.read_bytes() == b"precious"
    export_model(tiny_model, path, overwrite=True)
    assert path.stat().st_size > 1e5
    assert list(tmp_path.iterdir()) == [path]


def test_a_wrong_suffix_and_a_wrong_overlap_are_refused(tiny_model, tmp_path):
    with pytest.raises(OutputError, match=r"cannot tell the format of .*tiny\.pt"):
        export_model(tiny_model, tmp_path / "tiny.pt")
    with pytest.raises(ConfigError, match="overlap 33 is more than half of chip_size 64"):
        export_model(tiny_model, tmp_path / "tiny.onnx", chip_size=64, overlap=33)
    for size, overlap in ((0, 0), (31, 0), (-5, 64), (512, -1)):
        with pytest.raises(ConfigError, match=f"chip_size {size} and overlap {overlap} make no"):
            export_model(tiny_model, tmp_path / "tiny.onnx", chip_size=size, overlap=overlap)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_differs_from_torch_is_not_written(
    tiny_model, make_model, tmp_path, monkeypatch
):
    other = load_checkpoint(make_model("other.safetensors", seed=1))
    monkeypatch.setattr(export, "plain_graph", lambda _, about: plain_graph(other.network, about))
    with pytest.raises(ModelFileError, match="the ONNX graph of tiny differs from PyTorch by"):
        export_model(tiny_model, tmp_path / "tiny.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_graph_whose_outputs_are_not_numbers_is_not_written(make_model, tmp_path):
    model = load_checkpoint(make_model())
    model.network.classifier.last.bias.data.fill_(float("nan"))
    with pytest.raises(ModelFileError, match="differs from PyTorch by nan"):
        export_model(model, tmp_path / "tiny.onnx")
