"""Run the network: chips in, detections in chip pixels out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import NamedTuple, Required, TypedDict, Unpack

from geodet.config import DetectConfig, ModelConfig
from geodet.detection.flipped_engine import FlippedEngine
from geodet.detection.stopwatch import Stopwatch
from geodet.detection.value_range import input_values
from geodet.models.class_thresholds import choose_thresholds, drop_weak
from geodet.models.decode import Decoded, decode
from geodet.models.description import ModelDescription
from geodet.models.engine import AnyArray, AnyDevice, ChipTensors, Engine, EngineFacts, Outputs
from geodet.models.finite_outputs import check_boxes, check_scores
from geodet.models.input_values import InputValues
from geodet.models.model import Model
from geodet.onnx.backend import build_engine
from geodet.raster.chip import Chip

__all__ = [
    "ForwardPass",
    "Predictor",
    "PredictorFacts",
    "build_predictor",
    "facts_of",
    "with_input_values",
]

# The areas that the caps refer to. The paper keeps 1,000 candidates of a level, in an image with a
# few objects (arXiv:1708.02002, section 4.1). Here a quarter of that area may be full of objects.
_CAPPED_PIXELS, _LEVEL_PIXELS = 512 * 512, 256 * 256


class ForwardPass(NamedTuple):
    """A forward pass that was started; a device may still be computing it."""

    outputs: Outputs
    """Outputs for N chips."""
    area: int
    """Pixels of a chip."""


class _Terms(TypedDict, total=False):
    values: Required[InputValues]
    score_threshold: Required[float]
    iou_threshold: Required[float]
    max_candidates: Required[int]
    max_per_level: int
    class_thresholds: Sequence[float]
    object_px: float | None
    architecture: ModelConfig | None


class PredictorFacts:
    """The device of a network, the statistics of its input and the thresholds of its output.

    Args:
        engine: Computes the outputs of the network, or has computed them.
        values: Statistics that turn pixel values into network inputs.
        score_threshold: Lowest score that is kept.
        class_thresholds: Lowest score of each class, not below that of all; empty: that of all.
        iou_threshold: IoU above which the weaker of two boxes of one class is a duplicate.
        max_candidates: Most boxes that enter suppression, for a chip of up to 512 x 512 px; more
            for larger chips, in proportion.
        max_per_level: Most of them from a level of the pyramid, for a chip of up to 256 x 256 px;
            more for larger chips, in proportion; 0: no limit.
        object_px: Length of the largest objects in pixels; None: unknown.
        architecture: The network, which tells how much of its surroundings an object needs.
    """

    def __init__(
        self,
        engine: EngineFacts,
        *,
        values: InputValues,
        score_threshold: float,
        iou_threshold: float,
        max_candidates: int,
        max_per_level: int = 0,
        class_thresholds: Sequence[float] = (),
        object_px: float | None = None,
        architecture: ModelConfig | None = None,
    ) -> None:
        self.engine = engine
        self.values = values
        self.score_threshold = score_threshold
        self.class_thresholds = tuple(class_thresholds)
        self.iou_threshold = iou_threshold
        self.max_candidates = max_candidates
        self.max_per_level = max_per_level
        self.object_px = object_px
        self.architecture = architecture or ModelConfig()

    @property
    def device(self) -> AnyDevice:
        """The device on which the network computes."""
        device: AnyDevice = self.engine.device
        return device

    @property
    def precision(self) -> str:
        """Type of the numbers that the network multiplies."""
        return self.engine.precision

    @property
    def caps(self) -> str:
        """The settings that may drop candidates, for messages."""
        of_level = f"detect.max_per_level={self.max_per_level} or " if self.max_per_level else ""
        return f"{of_level}detect.max_candidates={self.max_candidates}"

    @property
    def software(self) -> dict[str, str]:
        """Version of the library that computes, by its name."""
        return self.engine.software

    @property
    def stride(self) -> int:
        """Stride of the coarsest level, in pixels."""
        return self.engine.stride

    @cached_property
    def bytes_per_pixel(self) -> float:
        """Estimated memory of a forward pass, in bytes per pixel of its chips."""
        return self.engine.bytes_per_pixel(self.values)


class Predictor(PredictorFacts):
    """A network on a device: chips in, detections out.

    Args:
        engine: Computes the outputs of the network.
        watch: Times the stages ``transfer``, ``forward`` and ``decode``.
        **terms: As of :class:`PredictorFacts`.
    """

    engine: Engine

    def __init__(
        self, engine: Engine, *, watch: Stopwatch | None = None, **terms: Unpack[_Terms]
    ) -> None:
        super().__init__(engine, **terms)
        self._watch = watch or Stopwatch()

    def __call__(self, chips: Sequence[Chip]) -> list[Decoded]:
        """Detect objects in chips.

        Args:
            chips: N chips of one size, as the windows of a scene are. Padding would change what
                the norms see, and so the scores.

        Returns:
            The detections of each chip, in its pixels.
        """
        return self.finish(self.start(self.stack(chips)))

    def for_pairs(self) -> Predictor | None:
        """Return a predictor for two calls at a time; None: they take no less time than in turn."""
        engine = self.engine.paired
        if engine is None:
            return None
        other = copy(self)
        other.engine = engine
        return other

    def stack(self, chips: Sequence[Chip]) -> ChipTensors:
        """Stack chips in memory from which the device copies them."""
        with self._watch.measure("transfer"):
            pixels, valid = ([chip.pixels for chip in chips], [chip.valid for chip in chips])
            return self.engine.stack(pixels, valid)

    def start(self, tensors: ChipTensors) -> ForwardPass:
        """Start a forward pass; a CUDA device computes it while the host goes on."""
        with self._watch.measure("transfer"):
            pixels, valid = self.engine.start(tensors)
        with self._watch.measure("forward"):
            height, width = valid.shape[-2:]
            return ForwardPass(self.forward(pixels, valid), height * width)

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

    def forward(self, pixels: AnyArray, valid: AnyArray) -> Outputs:
        """Run the network on (N, C, H, W) pixels and (N, H, W) valid, both on the device."""
        return self.engine.forward(pixels, valid, self.values)


def build_predictor(
    model: Model,
    config: DetectConfig,
    device: str,
    *,
    score_threshold: float | None = None,
    watch: Stopwatch | None = None,
) -> Predictor:
    """Put a model on a device, with the thresholds of the configuration or else the model's own.

    Args:
        model: The model; it is not changed.
        config: Precision, thresholds, caps and value range.
        device: A name as :func:`geodet.models.device.resolve_device` takes it.
        score_threshold: Lowest score kept, in place of the configuration's.
        watch: Times the stages.

    Raises:
        DeviceError: There is no such device.
        ConfigError: The model has no form of that precision, or a package that it needs is missing.
    """
    about = model.description
    engine = build_engine(model, config.precision, device)
    if config.tta:
        engine = FlippedEngine(engine, about.architecture)
    asked = config.score_threshold if score_threshold is None else score_threshold
    return Predictor(engine, watch=watch, **_choose_terms(about, config, asked))


def facts_of(engine: EngineFacts, about: ModelDescription, config: DetectConfig) -> PredictorFacts:
    """Return the thresholds of the configuration, or else the model's own, for an engine.

    Args:
        engine: Computes the outputs of the network, or has computed them.
        about: The model.
        config: Thresholds, caps and value range.
    """
    return PredictorFacts(engine, **_choose_terms(about, config, config.score_threshold))


def _choose_terms(
    about: ModelDescription, config: DetectConfig, asked: float | Mapping[str, float] | None
) -> _Terms:
    given = config.value_range if isinstance(config.value_range, tuple) else None
    thresholds, iou = choose_thresholds(about, asked), config.iou_threshold
    return _Terms(
        values=input_values(about, given),
        score_threshold=min(thresholds),
        class_thresholds=thresholds,
        iou_threshold=about.iou_threshold if iou is None else iou,
        max_candidates=config.max_candidates,
        max_per_level=config.max_per_level,
        object_px=about.object_px,
        architecture=about.architecture,
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
