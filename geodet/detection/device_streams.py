"""Streams of a CUDA device: one copies, one computes and one decodes, all at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from geodet.detection.predictor import ForwardPass, Predictor
from geodet.models.decode import Decoded
from geodet.models.engine import ChipTensors

if TYPE_CHECKING:  # detection on a CPU does not need PyTorch
    import torch

__all__ = ["DeviceStreams", "PassOnDevice", "SingleStream", "open_streams"]


class PassOnDevice(NamedTuple):
    """A forward pass that a device may still be computing."""

    started: ForwardPass
    """Its outputs."""
    computed: torch.cuda.Event | None = None
    """Event that a second stream waits for before it reads them; None: there is no second one."""


class SingleStream:
    """A device that does one thing after another.

    Args:
        predictor: Computes on it.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def start(self, tensors: ChipTensors) -> PassOnDevice:
        """Start a forward pass."""
        return PassOnDevice(self._predictor.start(tensors))

    def finish(self, running: PassOnDevice) -> list[Decoded]:
        """Decode what a forward pass has computed."""
        return self._predictor.finish(running.started)


class DeviceStreams(SingleStream):
    """Streams of a CUDA device.

    The device copies the chips of a batch, computes the outputs of the batch before and decodes
    those of the one before that at the same time. It keeps the order by events, and no call waits
    for a batch after its own. One thread may start passes and another one finish them.

    Args:
        predictor: Computes on the device.
    """

    def __init__(self, predictor: Predictor) -> None:
        import torch

        super().__init__(predictor)
        self._device: torch.device = predictor.engine.device
        self._copying = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        # Decoding has many small kernels, which must not wait behind those of a forward pass.
        urgent = -1
        self._decoding = torch.cuda.Stream(self._device, urgent)  # type: ignore[no-untyped-call]

    def start(self, tensors: ChipTensors) -> PassOnDevice:
        """Copy chips while the pass before is computed, and start theirs."""
        import torch

        computing = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._copying):
            placed = self._predictor.engine.start(tensors)
        computing.wait_stream(self._copying)
        for part in placed:
            part.record_stream(computing)
        with torch.cuda.device(self._device):
            started = self._predictor.start(placed)
        return PassOnDevice(started, computing.record_event())

    def finish(self, running: PassOnDevice) -> list[Decoded]:
        """Decode while the next pass is computed."""
        import torch

        with torch.cuda.stream(self._decoding):
            if running.computed is not None:
                self._decoding.wait_event(running.computed)
            for part in running.started.outputs[:3]:
                part.record_stream(self._decoding)
            return super().finish(running)


def open_streams(predictor: Predictor) -> SingleStream:
    """Return the streams of a predictor's device."""
    if predictor.device.type == "cuda":
        import torch

        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            return DeviceStreams(predictor)
    return SingleStream(predictor)
