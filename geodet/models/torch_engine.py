"""Run a network with PyTorch, on the CPU or a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geodet.geometry.arrays import is_all_true
from geodet.models.engine import ChipTensors, Outputs
from geodet.models.folding import cast_convolutions, fold_norms
from geodet.models.input_values import InputValues
from geodet.models.inputs import standardise, to_device, whole_mask
from geodet.models.model import Model
from geodet.models.retinanet import RetinaNet

__all__ = ["TorchEngine", "WidestLayer", "build_torch_engine", "stack_tensors"]

_COPIERS = 4  # threads; one copies no faster than a GPU computes
_PROBE = 256  # side in pixels of the chip that the need of memory is measured with


class WidestLayer:
    """Measures, in a ``with`` block, the layer of a network whose tensors are largest.

    Args:
        network: The network that runs in the block.
    """

    def __init__(self, network: nn.Module) -> None:
        self.bytes = 0
        """Bytes of the inputs and outputs of that layer."""
        self._layers = [part for part in network.modules() if not any(part.children())]

    def __enter__(self) -> WidestLayer:
        self._hooks = [layer.register_forward_hook(self._measure) for layer in self._layers]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _measure(self, _: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        tensors = [tensor for tensor in (*inputs, output) if isinstance(tensor, Tensor)]
        self.bytes = max(self.bytes, sum(t.numel() * t.element_size() for t in tensors))


class TorchEngine:
    """A network of PyTorch on a device, as :class:`geodet.models.engine.Engine`.

    Args:
        network: A network in evaluation mode.
        device: Where it computes.
        dtype: ``torch.float32`` or ``torch.bfloat16``.
    """

    paired = None
    """A pass keeps the whole device busy."""

    def __init__(self, network: RetinaNet, device: torch.device, dtype: torch.dtype) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.device, self.dtype = device, dtype
        self.precision = str(dtype).removeprefix("torch.")
        self.software = {"torch": str(torch.__version__)}
        self._copiers = (
            ThreadPoolExecutor(_COPIERS, "geodet-stack") if device.type == "cuda" else None
        )

    @property
    def stride(self) -> int:
        """Stride of the coarsest level, in pixels."""
        return self.network.config.stride

    def bytes_per_pixel(self, values: InputValues) -> float:
        """Estimate the memory of a forward pass, in bytes per pixel of its chips.

        Twice what the layer with the largest tensors reads and writes, as the results that are kept
        for later layers take about as much again.
        """
        pixels = torch.zeros(1, len(values.mean), _PROBE, _PROBE, dtype=torch.uint8)
        valid = torch.ones(1, _PROBE, _PROBE, dtype=torch.bool)
        with WidestLayer(self.network) as widest:
            self.forward(pixels.to(self.device), valid.to(self.device), values)
        return 2 * widest.bytes / _PROBE**2

    def stack(self, pixels: Sequence[NDArray[Any]], valid: Sequence[NDArray[Any]]) -> ChipTensors:
        """Stack chips in memory from which the device copies them."""
        return stack_tensors(
            pixels, valid, pinned=self.device.type == "cuda", copiers=self._copiers
        )

    def start(self, tensors: ChipTensors) -> ChipTensors:
        """Start the transfer of chips to the device."""
        pixels, valid = (to_device(part, self.device) for part in tensors)
        return ChipTensors(pixels, valid)

    def forward(self, pixels: Tensor, valid: Tensor, values: InputValues) -> Outputs:
        """Compute the outputs of (N, C, H, W) pixels and (N, H, W) valid, both on the device.

        A CUDA device computes them while the host goes on.
        """
        is_mixed = self.dtype != torch.float32
        with torch.inference_mode(), torch.autocast(self.device.type, self.dtype, is_mixed):
            scaled = standardise(pixels, valid, *values)
            return Outputs(*self.network(scaled))


def build_torch_engine(model: Model, device: torch.device, dtype: torch.dtype) -> TorchEngine:
    """Put a model on a device.

    Args:
        model: The model; it is not changed.
        device: Where it computes.
        dtype: ``torch.float32`` or ``torch.bfloat16``.
    """
    network = fold_norms(model.network)  # a copy
    if device.type == "cuda":
        cast_convolutions(network, dtype)
    return TorchEngine(cast("RetinaNet", network), device, dtype)


def stack_tensors(
    pixels: Sequence[NDArray[Any]],
    valid: Sequence[NDArray[Any]],
    *,
    pinned: bool = False,
    copiers: Executor | None = None,
) -> ChipTensors:
    """Stack the arrays of chips of one size in tensors.

    Args:
        pixels: At least one array (C, H, W); of several data types they become float32.
        valid: As many (H, W).
        pinned: Whether to use pinned memory, which a CUDA device copies while the host goes on.
        copiers: Threads that copy chips side by side; None: this one copies all.
    """
    return ChipTensors(
        _stack(pixels, _common_type(pixels), pinned=pinned, copiers=copiers),
        _stack_masks(valid, pinned=pinned),
    )


def _stack_masks(masks: Sequence[NDArray[np.bool_]], *, pinned: bool) -> Tensor:
    """Stack masks; of chips without a hole a single byte is kept."""
    if all(is_all_true(mask) for mask in masks):
        height, width = masks[0].shape
        return whole_mask((len(masks), height, width))
    return _stack(masks, np.dtype(np.bool_), pinned=pinned)


def _stack(
    arrays: Sequence[NDArray[Any]],
    dtype: np.dtype[Any],
    *,
    pinned: bool,
    copiers: Executor | None = None,
) -> Tensor:
    """Stack arrays of one shape; a single one is copied only if it must be."""
    if len(arrays) == 1 and not pinned:
        return torch.from_numpy(np.ascontiguousarray(arrays[0], dtype)[None])
    like = torch.from_numpy(np.empty(0, dtype))
    stacked = torch.empty((len(arrays), *arrays[0].shape), dtype=like.dtype, pin_memory=pinned)
    if copiers is None:
        np.stack(arrays, out=stacked.numpy())
    else:
        list(copiers.map(np.copyto, stacked.numpy(), arrays))
    return stacked


def _common_type(arrays: Sequence[NDArray[Any]]) -> np.dtype[Any]:
    """Keep bytes, which are small to copy; torch supports few operations on other integers."""
    is_bytes = all(array.dtype == np.uint8 for array in arrays)
    return np.dtype(np.uint8 if is_bytes else np.float32)
