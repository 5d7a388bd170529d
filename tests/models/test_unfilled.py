import torch
from torch import nn

from geodet.models.unfilled import Unfilled


def build():
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)]
    nn.init.normal_(layers[0].weight, std=0.1)
    nn.init.kaiming_normal_(tensor=layers[0].weight)
    nn.init.trunc_normal_(layers[2].weight)
    layers[2].weight.data.normal_(0, 1)
    nn.init.constant_(layers[2].bias, 0.5)
    return nn.Sequential(*layers)


def test_nothing_is_drawn_and_all_else_is_as_always():
    before = torch.get_rng_state()
    with Unfilled():
        network = build()
        assert torch.equal(torch.ones(2) + 1, torch.full((2,), 2.0))
    assert torch.equal(torch.get_rng_state(), before)
    usual = build()
    assert not torch.equal(torch.get_rng_state(), before)
    shapes = {key: tensor.shape for key, tensor in network.state_dict().items()}
    assert shapes == {key: tensor.shape for key, tensor in usual.state_dict().items()}
    for key in ("1.weight", "1.running_var", "1.num_batches_tracked", "2.bias"):
        assert torch.equal(network.state_dict()[key], usual.state_dict()[key])


def test_weights_are_drawn_again_after_it():
    with Unfilled():
        pass
    assert build()[0].weight.std() > 0
