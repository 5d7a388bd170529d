"""A run over scenes whose inputs are checked and open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from geodet.config import DetectConfig
from geodet.detection.detection_plan import DetectionPlan
from geodet.detection.open_scenes import OpenScenes
from geodet.detection.predictor import PredictorFacts
from geodet.detection.stopwatch import Stopwatch
from geodet.files.warning_log import WarningLog
from geodet.models.model import Model

__all__ = ["PreparedRun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """The checked inputs of a run."""

    plan: DetectionPlan
    """The scenes."""
    model: Model
    """The model to detect with."""
    config: DetectConfig
    """The settings."""
    predictor: PredictorFacts
    """The network that computes, or has computed, and the thresholds in use."""
    opened: OpenScenes
    """Opens the scenes; closed at the end of the run."""
    watch: Stopwatch
    """Times the stages."""
    fingerprint: Mapping[str, str]
    """Everything that the rows depend on, for the journal."""
    started: float
    """When the run began, by ``time.monotonic``."""
    warnings: WarningLog = field(default_factory=WarningLog)
    """Warnings so far."""
