"""Small ONNX graphs of convolutions, written by hand."""

import onnx

from geodet.onnx.nodes import Nodes
from geodet.onnx.session import open_session


def finish_graph(nodes, output, *, bands, channels):
    """Return the graph of some nodes, from ``pixels`` to ``out``."""
    nodes.nodes.append(onnx.helper.make_node("Identity", [output], ["out"]))
    infos = [
        onnx.helper.make_tensor_value_info(name, 1, ["N", count, "H", "W"])
        for name, count in (("pixels", bands), ("out", channels))
    ]
    stored = list(nodes.constants.values())
    graph = onnx.helper.make_graph(nodes.nodes, "g", infos[:1], infos[1:], initializer=stored)
    versions = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=versions, ir_version=8)


def make_clipped_graph(weights, *, limit):
    """Return a graph of one convolution (1, 1, 3, 3), cut off at a limit."""
    nodes = Nodes()
    x = nodes.add("Conv", "pixels", nodes.constant(weights))
    x = nodes.add("Clip", x, nodes.constant(0.0), nodes.constant(limit))
    return finish_graph(nodes, x, bands=1, channels=1)


def make_pair_graph(first, biases, second, last=None, *, activation="Relu", group=1):
    """Return a graph of two convolutions (O, I, 1, 1) with an activation between them."""
    nodes = Nodes()
    x = nodes.add("Conv", "pixels", nodes.constant(first), nodes.constant(biases))
    x = nodes.add(activation, x)
    rest = [] if last is None else [nodes.constant(last)]  # its biases
    x = nodes.add("Conv", x, nodes.constant(second), *rest, group=group)
    return finish_graph(nodes, x, bands=first.shape[1], channels=second.shape[0])


def run_graph(graph, pixels, names=("out",)):
    """Return the outputs of a graph."""
    return open_session(graph.SerializeToString()).run(list(names), {"pixels": pixels})


def constant_values(graph):
    """Return the constants of a graph by their names."""
    return {one.name: onnx.numpy_helper.to_array(one) for one in graph.graph.initializer}


def float_convolutions(graph):
    """Return the names of the convolutions whose weights are not integers."""
    stored = {one.name for one in graph.graph.initializer}
    return {n.name for n in graph.graph.node if n.op_type == "Conv" and n.input[1] in stored}
