"""Folded networks against the networks that they were, whose norms have learnt something."""

import pytest
import torch
from factories_models import architecture, seeded_network
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from geodet.models.folding import PoolInParts, cast_convolutions, fold_norms

NORMS = (nn.BatchNorm2d, FrozenBatchNorm2d)
CONFIGS = {
    "basic blocks": architecture((2, 4), head_convs=2, head_norm="batch"),
    "one level": architecture(head_norm="batch"),
    "frozen norms": architecture(backbone_norm="frozen_batch", head_norm="batch"),
    "bottlenecks": architecture((2, 3), backbone="resnet50", head_norm="batch"),
    "smoothed strides": architecture((2, 4), antialias=True, head_norm="batch"),
    "limited activations": architecture((2, 4), activation="relu6", head_norm="batch"),
    "EfficientNet-Lite0": architecture((2, 4), backbone="efficientnet_lite0", head_norm="batch"),
    "P6 and P7": architecture((3, 7), head_norm="batch"),
    "no hidden layers": architecture((2, 3), head_convs=0, head_norm="batch"),
    "a shorter box head": architecture((2, 3), head_convs=2, box_head_convs=1, head_norm="batch"),
    "no norms in the heads": architecture((2, 3), head_norm="none"),
    "group norms in the heads": architecture((2, 3), head_norm="group"),
    "group norms everywhere": architecture(backbone_norm="group", head_norm="group"),
}


def taught(config):
    """Build a network with statistics as training leaves them, each norm with its own."""
    network = seeded_network(config, classes=2)
    source = torch.Generator().manual_seed(1)
    for norm in network.modules():
        if isinstance(norm, NORMS):
            for tensor, low, high in (
                (norm.running_mean, -0.5, 0.5),
                (norm.running_var, 0.5, 2.0),
                (norm.weight.data, 0.5, 1.5),
                (norm.bias.data, -0.5, 0.5),
            ):
                tensor.uniform_(low, high, generator=source)
    return network


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.inference_mode()
def test_a_folded_network_gives_the_same_outputs(config):
    network = taught(config)
    images = torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(2))
    wanted, found = network(images), fold_norms(network)(images)
    scale = float(wanted.logits.std())
    assert scale > 0
    torch.testing.assert_close(found.logits, wanted.logits, rtol=1e-4, atol=1e-4 * scale)
    spread = float(wanted.deltas.std())
    torch.testing.assert_close(found.deltas, wanted.deltas, rtol=1e-4, atol=1e-4 * spread)
    assert torch.equal(found.anchors, wanted.anchors)
    assert found.level_sizes == wanted.level_sizes


@pytest.mark.parametrize(
    "name", ["basic blocks", "frozen norms", "bottlenecks", "EfficientNet-Lite0"]
)
def test_a_folded_network_has_no_batch_norms(name):
    network = taught(CONFIGS[name])
    assert any(isinstance(module, NORMS) for module in network.modules())
    assert not any(isinstance(module, NORMS) for module in fold_norms(network).modules())


def test_folding_does_not_change_the_network():
    network = taught(CONFIGS["basic blocks"])
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    fold_norms(network)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_network_of_another_kind_is_not_folded():
    other = nn.Conv2d(1, 1, 1)
    assert fold_norms(other) is other


@pytest.mark.parametrize("form", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("height", [1, 2, 7, 8, 9, 16, 17, 50])
def test_pooling_in_parts_equals_pooling_at_once(monkeypatch, height, form):
    monkeypatch.setattr(PoolInParts, "ROWS", 4)
    pool = nn.MaxPool2d(3, stride=2, padding=1)
    x = -torch.rand(2, 3, height, 11, generator=torch.Generator().manual_seed(height))
    x = x.to(memory_format=form)
    found = PoolInParts(pool)(x)
    assert torch.equal(found, pool(x))
    assert found.is_contiguous(memory_format=form)


@pytest.mark.parametrize("name", CONFIGS)
def test_convolutions_that_are_cast_compute_what_autocast_does(name):
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    network = fold_norms(taught(CONFIGS[name]))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        wanted = network(images)
        cast_convolutions(network, torch.bfloat16)
        found = network(images)
    for one, other in zip(found[:3], wanted[:3], strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_only_convolutions_are_cast():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.GroupNorm(1, 2))
    cast_convolutions(network, torch.bfloat16)
    assert [part.weight.dtype for part in network] == [torch.bfloat16, torch.float32]
