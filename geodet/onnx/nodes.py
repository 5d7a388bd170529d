"""Layers of torch as nodes of an ONNX graph.

The few kinds of layers of a RetinaNet are written node by node. That takes milliseconds, needs no
package but onnx, and gives a small graph of plain operators. :mod:`geodet.onnx.graph` says how
``torch.onnx`` compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torchvision.models.mobilenetv3 import InvertedResidual
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import FrozenBatchNorm2d

from geodet.errors import ConfigError, ModelFileError
from geodet.models.antialiasing import SmoothedConv2d, SmoothedMaxPool2d, binomial_filter

__all__ = ["Nodes", "import_onnx"]


def import_onnx() -> Any:
    """Import the package onnx, which writes the files.

    Raises:
        ConfigError: The package is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ConfigError(
            "writing an ONNX file needs the package onnx, which is not installed",
            hint="python -m pip install 'geodet[onnx]'",
        ) from error
    return onnx


class Nodes:
    """An ONNX graph under construction; each method adds nodes and returns the name of a result."""

    def __init__(self) -> None:
        self._onnx = import_onnx()
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self._tensors: dict[int, str] = {}

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(
            self._onnx.helper.make_node(kind, inputs, [name], name=name, **attributes)
        )
        return name

    def constant(self, values: ArrayLike, dtype: Any = np.float32) -> str:
        """Add a constant."""
        name = f"constant_{len(self.constants)}"
        array: NDArray[Any] = np.ascontiguousarray(values, dtype)
        array = array.reshape(np.shape(values))  # ascontiguousarray turns a number into a row
        self.constants[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def ints(self, *values: int) -> str:
        """Add a constant row of integers, such as a shape, axes or limits."""
        return self.constant(values, np.int64)

    def weight(self, tensor: Tensor) -> str:
        """Add a tensor of the network. One that several layers share is stored once."""
        key = id(tensor)
        if key not in self._tensors:
            self._tensors[key] = self.constant(tensor.detach().cpu().numpy())
        return self._tensors[key]

    def part(self, x: str, start: int, end: int, *, axis: int) -> str:
        """Add a slice along one axis."""
        return self.add("Slice", x, self.ints(start), self.ints(end), self.ints(axis))

    def layers(self, modules: Sequence[nn.Module], x: str) -> str:
        """Add layers in sequence."""
        for module in modules:
            x = self.layer(module, x)
        return x

    def layer(self, module: nn.Module, x: str) -> str:
        """Add one layer, or a block of a ResNet.

        Raises:
            ModelFileError: The kind of layer is not supported.
        """
        match module:
            case nn.Identity():
                result = x
            case nn.Sequential():
                result = self.layers(list(module), x)
            case nn.ReLU():
                result = self.add("Relu", x)
            case nn.ReLU6():
                result = self.add("Clip", x, self.constant(0.0), self.constant(6.0))
            case nn.MaxPool2d():
                result = self._pool(module, x)
            case nn.Conv2d():
                result = self._convolution(module, x)
            case nn.BatchNorm2d() | FrozenBatchNorm2d():
                result = self._batch_norm(module, x)
            case nn.GroupNorm():
                result = self._group_norm(module, x)
            case BasicBlock() | Bottleneck():
                result = self._block(module, x)
            case InvertedResidual():
                result = self._inverted_residual(module, x)
            case _:
                raise ModelFileError(
                    f"a layer of the kind {type(module).__name__} cannot be exported",
                    hint="this is a defect of geodet: please report it",
                )
        return result

    def _pool(self, module: nn.MaxPool2d, x: str) -> str:
        if isinstance(module, SmoothedMaxPool2d):
            highest = self.add("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4)
            return self._smooth(highest, module.channels, stride=2)
        sides, steps, pads = (
            [cast("int", value)] * 2
            for value in (module.kernel_size, module.stride, module.padding)
        )
        return self.add("MaxPool", x, kernel_shape=sides, strides=steps, pads=pads * 2)

    def _convolution(self, module: nn.Conv2d, x: str) -> str:
        if isinstance(module, SmoothedConv2d):
            x = self._smooth(x, module.in_channels)
        weights = [self.weight(t) for t in (module.weight, module.bias) if t is not None]
        pads = cast("tuple[int, ...]", module.padding)
        options = {
            "kernel_shape": module.kernel_size,
            "strides": module.stride,
            "pads": [*pads, *pads],
            "dilations": module.dilation,
            "group": module.groups,
        }
        return self.add("Conv", x, *weights, **options)

    def _smooth(self, x: str, channels: int, *, stride: int = 1) -> str:
        """Follow the filter of :mod:`geodet.models.antialiasing`."""
        kernel = self.constant(binomial_filter(channels, torch.zeros(1)).numpy())
        strides = [stride, stride]
        return self.add("Conv", x, kernel, strides=strides, pads=[1] * 4, group=channels)

    def _batch_norm(self, module: nn.BatchNorm2d | FrozenBatchNorm2d, x: str) -> str:
        tensors = (module.weight, module.bias, module.running_mean, module.running_var)
        weights = [self.weight(cast("Tensor", t)) for t in tensors]
        return self.add("BatchNormalization", x, *weights, epsilon=module.eps)

    def _group_norm(self, module: nn.GroupNorm, x: str) -> str:
        groups = module.num_groups
        ones, zeros = self.constant(np.ones(groups)), self.constant(np.zeros(groups))
        grouped = self.add("Reshape", x, self.ints(0, groups, -1))  # (N, G, C / G * H * W)
        scaled = self.add("InstanceNormalization", grouped, ones, zeros, epsilon=module.eps)
        whole = self.add("Reshape", scaled, self.add("Shape", x))
        weight, bias = (self.constant(t.detach()[:, None, None]) for t in module.parameters())
        return self.add("Add", self.add("Mul", whole, weight), bias)

    def _block(self, block: BasicBlock | Bottleneck, x: str) -> str:
        steps = [block.conv1, block.bn1, block.relu, block.conv2, block.bn2]
        if isinstance(block, Bottleneck):
            steps += [block.relu, block.conv3, block.bn3]
        shortcut = x if block.downsample is None else self.layer(block.downsample, x)
        return self.layer(block.relu, self.add("Add", self.layers(steps, x), shortcut))

    def _inverted_residual(self, block: InvertedResidual, x: str) -> str:
        inner = self.layer(block.block, x)
        return self.add("Add", inner, x) if block.use_res_connect else inner
