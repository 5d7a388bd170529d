"""Convolutions in eight-bit integers: which are, and how far the outputs are from the floats."""

import numpy as np
from factories_models import architecture, describe, seeded_network
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


def sources_of_enlargements(graph):
    makers = {name: node.op_type for node in graph.graph.node for name in node.output}
    nodes = [node for node in graph.graph.node if node.op_type == "Resize"]
    return [makers[node.input[0]] for node in nodes]


def test_maps_are_enlarged_in_integers_where_what_reads_them_is_in_integers(chips):
    config = architecture((2, 4), backbone="resnet18")
    one = Quantiser(plain_graph(seeded_network(config, classes=2), describe(config)), chips)
    whole = one.quantise(one.convolutions)
    assert set(sources_of_enlargements(whole)) == {"DequantizeLinear"}
    assert len(sources_of_enlargements(whole)) == 2
    of = {name: node for node in one.floats().graph.node for name in node.output}
    finest = next(
        node.name
        for node in one.floats().graph.node
        if node.op_type == "Conv"
        and node.input[0] in of
        and of[node.input[0]].op_type == "Add"
        and any(name in of and of[name].op_type == "Resize" for name in of[node.input[0]].input)
    )
    rest = one.quantise([name for name in one.convolutions if name != finest])
    assert "DequantizeLinear" not in sources_of_enlargements(rest)[-1:]


def test_no_map_is_asked_for_its_shape(quantiser):
    """Onnxruntime would copy a map in integers to answer."""
    given = {one.name for one in quantiser.floats().graph.initializer}
    asked = [n.input[0] for n in quantiser.floats().graph.node if n.op_type == "Shape"]
    convolved = {n.output[0] for n in quantiser.floats().graph.node if n.op_type == "Conv"}
    assert asked
    assert not {*asked} & (convolved | given)
