"""Run an ONNX file with onnxruntime or OpenVINO, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.config import ModelConfig
from geodet.geometry.arrays import is_all_true
from geodet.models.description import ModelDescription
from geodet.models.device import count_threads
from geodet.models.engine import ChipTensors, HostDevice, Outputs
from geodet.models.input_values import InputValues, to_model_units, trained_bounds
from geodet.onnx.guarded_session import SharedSessions
from geodet.onnx.openvino_session import open_in_openvino
from geodet.onnx.session import (
    import_onnxruntime,
    open_session,
    read_description,
    read_origin,
)

__all__ = ["OnnxEngine"]

_BYTES_PER_PIXEL = {"float32": 1000.0, "int8": 760.0}
_BYTES_IN_OPENVINO = {"float32": 1000.0, "int8": 1290.0}
"""More than a pass takes (in integers 120 or more, and 200 in OpenVINO), so that windows of about
930 and 721 px are chosen for eight bits, two of which are computed at a time."""
_OUTPUTS = ("logits", "deltas", "anchors")


class OnnxEngine:
    """A network in an ONNX file, as :class:`geodet.models.engine.Engine`.

    Args:
        path: A file for the reader ``plain``, which onnxruntime opens and checks.
        library: What computes: ``onnxruntime`` or ``openvino``.
        threads: Threads of a pass; None: as :func:`geodet.models.device.count_threads` counts.

    Raises:
        ConfigError: The package onnxruntime is not installed.
        ModelFileError: The file is not one that geodet reads.
    """

    device = HostDevice()
    """The CPU."""

    def __init__(
        self, path: Path, *, library: str = "onnxruntime", threads: int | None = None
    ) -> None:
        self.path, self._threads = path, threads or count_threads()
        self._session = open_session(path, threads=self._threads)
        self.about: ModelDescription = read_description(self._session, path)
        self.precision, self.source = read_origin(self._session)
        self.software = {library: _version(library)}
        if library == "openvino":
            self._session = open_in_openvino(path, _OUTPUTS, threads=self._threads)
        bounds = trained_bounds(self.about.dtype, self.about.low, self.about.high)
        self._own = InputValues(self.about.mean, self.about.std, *bounds)
        self._run_options = _only_what_is_asked()

    @property
    def stride(self) -> int:
        """Stride of the coarsest level, in pixels."""
        return self.about.architecture.stride

    @cached_property
    def paired(self) -> OnnxEngine | None:
        """The network for two passes at a time, each on half of the threads.

        Layers that use memory more than the processor scale badly with threads, and what follows a
        pass runs on one: two windows at a time fill both gaps. In floats they would take 300 MiB
        more, for a twentieth of the time.
        """
        is_worth = self.precision == "int8" and "openvino" not in self.software
        if self._threads == 1 or not is_worth:
            return None
        other = copy(self)
        other._threads = -(-self._threads // 2)
        sessions = (open_session(self.path, threads=other._threads) for _ in range(2))
        other._session = SharedSessions(sessions)
        return other

    def bytes_per_pixel(self, values: InputValues) -> float:
        """Return the memory of a forward pass, in bytes per pixel of its chips."""
        del values  # the file standardises
        is_openvino = "openvino" in self.software
        return (_BYTES_IN_OPENVINO if is_openvino else _BYTES_PER_PIXEL)[self.precision]

    def stack(self, pixels: Sequence[NDArray[Any]], valid: Sequence[NDArray[Any]]) -> ChipTensors:
        """Stack chips; a single one is not copied."""
        whole = np.broadcast_to(np.True_, (len(valid), *valid[0].shape))
        masks = whole if all(map(is_all_true, valid)) else np.stack(valid)
        return ChipTensors(pixels[0][None] if len(pixels) == 1 else np.stack(pixels), masks)

    def start(self, tensors: ChipTensors) -> ChipTensors:
        """Return the chips, which are where they are read."""
        return tensors

    def forward(
        self, pixels: NDArray[Any], valid: NDArray[np.bool_], values: InputValues
    ) -> Outputs:
        """Compute the outputs of (N, C, H, W) pixels and (N, H, W) valid."""
        fed = {"pixels": np.ascontiguousarray(to_model_units(pixels, valid, values, self._own))}
        logits, deltas, anchors = self._session.run([*_OUTPUTS], fed, self._run_options)
        return Outputs(
            logits, deltas, anchors, _level_sizes(self.about.architecture, *pixels.shape[-2:])
        )


def _only_what_is_asked() -> Any:
    """Return options that leave out what other outputs than those asked for need."""
    options = import_onnxruntime().RunOptions()
    options.only_execute_path_to_fetches = True
    return options


def _version(library: str) -> str:
    if library == "openvino":
        return version(library)
    return str(import_onnxruntime().__version__)  # its distribution may have another name


def _level_sizes(config: ModelConfig, height: int, width: int) -> tuple[int, ...]:
    """Count the anchors of each level, with a cell for the rest of a stride at the edge."""
    first, last = config.levels
    per_cell = len(config.anchor_scales) * len(config.anchor_ratios)
    strides = [2**level for level in range(first, last + 1)]
    return tuple(per_cell * -(-height // stride) * -(-width // stride) for stride in strides)
