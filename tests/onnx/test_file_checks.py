import json
import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from geodet.errors import ModelFileError
from geodet.models.checkpoint import load_checkpoint
from geodet.onnx.backend import load_onnx_model
from geodet.onnx.export import export_model
from geodet.onnx.file_checks import check_onnx_file
from geodet.onnx.session import load_onnx_description, open_session


@pytest.fixture(scope="module")
def plain(make_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    export_model(load_checkpoint(make_model("tiny.safetensors")), path, reader="plain")
    return path


@pytest.fixture
def craft(plain, tmp_path):
    """Write a copy after a change of its graph."""

    def write(change):
        model = onnx.load(plain)
        change(model)
        path = tmp_path / "crafted.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write


def add_graph(nodes, *, inputs=(), initializers=()):
    """Write a file of a few nodes, without metadata."""
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", list(inputs), [out], list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def test_an_exported_file_passes(plain):
    check_onnx_file(plain)
    assert load_onnx_model(plain).description.classes


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("as_raw", [True, False])
def test_weights_that_are_not_finite_are_refused_by_name(craft, value, as_raw):
    def change(model):
        first = model.graph.initializer[3]
        array = numpy_helper.to_array(first).copy()
        array.reshape(-1)[-1] = value
        tensor = helper.make_tensor(
            "the weight",
            TensorProto.FLOAT,
            array.shape,
            array.astype("<f4").tobytes() if as_raw else array.reshape(-1).tolist(),
            raw=as_raw,
        )
        first.CopyFrom(tensor)

    with pytest.raises(ModelFileError, match="the weight 'the weight' has values that are not fin"):
        load_onnx_description(craft(change))


def test_constants_of_nodes_in_inner_graphs_are_checked(tmp_path):
    tensor = numpy_helper.from_array(np.float32([math.nan]), "inner")
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    out = helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])
    branch = helper.make_graph([constant], "branch", [], [out])
    given = helper.make_tensor_value_info("x", TensorProto.BOOL, [])
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    (tmp_path / "a.onnx").write_bytes(add_graph([node], inputs=[given]).SerializeToString())
    with pytest.raises(ModelFileError, match="the weight 'inner' has values"):
        check_onnx_file(tmp_path / "a.onnx")


@pytest.mark.parametrize("place", ["../secret.bin", "/etc/passwd", "beside.bin"])
def test_weights_in_other_files_are_refused(craft, place):
    def change(model):
        first = model.graph.initializer[0]
        first.data_location = TensorProto.EXTERNAL
        entry = first.external_data.add()
        entry.key, entry.value = "location", place

    with pytest.raises(ModelFileError, match="is in another file, and only those in the file itse"):
        open_session(craft(change))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("bands", "pixels has 3 bands, and the description says 1"),
        ("classes", "logits has . class"),
    ],
)
def test_a_description_of_another_network_is_refused(craft, key, message):
    def change(model):
        (entry,) = [one for one in model.metadata_props if one.key == "geodet"]
        about = json.loads(entry.value)
        if key == "bands":
            about |= {name: about[name][:1] for name in ("bands", "mean", "std", "low", "high")}
        else:
            about["classes"] = [*about["classes"], "another"]
        entry.value = json.dumps(about)

    with pytest.raises(ModelFileError, match=message):
        load_onnx_model(craft(change))


@pytest.mark.parametrize(("opset", "ir"), [(99, 8), (17, 99)])
def test_a_newer_version_is_refused(craft, opset, ir):
    def change(model):
        model.opset_import[0].version, model.ir_version = opset, ir

    with pytest.raises(ModelFileError, match="onnxruntime cannot open") as caught:
        open_session(craft(change))
    assert "geodet export" in caught.value.hint


def test_a_graph_that_needs_no_end_of_memory_is_an_error_when_it_is_run(tmp_path):
    size = helper.make_tensor("size", TensorProto.INT64, [1], [1 << 62])
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["y"])]
    path = tmp_path / "bomb.onnx"
    path.write_bytes(add_graph(nodes, initializers=[size]).SerializeToString())
    session = open_session(path)
    with pytest.raises(ModelFileError, match=r"onnxruntime cannot run .*bomb\.onnx"):
        session.run(None, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an ONNX file: it is empty"),
        (b"\xff" * 100, "is not an ONNX file: it is cut off, or a number"),
        (b"\x3a\xff\x01", "is not an ONNX file: it is cut off, or a length"),
        (b"\x3b", "is not an ONNX file: a field is of the kind 3"),
        (b"\x08\x01" * 3_000_000, "is not an ONNX file: it has more than 2,000,000 fields"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        open_session(tmp_path / "a.onnx")


def test_truncated_files_are_refused(plain, tmp_path):
    data = plain.read_bytes()
    for share in (0.01, 0.5, 0.999):
        (tmp_path / "a.onnx").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ModelFileError, match=r"is not an ONNX file|cannot open"):
            load_onnx_description(tmp_path / "a.onnx")
