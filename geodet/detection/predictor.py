"""The network at work: chips in, objects in chip pixels out."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geodet.config import DetectConfig
from geodet.detection.memory import keep_freed_memory
from geodet.detection.stopwatch import Stopwatch
from geodet.detection.value_range import input_values
from geodet.models.checkpoint import Model
from geodet.models.decode import Decoded, decode
from geodet.models.device import resolve_device, resolve_precision
from geodet.models.folding import fold_norms
from geodet.models.inputs import InputValues, standardise
from geodet.models.retinanet import Outputs, RetinaNet
from geodet.raster.scene import Chip

__all__ = [
    "Predictor",
    "Running",
    "Stacked",
    "WidestLayer",
    "build_predictor",
    "stack_chips",
    "with_values",
]


class WidestLayer:
    """Watches a network in a ``with`` block for the layer that holds most at once.

    Args:
        network: What will run.
    """

    def __init__(self, network: nn.Module) -> None:
        self.bytes = 0
        """Of the inputs and outputs of that layer."""
        self._leaves = [part for part in network.modules() if not any(part.children())]

    def __enter__(self) -> WidestLayer:
        self._hooks = [leaf.register_forward_hook(self._look) for leaf in self._leaves]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _look(self, _: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        tensors = [tensor for tensor in (*inputs, output) if isinstance(tensor, Tensor)]
        self.bytes = max(self.bytes, sum(t.numel() * t.element_size() for t in tensors))


# The areas that the caps are for. The paper's 1,000 of a level is of an image with a few objects
# (arXiv:1708.02002, section 4.1): a quarter of that area may be full of small ones.
_CAPPED_PIXELS, _LEVEL_PIXELS = 512 * 512, 256 * 256
_PROBE = 256  # side in pixels of the chip that memory is estimated with


class Stacked(NamedTuple):
    """Chips of one size in tensors on the host."""

    pixels: Tensor
    """(N, C, H, W)."""
    valid: Tensor
    """(N, H, W) bool."""


class Running(NamedTuple):
    """A forward pass, which a device may still be at."""

    outputs: Outputs
    """Of N chips."""
    area: int
    """Pixels of a chip."""


class Predictor:
    """A network on a device, with the statistics of its input and the limits of its output.

    Args:
        network: In evaluation mode.
        device: Where it computes.
        precision: ``torch.float32`` or ``torch.bfloat16``.
        values: What turns the data's values into those of training.
        score_threshold: Lowest score kept.
        iou_threshold: Overlap above which the weaker of two boxes of one class goes.
        max_candidates: Most boxes that reach the suppression, of a chip of up to 512 x 512 px; of
            larger ones in proportion.
        max_per_level: Most of them from a level of the pyramid, of a chip of up to 256 x 256 px; of
            larger ones in proportion; 0 for all.
        object_px: Length of the largest objects, None where nobody knows.
    """

    def __init__(
        self,
        network: RetinaNet,
        *,
        device: torch.device,
        precision: torch.dtype,
        values: InputValues,
        score_threshold: float,
        iou_threshold: float,
        max_candidates: int,
        max_per_level: int = 0,
        object_px: float | None = None,
    ) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.device, self.precision = device, precision
        self.values = values
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.max_candidates = max_candidates
        self.max_per_level = max_per_level
        self.object_px = object_px
        self.watch = Stopwatch()
        """Takes the time of ``transfer``, ``forward`` and ``decode``."""

    @property
    def caps(self) -> str:
        """Name the settings that may drop candidates."""
        of_level = f"detect.max_per_level={self.max_per_level} or " if self.max_per_level else ""
        return f"{of_level}detect.max_candidates={self.max_candidates}"

    @property
    def stride(self) -> int:
        """Give the stride of the coarsest cells, in pixels."""
        config = self.network.config
        return int(2 ** max(config.backbone_level, *config.levels))

    @cached_property
    def bytes_per_pixel(self) -> float:
        """Estimate how much memory a forward pass takes, in bytes per pixel of its chips.

        Twice what the widest layer reads and writes: what layers leave for later ones is about as
        much again.
        """
        pixels = torch.zeros(1, len(self.values.mean), _PROBE, _PROBE, dtype=torch.uint8)
        valid = torch.ones(1, _PROBE, _PROBE, dtype=torch.bool)
        with WidestLayer(self.network) as widest:
            self.forward(pixels.to(self.device), valid.to(self.device))
        return 2 * widest.bytes / _PROBE**2

    def __call__(self, chips: Sequence[Chip]) -> list[Decoded]:
        """Find the objects of some chips.

        Args:
            chips: All of one size, as the windows of a scene are. They are not padded: what the
                norms see, and so the scores, would depend on it.
        """
        return self.finish(self.start(self.stack(chips)))

    def stack(self, chips: Sequence[Chip]) -> Stacked:
        """Stack chips, from where the device can fetch them by itself."""
        with self.watch.measure("transfer"):
            return stack_chips(chips, pinned=self.device.type == "cuda")

    def start(self, stacked: Stacked) -> Running:
        """Begin a forward pass; a device that works on its own goes on with it meanwhile."""
        with self.watch.measure("transfer"):
            pixels, valid = (t.to(self.device, non_blocking=True) for t in stacked)
        with self.watch.measure("forward"):
            return Running(self.forward(pixels, valid), valid[0].numel())

    def finish(self, running: Running) -> list[Decoded]:
        """Wait for a forward pass and give the objects of its chips."""
        with self.watch.measure("decode"):
            area = running.area
            in_level = max(1.0, area / _LEVEL_PIXELS) * self.max_per_level
            return decode(
                running.outputs,
                score_threshold=self.score_threshold,
                iou_threshold=self.iou_threshold,
                max_candidates=round(max(1.0, area / _CAPPED_PIXELS) * self.max_candidates),
                max_per_level=round(in_level) or None,
            )

    def forward(self, pixels: Tensor, valid: Tensor) -> Outputs:
        """Run the bare network on (N, C, H, W) pixels and (N, H, W) valid, both on the device."""
        is_mixed = self.precision != torch.float32
        with torch.inference_mode(), torch.autocast(self.device.type, self.precision, is_mixed):
            scaled = standardise(pixels, valid, *self.values)
            return Outputs(*self.network(scaled))


def build_predictor(
    model: Model, config: DetectConfig, device: str, *, score_threshold: float | None = None
) -> Predictor:
    """Put a model on a device with the thresholds of the configuration, or else its own."""
    about = model.description
    chosen = resolve_device(device)
    if chosen.type == "cpu":
        keep_freed_memory()
    given = config.value_range if isinstance(config.value_range, tuple) else None
    threshold = config.score_threshold if score_threshold is None else score_threshold
    return Predictor(
        cast("RetinaNet", fold_norms(model.network)),
        device=chosen,
        precision=resolve_precision(config.precision, chosen),
        values=input_values(about, given),
        score_threshold=about.score_threshold if threshold is None else threshold,
        iou_threshold=config.iou_threshold or about.iou_threshold,
        max_candidates=config.max_candidates,
        max_per_level=config.max_per_level,
        object_px=about.object_px,
    )


def with_values(predictor: Predictor, values: InputValues | None) -> Predictor:
    """Give a predictor for scenes whose values mean something else; all but that is shared.

    Args:
        predictor: Of the model.
        values: What they mean; None: what the predictor takes them for.
    """
    if values is None:
        return predictor
    other = copy(predictor)
    other.values = values
    return other


def stack_chips(chips: Sequence[Chip], *, pinned: bool = False) -> Stacked:
    """Stack chips of one size in tensors.

    Args:
        chips: At least one.
        pinned: In memory that a CUDA device fetches by itself, while the host goes on.
    """
    pixels, valid = ([chip.pixels for chip in chips], [chip.valid for chip in chips])
    return Stacked(
        _stack(pixels, _plain(pixels[0].dtype), pinned=pinned),
        _stack(valid, np.dtype(np.bool_), pinned=pinned),
    )


def _stack(arrays: Sequence[NDArray[Any]], dtype: np.dtype[Any], *, pinned: bool) -> Tensor:
    """Stack arrays of one shape; a lone one is not copied as long as it need not be."""
    if len(arrays) == 1 and not pinned:
        return torch.from_numpy(np.ascontiguousarray(arrays[0], dtype)[None])
    like = torch.from_numpy(np.empty(0, dtype))
    stacked = torch.empty((len(arrays), *arrays[0].shape), dtype=like.dtype, pin_memory=pinned)
    np.stack(arrays, out=stacked.numpy())
    return stacked


def _plain(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Keep bytes, which are small to move; torch computes little with other integers."""
    return dtype if dtype == np.uint8 else np.dtype(np.float32)
