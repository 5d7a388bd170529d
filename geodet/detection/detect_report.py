"""What a run found, and how; and the error of a run that left scenes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from geodet.detection.scene_records import SceneRecord
from geodet.detection.scene_run import DetectCounts
from geodet.errors import SceneError

__all__ = ["DetectReport", "incomplete_error", "join_failures"]


@dataclass(slots=True, kw_only=True)
class DetectReport(DetectCounts):
    """What a run found, and how.

    Example:
        >>> trees = geodet.detect(scene)
        >>> trees.attrs["report"]["labels"] == {"tree": len(trees)}
        True
    """

    outputs: tuple[Path, ...]
    """The files written."""
    detections: dict[str, int]
    """Detections by scene."""
    labels: dict[str, int]
    """Detections by class."""
    device: str
    """Where the network ran."""
    scenes: list[SceneRecord] = field(default_factory=list)
    """What became of each scene, in the order given."""
    values: dict[str, str] = field(default_factory=dict)
    """Values that count as dark and bright, by data type of the scenes, where they were chosen."""
    seconds: float = 0.0
    """From opening the first scene to the last byte written."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds by stage."""

    def to_json(self) -> dict[str, Any]:
        """Convert to a dictionary of values that JSON has."""
        return asdict(self) | {"outputs": [str(output) for output in self.outputs]}


def incomplete_error(failed: Mapping[str, SceneError], report: DetectReport) -> SceneError:
    """Return the error of a run whose outputs are complete but for some scenes."""
    count, outputs = len(failed), " and ".join(map(str, report.outputs)) or "the result"
    return SceneError(
        f"{count} of {len(report.scenes)} scenes could not be read; the "
        f"{sum(report.labels.values())} detections of the others are in {outputs}: "
        + join_failures(failed),
        hint="repair these scenes and detect in them again; --append adds to a GeoPackage",
        failed=failed,
        report=report,
    )


def join_failures(failed: Mapping[str, SceneError]) -> str:
    """Join the errors of scenes, each with its scene's name."""
    return "; ".join(f"{name}: {error}" for name, error in failed.items())
