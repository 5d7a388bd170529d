import pytest
import torch
from torch import nn

from geodet.models.backbone import Backbone
from geodet.models.depthwise import DepthwiseConv2d, train_depthwise_in_float32


def blocks():
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8), nn.ReLU()
    )


def gradients(network, x, *, mixed):
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        network(x).square().sum().backward()
    return [x.grad, *(weight.grad for weight in network.parameters())]


def test_gradients_in_bfloat16_are_near_those_in_float32():
    x, plain, changed = torch.randn(2, 4, 12, 12), blocks(), blocks()
    train_depthwise_in_float32(changed)
    wanted = gradients(plain, x, mixed=False)
    for found, exact in zip(gradients(changed, x, mixed=True), wanted, strict=True):
        torch.testing.assert_close(found, exact, rtol=0.05, atol=0.05 * exact.abs().max().item())


@pytest.mark.parametrize("mixed", [True, False])
def test_outputs_in_detection_are_the_same_to_the_bit(mixed):
    x, plain, changed = torch.randn(2, 4, 12, 12), blocks().eval(), blocks().eval()
    train_depthwise_in_float32(changed)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        torch.testing.assert_close(changed(x), plain(x), rtol=0, atol=0)


def test_only_depthwise_convolutions_change_and_their_weights_keep_their_names():
    network = Backbone("efficientnet_lite0", bands=3, level=3)
    before = list(network.state_dict())
    train_depthwise_in_float32(network)
    changed = [m for m in network.modules() if isinstance(m, DepthwiseConv2d)]
    assert len(changed) == 5
    assert all(m.groups == m.in_channels > 1 for m in changed)
    assert list(network.state_dict()) == before


def test_the_output_keeps_the_type_of_the_mixed_precision():
    network = blocks()
    train_depthwise_in_float32(network)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.randn(1, 4, 8, 8)).dtype == torch.bfloat16
