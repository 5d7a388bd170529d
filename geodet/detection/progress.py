"""Counts and progress of a run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DetectCounts", "DetectProgress"]


@dataclass(slots=True)
class DetectCounts:
    """Counts of the windows that a run has searched, in one scene or in several."""

    chips: int = 0
    """Windows that were read."""
    empty_chips: int = 0
    """Windows without a valid pixel, or without features, which the network did not see."""
    capped: int = 0
    """Candidates dropped by the caps of the configuration; 0 unless a cap takes effect."""
    megapixels: float = 0.0
    """Pixels of the windows, each counted once, at the resolution of detection."""
    not_examined: int = 0
    """Areas that could not be read and were skipped."""

    def add(self, other: DetectCounts) -> None:
        """Add the counts of another scene."""
        self.chips += other.chips
        self.empty_chips += other.empty_chips
        self.capped += other.capped
        self.megapixels += other.megapixels
        self.not_examined += other.not_examined


@dataclass(frozen=True, slots=True)
class DetectProgress:
    """Progress of the detection in one scene, and of the run.

    Example:
        >>> def show(step: geodet.DetectProgress) -> None:
        ...     print(f"{step.scene}: {step.total} windows")
        >>> trees = geodet.detect(scene, progress=show)
        scene.tif: 1 windows
    """

    scene: str
    """File name of the scene."""
    chips: int
    """Windows done since the last report, skipped ones included; with workers, parts."""
    total: int
    """Windows of the scene; with workers, parts."""
    pixels: int
    """Pixels of the grid done since the last report, each counted once."""
    detections: int
    """Detections so far, before duplicates at seams are removed."""
    number: int = 1
    """Number of the scene among those of the run, from 1."""
    scenes: int = 1
    """Scenes of the run."""
    share: float = 0.0
    """Share of the pixels of all scenes that is done, in [0, 1]."""
    resumed: bool = False
    """Whether an earlier run that was interrupted has done these windows."""
    parts: int = 0
    """Parts that all workers have done; 0 without workers."""
    all_parts: int = 0
    """Parts that all workers have to do; 0 without workers."""
    failures: int = 0
    """Scenes that the workers could not read to their end."""
