"""What has computed the parts of a job, or will, in place of what computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from numpy.typing import NDArray

from geodet.models.engine import AnyArray, ChipTensors, HostDevice, Outputs
from geodet.models.input_values import InputValues

__all__ = ["RecordedEngine"]


@dataclass(frozen=True, slots=True)
class RecordedEngine:
    """An engine of which only the facts are known, as the network is not needed to merge parts."""

    device: HostDevice = field(default_factory=HostDevice)
    """The kind of device that has computed."""
    precision: str = ""
    """Type of the numbers that it multiplied."""
    software: dict[str, str] = field(default_factory=dict)
    """Version of the library that has computed, by its name."""
    stride: int = 1
    """Stride of the coarsest level, in pixels; of no interest where it is known how scenes are
    cut."""
    memory: float = 1.0
    """Bytes of a forward pass per pixel of its chips, likewise."""

    def bytes_per_pixel(self, values: InputValues) -> float:  # noqa: ARG002
        """Return the memory of a forward pass, in bytes per pixel of its chips."""
        return self.memory

    def stack(self, pixels: Sequence[NDArray[Any]], valid: Sequence[NDArray[Any]]) -> ChipTensors:
        """Raise an error: nothing is computed here."""
        return self._refuse(pixels, valid)

    def start(self, tensors: ChipTensors) -> ChipTensors:
        """Raise an error: nothing is computed here."""
        return self._refuse(tensors)

    def forward(self, pixels: AnyArray, valid: AnyArray, values: InputValues) -> Outputs:
        """Raise an error: nothing is computed here."""
        return self._refuse(pixels, valid, values)

    def _refuse(self, *_: Any) -> NoReturn:
        raise NotImplementedError("nothing is computed without the network")
