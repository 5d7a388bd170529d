"""Convolutions in eight-bit integers: which are, and how far the outputs are from the floats."""

import numpy as np
from small_graphs import float_convolutions, make_clipped_graph, run_graph

from geodet.onnx.graph import plain_graph
from geodet.onnx.quantise import Quantiser

OUTPUTS = ("boxes", "scores")


def test_folding_changes_nothing_but_rounding(quantiser, tiny_model, chips):
    whole = plain_graph(tiny_model.network, tiny_model.description)
    kinds = {node.op_type for node in quantiser.floats().graph.node}
    assert "BatchNormalization" not in kinds
    for one, other in zip(
        run_graph(quantiser.floats(), chips[0], OUTPUTS),
        run_graph(whole, chips[0], OUTPUTS),
        strict=True,
    ):
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


def test_steps_cover_what_an_activation_lets_through():
    """A ReLU6 behind sums of up to 1,275: steps for all of these would be wider than 6."""
    signs = np.where(np.arange(9).reshape(1, 1, 3, 3) % 2, 1.0, -1.0)
    graph = make_clipped_graph(signs, limit=6.0)
    chip = np.random.default_rng(0).integers(0, 256, (1, 1, 64, 64)).astype(np.float32)
    one = Quantiser(graph, [chip])
    made, wanted = (run_graph(g, chip)[0] for g in (one.quantise(one.convolutions), graph))
    assert np.mean((wanted > 0) & (wanted < 6)) > 0
    np.testing.assert_allclose(made, wanted, atol=0.05)
