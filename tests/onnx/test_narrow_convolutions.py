"""Convolutions of few outputs in three steps: the same numbers."""

import numpy as np
import onnx
import pytest

from geodet.onnx.narrow_convolutions import split_narrow_convolutions
from geodet.onnx.nodes import Nodes
from geodet.onnx.session import open_session


def make_graph(outputs, **attributes):
    source = np.random.default_rng(0)
    nodes = Nodes()
    weights = (
        nodes.constant(source.normal(size=(outputs, 5, 3, 3))),
        nodes.constant(source.normal(size=outputs)),
    )
    x = nodes.add("Conv", "pixels", *weights, **attributes)
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
