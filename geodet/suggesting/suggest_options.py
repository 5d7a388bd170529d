"""Options of a suggestion, and the checks that need neither PyTorch nor GDAL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geodet.config.reading_config import ReadingConfig
from geodet.detection.detect_options import DetectOptions, check_paths
from geodet.errors import ConfigError
from geodet.files.outputs import check_apart, check_destination
from geodet.vector.formats import check_vector_exists

__all__ = ["Rule", "SuggestTask", "check_suggestion"]

Rule = Literal["uncertainty", "disagreement", "rarity"]
"""Sums over objects: how near a score is to the threshold; how far the scores of two views are
apart; or the objects themselves, those of rare classes first."""


@dataclass(frozen=True, slots=True)
class SuggestTask:
    """Options of a suggestion."""

    budget: int = 16
    """Windows to suggest."""
    rule: Rule = "uncertainty"
    """The rule by which windows are ranked."""
    detections: Path | None = None
    """Detections of ``geodet detect`` in the scenes; None: the network searches them."""
    reviewed: Path | None = None
    """A file of reviews: its windows, and windows that touch them, are not suggested again."""


def check_suggestion(
    scenes: Sequence[str | Path],
    output: Path,
    task: SuggestTask,
    options: DetectOptions,
    limits: ReadingConfig,
) -> None:
    """Check all that can be refused before a model is loaded.

    Raises:
        GeodetError: As :func:`suggest_windows` raises them.
    """
    if task.budget < 1:
        raise ConfigError(f"the budget is {task.budget} windows", hint="suggest one or more")
    if task.detections is not None and task.rule == "disagreement":
        raise ConfigError(
            "disagreement cannot be computed from a file of detections",
            hint="leave the detections out, or choose by uncertainty or rarity",
        )
    check_destination(output, (".gpkg",), overwrite=options.overwrite)
    paths = check_paths(scenes, [], options, limits)
    read = [path for path in (task.detections, task.reviewed, options.aoi) if path is not None]
    for path in (task.detections, task.reviewed):
        if path is not None:
            check_vector_exists(path)
    check_apart([output], [*map(Path, paths), *read])
