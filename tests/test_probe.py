import torch
from torch import nn

from geodet.engine.probe import WidestLayer


def test_the_widest_layer_is_the_one_that_holds_most():
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Sequential(nn.ReLU(), nn.Conv2d(8, 5, 1)))
    with WidestLayer(network) as widest:
        network(torch.zeros(2, 3, 10, 10))
    assert widest.bytes == 4 * 2 * 100 * (8 + 8)  # of the ReLU, in floats
    before = widest.bytes
    network(torch.zeros(2, 3, 40, 40))
    assert widest.bytes == before


def test_layers_that_take_no_tensor_hold_nothing():
    class Odd(nn.Module):
        def forward(self, name):
            return name

    with WidestLayer(Odd()) as widest:
        Odd()("x")
    assert widest.bytes == 0
