"""Convolutions of few outputs in three steps: the same numbers."""

import numpy as np
import onnx
import onnxruntime
import pytest

from geodet.onnx.narrow_convolutions import split_narrow_convolutions
from geodet.onnx.nodes import Nodes
from geodet.onnx.session import open_session


def make_graph(outputs, *, is_rounded=False, **attributes):
    source = np.random.default_rng(0)
    nodes = Nodes()
    x = "pixels"
    if is_rounded:
        steps = nodes.constant(1 / 32), nodes.constant(128, np.uint8)
        x = nodes.add("DequantizeLinear", nodes.add("QuantizeLinear", x, *steps), *steps)
    weights = (
        nodes.constant(source.normal(size=(outputs, 5, 3, 3))),
        nodes.constant(source.normal(size=outputs)),
    )
    x = nodes.add("Conv", x, *weights, **attributes)
    nodes.nodes.append(onnx.helper.make_node("Identity", [x], ["out"]))
    infos = [
        onnx.helper.make_tensor_value_info(name, 1, ["N", count, "H", "W"])
        for name, count in (("pixels", 5), ("out", outputs))
    ]
    stored = list(nodes.constants.values())
    graph = onnx.helper.make_graph(nodes.nodes, "g", infos[:1], infos[1:], initializer=stored)
    versions = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=versions, ir_version=8)


def run(graph):
    pixels = np.random.default_rng(1).normal(size=(2, 5, 7, 9)).astype(np.float32)
    return open_session(graph.SerializeToString()).run(["out"], {"pixels": pixels})[0]


def count_convolutions(graph):
    return sum(node.op_type == "Conv" for node in graph.graph.node)


@pytest.mark.parametrize("outputs", [1, 4])
def test_three_steps_compute_what_one_does(outputs):
    graph = make_graph(outputs, pads=[1] * 4, kernel_shape=[3, 3])
    wanted = run(graph)
    made = split_narrow_convolutions(graph, {"conv_0"})
    onnx.checker.check_model(made, full_check=True)
    assert count_convolutions(made) == 3
    assert len(made.graph.initializer) == 4  # the weights of the one step are gone
    np.testing.assert_allclose(run(made), wanted, atol=1e-4)


def list_computed(graph, path):
    """Return the kinds of the nodes that onnxruntime computes."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    content = graph.SerializeToString()
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("outputs", [1, 4])
def test_the_products_of_integers_are_computed_in_integers(outputs, tmp_path):
    graph = make_graph(outputs, is_rounded=True, pads=[1] * 4, kernel_shape=[3, 3])
    convolution = graph.graph.node[-2].name
    wanted = run(graph)
    made = split_narrow_convolutions(graph, {convolution})
    onnx.checker.check_model(made, full_check=True)
    assert "MatMulIntegerToFloat" in list_computed(made, tmp_path / "computed.onnx")
    # 45 weights of an output are rounded by a quarter of a step of 1/63 of the largest.
    step = 3 / 63
    assert np.abs(run(made) - wanted).mean() < np.sqrt(45) * step / 4
    assert np.corrcoef(run(made).ravel(), wanted.ravel())[0, 1] > 0.9999
    read = {name for node in made.graph.node for name in node.input}
    made_here = {name for node in made.graph.node for name in node.output}
    assert made_here <= read | {"out"}  # nothing is computed that nothing reads


def test_an_output_without_weights_is_its_bias():
    graph = make_graph(1, is_rounded=True, pads=[1] * 4, kernel_shape=[3, 3])
    kernels = next(one for one in graph.graph.initializer if list(one.dims) == [1, 5, 3, 3])
    kernels.CopyFrom(onnx.numpy_helper.from_array(np.zeros((1, 5, 3, 3), "f4"), kernels.name))
    wanted = run(graph)
    made = split_narrow_convolutions(graph, {graph.graph.node[-2].name})
    np.testing.assert_array_equal(run(made), wanted)


@pytest.mark.parametrize(
    ("outputs", "attributes"),
    [
        (8, {"pads": [1] * 4}),
        (1, {"pads": [0] * 4}),
        (1, {"pads": [1] * 4, "strides": [2, 2]}),
        (1, {"pads": [1] * 4, "dilations": [2, 2]}),
    ],
)
def test_other_convolutions_stay_as_they_are(outputs, attributes):
    graph = make_graph(outputs, **attributes)
    assert count_convolutions(split_narrow_convolutions(graph, {"conv_0"})) == 1
    assert count_convolutions(split_narrow_convolutions(graph, ())) == 1
