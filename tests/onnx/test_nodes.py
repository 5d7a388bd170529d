"""Layers in ONNX, compared with the same layers in torch."""

import sys

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import FrozenBatchNorm2d

from geodet.errors import ConfigError, ModelFileError
from geodet.onnx.nodes import Nodes, import_onnx
from geodet.onnx.session import open_session


def run(nodes, result, **inputs):
    """Run a graph of float32 inputs."""
    helper = import_onnx().helper
    given = [helper.make_tensor_value_info(k, 1, ["?"] * v.ndim) for k, v in inputs.items()]
    wanted = helper.make_tensor_value_info(result, 1, None)
    constants = list(nodes.constants.values())
    graph = helper.make_graph(nodes.nodes, "test", given, [wanted], initializer=constants)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    return open_session(model.SerializeToString()).run(None, inputs)[0]


def blurred(module):
    """Set all weights and statistics to different values."""
    source = torch.Generator().manual_seed(0)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            tensor.data = torch.rand(tensor.shape, generator=source) + 0.1
    return module.eval()


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(8, 4, 3, stride=2, padding=1),
        nn.Conv2d(8, 8, 1, bias=False),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4),
        nn.BatchNorm2d(8, eps=1e-2),
        FrozenBatchNorm2d(8, eps=1e-2),
        nn.GroupNorm(2, 8, eps=1e-2),
        nn.Identity(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Sequential(nn.ReLU(), nn.Conv2d(8, 2, 3)),
        BasicBlock(8, 8),
        BasicBlock(8, 8, stride=2, downsample=nn.Conv2d(8, 8, 1, stride=2)),
        Bottleneck(8, 2),
    ],
    ids=lambda module: type(module).__name__,
)
def test_a_layer_does_what_torch_does(module):
    x = torch.randn((2, 8, 9, 12), generator=torch.Generator().manual_seed(1))
    nodes = Nodes()
    result = nodes.add("Identity", nodes.layer(blurred(module), "x"))
    with torch.inference_mode():
        wanted = module(x.clone()).numpy()
    np.testing.assert_allclose(run(nodes, result, x=x.numpy()), wanted, rtol=1e-4, atol=1e-4)


def test_a_part_is_a_slice_along_one_axis():
    nodes = Nodes()
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(run(nodes, nodes.part("x", 1, 3, axis=1), x=x), x[:, 1:3])


def test_shared_weights_are_stored_once():
    nodes, convolution = Nodes(), nn.Conv2d(2, 2, 1)
    nodes.layers([convolution, convolution], "x")
    assert len(nodes.constants) == 2


def test_an_unsupported_layer_is_refused():
    with pytest.raises(ModelFileError, match="of the kind LSTM cannot be exported"):
        Nodes().layer(nn.LSTM(2, 2), "x")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match="needs the package onnx,") as caught:
        import_onnx()
    assert "geodet[onnx]" in caught.value.hint
