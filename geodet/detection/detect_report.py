"""The report of a run: counts, failed scenes, and the record of each scene."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from geodet.detection.progress import DetectCounts
from geodet.detection.scene_files import beside
from geodet.errors import OutputError, SceneError, VectorError
from geodet.files.outputs import replacing
from geodet.files.spreadsheet_text import safe_text
from geodet.vector.searched_scenes import join_reasons

__all__ = [
    "DetectReport",
    "SceneRecord",
    "incomplete_error",
    "missing_outputs_error",
    "naming_complete",
    "record_path",
    "write_records",
]


@dataclass(slots=True, kw_only=True)
class DetectReport(DetectCounts):
    """Counts of a run, its outputs and its times.

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
    """The device on which the network ran."""
    precision: str = ""
    """Numeric precision of the network: ``float32``, ``bfloat16`` or ``int8``."""
    scenes: list[SceneRecord] = field(default_factory=list)
    """The outcome of each scene, in the order given."""
    values: dict[str, str] = field(default_factory=dict)
    """Values that count as dark and bright, by data type of the scenes, where they were chosen."""
    seconds: float = 0.0
    """Seconds from opening the first scene to the last byte written."""
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
        + join_reasons(failed),
        hint="repair these scenes and detect in them again; append=True (--append) adds to a "
        "GeoPackage",
        failed=failed,
        report=report,
    )


def missing_outputs_error(
    outputs: Mapping[Path, OutputError],
    scenes: Mapping[str, SceneError],
    report: DetectReport,
    *,
    journal: bool,
) -> OutputError:
    """Return the error of a run of whose outputs some could not be written.

    Args:
        outputs: The errors of these outputs; the others are complete.
        scenes: The errors of scenes that could not be read.
        report: What was found.
        journal: Whether what was found is kept in the journal of the first of these outputs.
    """
    count, complete = len(outputs), " and ".join(map(str, report.outputs))
    message = (
        f"{count} of {count + len(report.outputs)} outputs could not be written, and {complete} is "
        "complete: " + join_reasons(outputs)
    )
    if scenes:
        message += f"; scenes that could not be read: {len(scenes)}: {join_reasons(scenes)}"
    names = " ".join(f"-o {output}" for output in outputs)
    hint = f"run the same command with {names} alone"
    hint += ": it continues from the detections that are kept" if journal else ""
    path = next(iter(outputs))
    return OutputError(message, hint=hint, path=path, failed=outputs, report=report)


@contextmanager
def naming_complete(outputs: Sequence[Path]) -> Iterator[None]:
    """Add to an error of what is written after the outputs that they are complete.

    Args:
        outputs: The files of detections.
    """
    try:
        yield
    except (OutputError, SceneError, VectorError) as error:  # or an input cannot be read again
        if outputs:
            names = ", ".join(map(str, outputs))
            error.hint += (
                f"; the detections are complete in {names}, and the same command writes the others"
            )
        raise


_NOT_REACHED = "the run ended before the whole scene was searched"


@dataclass(slots=True, kw_only=True)
class SceneRecord:
    """The record of a scene.

    Example:
        >>> trees = geodet.detect(scene)
        >>> [(one["scene"], one["status"]) for one in trees.attrs["report"]["scenes"]]
        [('scene.tif', 'ok')]
    """

    path: str
    """Path of the scene, absolute for a local file."""
    scene: str
    """Its name in the output."""
    status: Literal["ok", "failed", "skipped"] = "skipped"
    """``ok``: completely searched. ``failed``: could not be read; nothing of it is in the output.
    ``skipped``: not searched."""
    detections: int = 0
    """Detections in the output, after duplicates of overlapping scenes are removed."""
    seconds: float = 0.0
    """Seconds that the scene took."""
    reason: str = _NOT_REACHED
    """Why it failed or was skipped."""
    not_examined: int = 0
    """Areas of it that could not be read and were skipped."""


def record_path(output: Path) -> Path:
    """Return where the record of a run over several scenes is.

    Example:
        >>> record_path(Path("trees.gpkg")).name
        'trees.gpkg.scenes.csv'
    """
    return beside(output, ".scenes.csv")


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
        names = ("path", "scene", "status", "detections", "seconds", "reason", "not_examined")
        rows.writerow(names)
        for one in records:
            seconds = f"{one.seconds:.1f}"
            path, scene, reason = map(safe_text, (one.path, one.scene, one.reason))
            counts = one.status, one.detections, seconds
            rows.writerow((path, scene, *counts, reason, one.not_examined))
