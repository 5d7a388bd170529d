import pytest
import torch
import torch.nn.functional as F
from torch import nn

from geodet.models.antialiasing import SmoothedConv2d, SmoothedMaxPool2d, binomial_filter
from geodet.models.backbone import Backbone

NAMES = ["resnet18", "resnet50", "efficientnet_lite0"]


def smooth(x):
    kernel = binomial_filter(x.shape[1], x)
    return F.conv2d(x, kernel, padding=1, groups=x.shape[1])


@pytest.mark.parametrize("name", NAMES)
def test_weights_and_shapes_are_those_of_the_plain_backbone(name):
    torch.manual_seed(0)
    plain = Backbone(name, bands=3, level=5).eval()
    torch.manual_seed(0)
    smoothed = Backbone(name, bands=3, level=5, antialias=True).eval()
    states = plain.state_dict(), smoothed.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    images = torch.randn(1, 3, 61, 90)
    for one, other in zip(plain(images), smoothed(images), strict=True):
        assert one.shape == other.shape
        assert not torch.allclose(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_each_stride_after_the_first_is_smoothed(name):
    network = Backbone(name, bands=3, level=5, antialias=True)
    strided = [
        (key, module)
        for key, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.MaxPool2d) and module.stride in (2, (2, 2))
    ]
    kinds = {key: type(module) for key, module in strided}
    assert kinds.pop("stem.conv") is nn.Conv2d
    assert len(kinds) >= 4
    assert set(kinds.values()) <= {SmoothedConv2d, SmoothedMaxPool2d}


def test_smoothing_before_a_convolution_is_smoothing_its_output():
    plain = nn.Conv2d(3, 5, 3, padding=1, bias=False)
    strided = SmoothedConv2d(3, 5, 3, stride=2, padding=1, bias=False)
    strided.weight = plain.weight
    images = torch.randn(1, 3, 40, 40)
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # edges are filled with zeros
    torch.testing.assert_close(strided(images)[inner], smooth(plain(images))[:, :, ::2, ::2][inner])


def test_the_pooling_samples_a_smoothed_maximum():
    images = torch.randn(2, 3, 31, 44)
    wanted = smooth(F.max_pool2d(images, 3, stride=1, padding=1))[:, :, ::2, ::2]
    torch.testing.assert_close(SmoothedMaxPool2d(3)(images), wanted)
