"""Run the network: chips in, detections in chip pixels out."""

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
from geodet.detection.stopwatch import Stopwatch
from geodet.detection.value_range import input_values
from geodet.geometry.arrays import is_all_true
from geodet.models.checkpoint import Model
from geodet.models.class_thresholds import choose_thresholds, drop_weak
from geodet.models.decode import Decoded, decode
from geodet.models.device import resolve_device, resolve_precision
from geodet.models.finite_outputs import check_boxes, check_scores
from geodet.models.folding import fold_norms
from geodet.models.inputs import InputValues, standardise, to_device, whole_mask
from geodet.models.retinanet import Outputs, RetinaNet
from geodet.raster.scene import Chip

__all__ = [
    "ChipTensors",
    "ForwardPass",
    "Predictor",
    "WidestLayer",
    "build_predictor",
    "stack_chips",
    "with_input_values",
]


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


# The areas that the caps refer to. The paper keeps 1,000 candidates of a level, in an image with a
# few objects (arXiv:1708.02002, section 4.1). Here a quarter of that area may be full of objects.
_CAPPED_PIXELS, _LEVEL_PIXELS = 512 * 512, 256 * 256
_PROBE = 256  # side in pixels of the chip that the need of memory is measured with


class ChipTensors(NamedTuple):
    """Chips of one size as tensors in host memory."""

    pixels: Tensor
    """(N, C, H, W)."""
    valid: Tensor
    """(N, H, W) bool; :func:`geodet.models.inputs.whole_mask` where no chip has a hole."""


class ForwardPass(NamedTuple):
    """A forward pass that was started; a device may still be computing it."""

    outputs: Outputs
    """Outputs for N chips."""
    area: int
    """Pixels of a chip."""


class Predictor:
    """A network on a device, with the statistics of its input and the thresholds of its output.

    Args:
        network: A network in evaluation mode.
        device: Where it computes.
        precision: ``torch.float32`` or ``torch.bfloat16``.
        values: Statistics that turn pixel values into network inputs.
        score_threshold: Lowest score that is kept.
        class_thresholds: Lowest score of each class, not below that of all; empty: that of all.
        iou_threshold: IoU above which the weaker of two boxes of one class is a duplicate.
        max_candidates: Most boxes that enter suppression, for a chip of up to 512 x 512 px; more
            for larger chips, in proportion.
        max_per_level: Most of them from a level of the pyramid, for a chip of up to 256 x 256 px;
            more for larger chips, in proportion; 0: no limit.
        object_px: Length of the largest objects in pixels; None: unknown.
        watch: Times the stages ``transfer``, ``forward`` and ``decode``.
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
        class_thresholds: Sequence[float] = (),
        object_px: float | None = None,
        watch: Stopwatch | None = None,
    ) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.device, self.precision = device, precision
        self.values = values
        self.score_threshold = score_threshold
        self.class_thresholds = tuple(class_thresholds)
        self.iou_threshold = iou_threshold
        self.max_candidates = max_candidates
        self.max_per_level = max_per_level
        self.object_px = object_px
        self._watch = watch or Stopwatch()

    @property
    def caps(self) -> str:
        """The settings that may drop candidates, for messages."""
        of_level = f"detect.max_per_level={self.max_per_level} or " if self.max_per_level else ""
        return f"{of_level}detect.max_candidates={self.max_candidates}"

    @property
    def stride(self) -> int:
        """Stride of the coarsest level, in pixels."""
        config = self.network.config
        return int(2 ** max(config.backbone_level, *config.levels))

    @cached_property
    def bytes_per_pixel(self) -> float:
        """Estimated memory of a forward pass, in bytes per pixel of its chips.

        Twice what the layer with the largest tensors reads and writes, as the results that are kept
        for later layers take about as much again.
        """
        pixels = torch.zeros(1, len(self.values.mean), _PROBE, _PROBE, dtype=torch.uint8)
        valid = torch.ones(1, _PROBE, _PROBE, dtype=torch.bool)
        with WidestLayer(self.network) as widest:
            self.forward(pixels.to(self.device), valid.to(self.device))
        return 2 * widest.bytes / _PROBE**2

    def __call__(self, chips: Sequence[Chip]) -> list[Decoded]:
        """Detect objects in chips.

        Args:
            chips: N chips of one size, as the windows of a scene are. Padding would change what
                the norms see, and so the scores.

        Returns:
            The detections of each chip, in its pixels.
        """
        return self.finish(self.start(self.stack(chips)))

    def stack(self, chips: Sequence[Chip]) -> ChipTensors:
        """Stack chips in memory from which the device copies them."""
        with self._watch.measure("transfer"):
            return stack_chips(chips, pinned=self.device.type == "cuda")

    def start(self, tensors: ChipTensors) -> ForwardPass:
        """Start a forward pass; a CUDA device computes it while the host goes on."""
        with self._watch.measure("transfer"):
            pixels, valid = (to_device(part, self.device) for part in tensors)
        with self._watch.measure("forward"):
            return ForwardPass(self.forward(pixels, valid), valid[0].numel())

    def finish(self, started: ForwardPass) -> list[Decoded]:
        """Wait for a forward pass and decode the detections of its chips."""
        with self._watch.measure("decode"):
            area = started.area
            in_level = max(1.0, area / _LEVEL_PIXELS) * self.max_per_level
            check_scores(started.outputs.logits)
            found = decode(
                started.outputs,
                score_threshold=self.score_threshold,
                iou_threshold=self.iou_threshold,
                max_candidates=round(max(1.0, area / _CAPPED_PIXELS) * self.max_candidates),
                max_per_level=round(in_level) or None,
            )
            check_boxes(one.detections for one in found)
            limits = self.class_thresholds
            return [Decoded(drop_weak(one.detections, limits), one.capped) for one in found]

    def forward(self, pixels: Tensor, valid: Tensor) -> Outputs:
        """Run the network on (N, C, H, W) pixels and (N, H, W) valid, both on the device."""
        is_mixed = self.precision != torch.float32
        with torch.inference_mode(), torch.autocast(self.device.type, self.precision, is_mixed):
            scaled = standardise(pixels, valid, *self.values)
            return Outputs(*self.network(scaled))


def build_predictor(
    model: Model,
    config: DetectConfig,
    device: str | torch.device,
    *,
    score_threshold: float | None = None,
    watch: Stopwatch | None = None,
) -> Predictor:
    """Put a model on a device, with the thresholds of the configuration or else the model's own.

    Args:
        model: The model; it is not changed.
        config: Precision, thresholds, caps and value range.
        device: A device, or a name as :func:`geodet.models.device.resolve_device` takes it.
        score_threshold: Lowest score kept, in place of the configuration's.
        watch: Times the stages.

    Raises:
        DeviceError: There is no such device.
    """
    about = model.description
    chosen = resolve_device(device) if isinstance(device, str) else device
    given = config.value_range if isinstance(config.value_range, tuple) else None
    asked = config.score_threshold if score_threshold is None else score_threshold
    thresholds = choose_thresholds(about, asked)
    return Predictor(
        cast("RetinaNet", fold_norms(model.network)),
        device=chosen,
        precision=resolve_precision(config.precision, chosen),
        values=input_values(about, given),
        score_threshold=min(thresholds),
        class_thresholds=thresholds,
        iou_threshold=config.iou_threshold or about.iou_threshold,
        max_candidates=config.max_candidates,
        max_per_level=config.max_per_level,
        object_px=about.object_px,
        watch=watch,
    )


def with_input_values(predictor: Predictor, values: InputValues | None) -> Predictor:
    """Return a predictor with other input statistics that shares everything else.

    Args:
        predictor: A predictor.
        values: The other statistics; None returns the predictor itself.
    """
    if values is None:
        return predictor
    other = copy(predictor)
    other.values = values
    return other


def stack_chips(chips: Sequence[Chip], *, pinned: bool = False) -> ChipTensors:
    """Stack chips of one size in tensors.

    Args:
        chips: At least one chip.
        pinned: Whether to use pinned memory, which a CUDA device copies while the host goes on.
    """
    pixels = [chip.pixels for chip in chips]
    stacked = _stack(pixels, _plain(pixels[0].dtype), pinned=pinned)
    return ChipTensors(stacked, _stack_masks([chip.valid for chip in chips], pinned=pinned))


def _stack_masks(masks: Sequence[NDArray[np.bool_]], *, pinned: bool) -> Tensor:
    """Stack masks, unless no chip has a hole and a single byte says so."""
    if all(is_all_true(mask) for mask in masks):
        height, width = masks[0].shape
        return whole_mask((len(masks), height, width))
    return _stack(masks, np.dtype(np.bool_), pinned=pinned)


def _stack(arrays: Sequence[NDArray[Any]], dtype: np.dtype[Any], *, pinned: bool) -> Tensor:
    """Stack arrays of one shape; a single one is copied only if it must be."""
    if len(arrays) == 1 and not pinned:
        return torch.from_numpy(np.ascontiguousarray(arrays[0], dtype)[None])
    like = torch.from_numpy(np.empty(0, dtype))
    stacked = torch.empty((len(arrays), *arrays[0].shape), dtype=like.dtype, pin_memory=pinned)
    np.stack(arrays, out=stacked.numpy())
    return stacked


def _plain(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Keep bytes, which are small to copy; torch supports few operations on other integers."""
    return dtype if dtype == np.uint8 else np.dtype(np.float32)
