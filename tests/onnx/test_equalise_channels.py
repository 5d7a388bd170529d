"""Channels are scaled between two convolutions, and the outputs stay the same."""

import numpy as np
import pytest
from small_graphs import constant_values, finish_graph, make_pair_graph, run_graph

from geodet.onnx.equalise_channels import equalise_channels
from geodet.onnx.inner_results import iter_inner_results
from geodet.onnx.nodes import Nodes
from geodet.onnx.quantise import Quantiser

SIZES = np.array([1000.0, 30.0, 1.0, 0.2])  # of the four channels between the convolutions


@pytest.fixture
def source():
    return np.random.default_rng(3)


@pytest.fixture
def chips(source):
    return [source.uniform(-1, 1, (1, 2, 16, 16)).astype(np.float32) for _ in range(3)]


@pytest.fixture
def weights(source):
    """Return the weights and biases of a first convolution, and the weights of a second one."""
    first = source.uniform(0.5, 1, (4, 2, 1, 1)) * SIZES[:, None, None, None]
    second = source.uniform(0.5, 1, (3, 4, 1, 1)) / SIZES[None, :, None, None]
    return first, 0.3 * SIZES, second


def largest(graph, chips):
    relu = next(node for node in graph.graph.node if node.op_type != "Conv")
    found = [one[relu.output[0]] for one in iter_inner_results(graph, [relu.output[0]], chips)]
    return np.max(found, axis=(0, 1, 3, 4))


def test_the_outputs_stay_and_the_channels_are_alike(weights, chips):
    graph = make_pair_graph(*weights)
    before = [run_graph(graph, chip)[0] for chip in chips]
    assert largest(graph, chips).max() > 1000 * largest(graph, chips).min()
    equalise_channels(graph, chips, ())
    for one, other in zip(before, chips, strict=True):
        np.testing.assert_allclose(run_graph(graph, other)[0], one, rtol=1e-4, atol=1e-5)
    assert largest(graph, chips).max() < 4 * largest(graph, chips).min()


def test_weights_that_stay_in_float_take_the_whole_range(weights, chips):
    graph = make_pair_graph(*weights)
    convolutions = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    equalise_channels(graph, chips, convolutions[1:])
    np.testing.assert_allclose(largest(graph, chips), largest(graph, chips)[0], rtol=1e-3)


def test_rounding_keeps_what_a_small_channel_says(weights, chips, monkeypatch):
    """The second convolution makes all four channels alike again, so each of them counts."""
    graph = make_pair_graph(*weights)

    def error():
        one = Quantiser(graph, chips)
        found = run_graph(one.quantise(one.convolutions), chips[0])[0]
        return np.abs(found - run_graph(graph, chips[0])[0]).mean()

    scaled = error()
    monkeypatch.setattr("geodet.onnx.quantise.equalise_channels", lambda *_: None)
    assert error() > 5 * scaled


def test_a_channel_of_zeros_is_no_error(weights, chips):
    first, biases, second = weights
    first[2], biases[2] = 0, 0
    graph = make_pair_graph(first, biases, second)
    before = run_graph(graph, chips[0])[0]
    equalise_channels(graph, chips, ())
    np.testing.assert_allclose(run_graph(graph, chips[0])[0], before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["sigmoid", "groups", "another reader"])
def test_nothing_is_scaled_that_would_change_the_outputs(weights, chips, kind):
    first, biases, second = weights
    if kind == "groups":
        graph = make_pair_graph(first, biases, second[:2, :2], group=2)
    else:
        graph = make_pair_graph(*weights, activation="Sigmoid" if kind == "sigmoid" else "Relu")
    if kind == "another reader":
        graph.graph.node.add(op_type="Neg", input=[graph.graph.node[1].output[0]], output=["neg"])
    before = constant_values(graph)
    equalise_channels(graph, chips, ())
    for name, values in constant_values(graph).items():
        np.testing.assert_array_equal(values, before[name])


def test_weights_that_two_levels_share_are_scaled_apart(weights, chips):
    """The heads of a pyramid: each level has results of its own size."""
    first, biases, second = weights
    graph = make_pair_graph(first, biases, second)
    nodes = list(graph.graph.node)[:3]
    for node in nodes:  # the same layers again, on pixels that are ten times as large
        copy = graph.graph.node.add()
        copy.CopyFrom(node)
        copy.name = f"{node.name}_again"
        copy.input[0] = "large" if node.input[0] == "pixels" else f"{node.input[0]}_again"
        copy.output[0] = f"{node.output[0]}_again"
    graph.graph.node.insert(
        0, type(nodes[0])(op_type="Add", input=["pixels"] * 2, output=["large"])
    )
    graph.graph.output.add().name = f"{nodes[2].output[0]}_again"
    names = ("out", f"{nodes[2].output[0]}_again")
    before = run_graph(graph, chips[0], names)
    equalise_channels(graph, chips, ())
    assert len(graph.graph.initializer) == 6
    for one, other in zip(run_graph(graph, chips[0], names), before, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def make_stream_graph(weights, source):
    """Return a graph of two convolutions whose sum, enlarged, two others read."""
    first, biases, second = weights
    nodes = Nodes()
    kernels = [first, source.uniform(-0.5, 0.5, first.shape) * SIZES[:, None, None, None]]
    a, b = (nodes.add("Conv", "pixels", nodes.constant(k), nodes.constant(biases)) for k in kernels)
    x = nodes.add("Relu", nodes.add("Add", a, b))
    nodes.add("Shape", x)  # sizes alone are read
    x = nodes.add("Resize", x, "", nodes.constant([1.0, 1.0, 2.0, 2.0]), mode="nearest")
    one, other = (nodes.add("Conv", x, nodes.constant(w)) for w in (second, -0.5 * second))
    return finish_graph(nodes, nodes.add("Add", one, other), bands=2, channels=3)


def test_sums_and_enlargements_pass_factors_on(weights, chips, source):
    graph = make_stream_graph(weights, source)
    before = run_graph(graph, chips[0])[0]
    name = next(node.output[0] for node in graph.graph.node if node.op_type == "Resize")

    def ratio():
        found = [one[name].max(axis=(0, 2, 3)) for one in iter_inner_results(graph, [name], chips)]
        return np.max(found, axis=0).max() / np.max(found, axis=0).min()

    assert ratio() > 1000
    equalise_channels(graph, chips, ())
    assert ratio() < 10
    np.testing.assert_allclose(run_graph(graph, chips[0])[0], before, rtol=1e-4, atol=1e-5)


def test_what_a_relu_cuts_off_does_not_count(weights, chips):
    """The last channel is far below zero at most pixels, and small where it is above."""
    first, biases, second = weights
    first[3] = [[[1e5]], [[0.0]]]
    biases[3] = -0.9e5 * max(chip[0, 0].max() for chip in chips)
    graph = make_pair_graph(first, biases, second)
    equalise_channels(graph, chips, [graph.graph.node[2].name])
    np.testing.assert_allclose(largest(graph, chips), largest(graph, chips)[0], rtol=1e-3)
