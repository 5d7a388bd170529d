"""A network to round, and chips of noise that calibrate it."""

import numpy as np
import pytest

from geodet.onnx.graph import plain_graph
from geodet.onnx.quantise import Quantiser


@pytest.fixture(scope="module")
def chips():
    source = np.random.default_rng(1)
    return [source.uniform(0, 255, (1, 3, 64, 64)).astype(np.float32) for _ in range(3)]


@pytest.fixture(scope="module")
def quantiser(tiny_model, chips):
    return Quantiser(plain_graph(tiny_model.network, tiny_model.description), chips)
