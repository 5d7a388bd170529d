"""What rounding shifts is measured layer by layer and taken out of the biases."""

import numpy as np
import pytest
from small_graphs import constant_values, make_clipped_graph, make_pair_graph

from geodet.onnx.correct_biases import find_shifts
from geodet.onnx.inner_results import iter_inner_results
from geodet.onnx.quantise import Quantiser

GROUND, OBJECT = 0.1, 8.0
STEP = OBJECT / 255


@pytest.fixture
def chips():
    """Return ground, which lies between two steps, and an object on one pixel of 256."""
    pixels = np.full((1, 2, 16, 16), GROUND, np.float32)
    pixels[..., 3, 3] = OBJECT
    return [pixels] * 2


@pytest.fixture
def weights():
    source = np.random.default_rng(0)
    return source.uniform(0.5, 1, (4, 2, 1, 1)), source.uniform(-1, 1, (3, 4, 1, 1))


@pytest.fixture
def quantiser(weights, chips):
    first, second = weights
    return Quantiser(make_pair_graph(first, np.full(4, 0.2), second, np.zeros(3)), chips)


def ground_of(graph, name, chips):
    """Return the result of a convolution for the ground, by channel, before it is rounded."""
    result = next(node.output[0] for node in graph.graph.node if node.name == name)
    return next(iter_inner_results(graph, [result], chips))[result][0, :, 8, 8]


def test_the_ground_is_as_in_the_floats(quantiser, chips, weights):
    """The error of the object, however large, must not move the ground."""
    first = quantiser.convolutions[0]
    lost = GROUND - np.rint(GROUND / STEP) * STEP
    assert abs(lost) > 0.1 * STEP
    wanted = ground_of(quantiser.floats(), first, chips)
    without = wanted - ground_of(quantiser._round([first]), first, chips)
    corrected = wanted - ground_of(quantiser.quantise([first]), first, chips)
    assert np.abs(without).min() > 0.1 * STEP * weights[0].sum(axis=(1, 2, 3)).min()
    assert np.abs(corrected).max() < np.abs(without).max() / 20


def test_the_shift_of_a_layer_does_not_count_those_before_it(quantiser, chips):
    rounded, floats = quantiser._round(quantiser.convolutions), quantiser.floats()
    shifts = find_shifts(rounded, floats, chips)
    assert sorted(shifts) == sorted(quantiser.convolutions)
    second = quantiser.convolutions[1]
    alone = find_shifts(quantiser._round([second]), floats, chips)
    np.testing.assert_allclose(shifts[second], alone[second], atol=1e-6)


def test_only_the_biases_of_the_named_layers_change(quantiser):
    first, second = quantiser.convolutions
    plain = constant_values(quantiser._round([first, second]))
    found = constant_values(quantiser.quantise([first, second]))
    changed = {name for name in plain if np.any(plain[name] != found[name])}
    assert changed
    assert all("bias" in name or plain[name].dtype == np.int32 for name in changed)
    assert not np.any(quantiser._shifts[second] == 0)


def test_a_layer_without_a_bias_stays_as_it_is():
    chip = np.random.default_rng(0).uniform(0, 9, (1, 1, 16, 16)).astype(np.float32)
    one = Quantiser(make_clipped_graph(np.ones((1, 1, 3, 3)), limit=6.0), [chip])
    plain, found = (
        constant_values(graph)
        for graph in (one._round(one.convolutions), one.quantise(one.convolutions))
    )
    for name, values in plain.items():
        np.testing.assert_array_equal(found[name], values)
