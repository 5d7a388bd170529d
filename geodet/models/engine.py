"""The interface of a network: its inputs and outputs, as arrays of any library.

The arrays are NumPy's or PyTorch's. Code that takes both asks array-api-compat for the functions of
their library, so that detection with an ONNX file needs no PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from geodet.models.input_values import InputValues

__all__ = [
    "AnyArray",
    "AnyDevice",
    "ChipTensors",
    "Engine",
    "EngineFacts",
    "HostDevice",
    "Outputs",
]

AnyArray = Any
"""A NumPy array or a tensor."""


class Outputs(NamedTuple):
    """Outputs of the network for a batch."""

    logits: AnyArray
    """(N, R, K) class scores before the sigmoid."""
    deltas: AnyArray
    """(N, R, 4) corrections of the anchors, see :func:`geodet.models.box_coding.encode_boxes`; or
    (N, R, 6) of oriented boxes, see :func:`~geodet.models.box_coding.encode_oriented`."""
    anchors: AnyArray
    """(R, 4) x1 y1 x2 y2 in chip pixels, the same for every image."""
    level_sizes: tuple[int, ...] = ()
    """Numbers of anchors of the levels, in order; empty: a single level."""


class ChipTensors(NamedTuple):
    """Chips of one size in host memory."""

    pixels: AnyArray
    """(N, C, H, W)."""
    valid: AnyArray
    """(N, H, W) bool, of a single byte where no chip has a hole."""


class AnyDevice(Protocol):
    """A device: that of PyTorch, or :class:`HostDevice`."""

    @property
    def type(self) -> str:
        """``cpu`` or ``cuda``."""


class HostDevice(NamedTuple):
    """The CPU, where PyTorch is not loaded, or a device of another machine."""

    type: str = "cpu"
    """Kind of the device."""

    def __str__(self) -> str:
        """Name the device as PyTorch does."""
        return self.type


class EngineFacts(Protocol):
    """Properties of a network that computes: its device, precision and memory."""

    @property
    def device(self) -> Any:
        """The device; only its ``type`` may be asked where PyTorch may be missing."""

    @property
    def precision(self) -> str:
        """Type of the numbers that are multiplied: ``float32``, ``bfloat16`` or ``int8``."""

    @property
    def stride(self) -> int:
        """Stride of the coarsest level, in pixels."""

    @property
    def software(self) -> dict[str, str]:
        """Version of the library that computes, by its name."""

    def bytes_per_pixel(self, values: InputValues) -> float:
        """Return the memory of a forward pass, in bytes per pixel of its chips."""


class Engine(EngineFacts, Protocol):
    """Computes the outputs of a network on a device."""

    @property
    def paired(self) -> Engine | None:
        """The network for two passes at a time; None: that would be no faster."""

    def stack(self, pixels: Sequence[NDArray[Any]], valid: Sequence[NDArray[Any]]) -> ChipTensors:
        """Stack the arrays of chips in memory from which the device reads them."""

    def start(self, tensors: ChipTensors) -> ChipTensors:
        """Start the transfer of chips to the device."""

    def forward(self, pixels: AnyArray, valid: AnyArray, values: InputValues) -> Outputs:
        """Compute the outputs of (N, C, H, W) pixels and (N, H, W) valid, on the device."""
