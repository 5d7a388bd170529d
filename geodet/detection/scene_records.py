"""What became of each scene of a run: for people, for programs, and in a file beside the output."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geodet.files.outputs import replacing

__all__ = ["SceneRecord", "record_path", "write_records"]

_NOT_REACHED = "the run ended before it was searched to its end"


@dataclass(slots=True, kw_only=True)
class SceneRecord:
    """What became of a scene.

    Example:
        >>> trees = geodet.detect(scene)
        >>> [(one["scene"], one["status"]) for one in trees.attrs["report"]["scenes"]]
        [('scene.tif', 'ok')]
    """

    path: str
    """The whole path."""
    scene: str
    """Its name in the output."""
    status: Literal["ok", "failed", "skipped"] = "skipped"
    """``ok``: searched to its end. ``failed``: could not be read; nothing of it is in the output.
    ``skipped``: not searched."""
    detections: int = 0
    """Detections in the output, after duplicates of overlapping scenes are removed."""
    seconds: float = 0.0
    """Time that it took."""
    reason: str = _NOT_REACHED
    """Why it failed or was skipped."""


def record_path(output: Path) -> Path:
    """Return where the record of a run over several scenes is.

    Example:
        >>> record_path(Path("trees.gpkg")).name
        'trees.gpkg.scenes.csv'
    """
    return output.with_name(f"{output.name}.scenes.csv")


def write_records(output: Path, records: Sequence[SceneRecord]) -> None:
    """Write the record of a run beside its output, in place of that of an earlier run.

    Raises:
        OutputError: It cannot be written.
    """
    with (
        replacing(record_path(output)) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        rows = csv.writer(file)
        rows.writerow(("path", "scene", "status", "detections", "seconds", "reason"))
        for one in records:
            seconds = f"{one.seconds:.1f}"
            rows.writerow((one.path, one.scene, one.status, one.detections, seconds, one.reason))
