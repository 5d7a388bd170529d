"""The engine of a job's parts as its plan records it: it computes nothing itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from geodet.models.engine import HostDevice
from geodet.models.input_values import InputValues

__all__ = ["RecordedEngine"]


@dataclass(frozen=True, slots=True)
class RecordedEngine:
    """The facts of an engine, as the network is not needed to merge parts."""

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
