"""Convolutions in eight-bit integers: which are, and how far the outputs are from the floats."""

import numpy as np
import onnx
import pytest

from geodet.onnx.graph import plain_graph
from geodet.onnx.nodes import Nodes
from geodet.onnx.quantise import LayerErrors, Quantiser, quantise_within
from geodet.onnx.session import open_session

THRESHOLD = 0.3


@pytest.fixture(scope="module")
def chips():
    source = np.random.default_rng(1)
    return [source.uniform(0, 255, (1, 3, 64, 64)).astype(np.float32) for _ in range(3)]


@pytest.fixture(scope="module")
def quantiser(tiny_model, chips):
    return Quantiser(plain_graph(tiny_model.network, tiny_model.description), chips)


def run(graph, chip, names=("boxes", "scores")):
    return open_session(graph.SerializeToString()).run(list(names), {"pixels": chip})


def float_convolutions(graph):
    """List the convolutions whose weights are not integers."""
    stored = {one.name for one in graph.graph.initializer}
    return {n.name for n in graph.graph.node if n.op_type == "Conv" and n.input[1] in stored}


def test_folding_changes_nothing_but_rounding(quantiser, tiny_model, chips):
    whole = plain_graph(tiny_model.network, tiny_model.description)
    kinds = {node.op_type for node in quantiser.floats().graph.node}
    assert "BatchNormalization" not in kinds
    for one, other in zip(run(quantiser.floats(), chips[0]), run(whole, chips[0]), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_only_the_named_convolutions_become_integers(quantiser):
    names = quantiser.convolutions
    assert float_convolutions(quantiser.floats()) == set(names)
    assert float_convolutions(quantiser.quantise(names[2:4])) == set(names) - set(names[2:4])


def test_the_last_convolutions_are_those_of_logits_and_deltas(quantiser, tiny_model):
    heads = tiny_model.network.classifier.last, tiny_model.network.regressor.last
    stored = {one.name: one.dims for one in quantiser.floats().graph.initializer}
    shapes = [
        list(stored[node.input[1]])
        for node in quantiser.floats().graph.node
        if node.name in quantiser.outputs
    ]
    assert sorted(shapes) == sorted(list(head.weight.shape) for head in heads)


def test_weights_have_seven_bits(quantiser):
    """Two products of eight bits would overflow the sixteen of older processors."""
    graph = quantiser.quantise(quantiser.convolutions)
    weights = [
        np.frombuffer(one.raw_data, np.int8)
        for one in graph.graph.initializer
        if one.data_type == 3
    ]
    largest = [int(np.abs(one.astype(int)).max()) for one in weights if one.size > 1000]
    assert largest
    assert max(largest) <= 64


def test_the_result_is_near_the_floats(quantiser, chips):
    graph, errors, in_float = quantise_within(quantiser, chips, THRESHOLD)
    assert set(in_float) >= quantiser.outputs
    assert errors.score < 0.02  # an untrained network is more sensitive than one that learnt
    assert errors.box_px < 0.1
    wanted, found = run(quantiser.floats(), chips[0]), run(graph, chips[0])
    counted = wanted[1].max(axis=-1) >= THRESHOLD / 2
    assert counted.sum() > 20
    assert np.abs(found[1] - wanted[1])[counted].mean() < 0.01
    np.testing.assert_array_equal(
        *(run(g, chips[0], ["anchors"])[0] for g in (graph, quantiser.floats()))
    )


def test_the_layer_that_changes_most_is_left_in_float_first(quantiser, chips, monkeypatch):
    """Where nothing is near enough, up to three in ten are left in float."""
    kept = quantiser.outputs | quantiser.first
    worst = [name for name in quantiser.convolutions if name not in kept][3]

    def measure(_, graph):
        return LayerErrors(1.0 if worst not in float_convolutions(graph) else 0.0, 0.0)

    monkeypatch.setattr("geodet.onnx.quantise._Comparison.measure", measure)
    graph, errors, in_float = quantise_within(quantiser, chips, THRESHOLD)
    assert set(in_float) == quantiser.outputs | quantiser.first | {worst}
    assert float_convolutions(graph) >= set(in_float)
    assert errors == (0.0, 0.0)
    monkeypatch.setattr(
        "geodet.onnx.quantise._Comparison.measure", lambda *_: LayerErrors(1.0, 0.0)
    )
    in_float = quantise_within(quantiser, chips, THRESHOLD)[2]
    assert len(in_float) == np.ceil(0.3 * len(quantiser.convolutions))


def test_of_equal_layers_the_one_of_fewest_multiplications_is_left_in_float(quantiser, monkeypatch):
    chips = [np.zeros((1, 3, 32, 32), np.float32)]
    monkeypatch.setattr(
        "geodet.onnx.quantise._Comparison.measure", lambda *_: LayerErrors(1.0, 0.0)
    )
    in_float = quantise_within(quantiser, chips, THRESHOLD)[2]
    kept = quantiser.outputs | quantiser.first
    chosen = [name for name in in_float if name not in kept]
    costs = [quantiser.costs[name] for name in chosen]
    assert costs == sorted(costs)
    assert max(costs) <= min(
        cost for name, cost in quantiser.costs.items() if name not in {*in_float, *kept}
    )


def test_only_errors_that_are_too_large_choose_a_layer():
    of_scores, of_boxes = LayerErrors(0.004, 0.0), LayerErrors(0.0, 0.09)
    too_much = LayerErrors(0.006, 0.09)
    assert too_much.excess_from(of_scores) > 0
    assert too_much.excess_from(of_boxes) == 0
    assert too_much.relative == pytest.approx(1.2)


def test_steps_cover_what_an_activation_lets_through():
    """A ReLU6 behind sums of up to 1,275: steps for all of these would be wider than 6."""
    signs = np.where(np.arange(9).reshape(1, 1, 3, 3) % 2, 1.0, -1.0)
    graph = make_graph(signs, limit=6.0)
    chip = np.random.default_rng(0).integers(0, 256, (1, 1, 64, 64)).astype(np.float32)
    one = Quantiser(graph, [chip])
    made, wanted = (run(g, chip, ["out"])[0] for g in (one.quantise(one.convolutions), graph))
    assert np.mean((wanted > 0) & (wanted < 6)) > 0
    np.testing.assert_allclose(made, wanted, atol=0.05)


def make_graph(weights, *, limit):
    nodes = Nodes()
    x = nodes.add("Conv", "pixels", nodes.constant(weights))
    x = nodes.add("Clip", x, nodes.constant(0.0), nodes.constant(limit))
    nodes.nodes.append(onnx.helper.make_node("Identity", [x], ["out"]))
    shape = ["N", 1, "H", "W"]
    infos = [onnx.helper.make_tensor_value_info(n, 1, shape) for n in ("pixels", "out")]
    stored = list(nodes.constants.values())
    graph = onnx.helper.make_graph(nodes.nodes, "g", infos[:1], infos[1:], initializer=stored)
    versions = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=versions, ir_version=8)
