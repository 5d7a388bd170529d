"""Rate the windows of scenes by a layer of detections, without running a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geodet.detection.detection_plan import PlannedScene
from geodet.errors import VectorError
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import WindowGrid
from geodet.suggesting.rated_windows import RatedWindows, to_scene_pixels
from geodet.suggesting.window_ratings import LEAST_CHANCE, Rating, WindowRater
from geodet.vector.read_detections import iter_scene_detections

__all__ = ["rate_layer"]


@dataclass(slots=True)
class _Tally:
    """The ratings of the windows of one scene."""

    scene: PlannedScene
    grid: WindowGrid
    values: Floats
    expected: Floats
    objects: Ints
    noted: Ints

    def add(self, found: Detections, rater: WindowRater) -> None:
        """Add objects of the scene, each to the window that its centre is in."""
        sx, sy = self.scene.scale
        first, (x, y) = self.grid[0], found.centres.T
        column = np.clip(x / sx // first.width, 0, self.grid.columns - 1).astype(np.int64)
        row = np.clip(y / sy // first.height, 0, self.grid.rows - 1).astype(np.int64)
        index = row * self.grid.columns + column
        worth, chances, is_noted = rater.weigh(found)
        seen = np.where(chances >= LEAST_CHANCE, chances, 0.0)
        np.add.at(self.values, (index, found.labels), worth)
        np.add.at(self.expected, (index, found.labels), seen)
        np.add.at(self.objects, index, chances >= 0.5)
        np.add.at(self.noted, index, is_noted)


def rate_layer(
    path: Path,
    scenes: Sequence[PlannedScene],
    classes: Sequence[str],
    rater: WindowRater,
    size: int,
) -> tuple[RatedWindows, float]:
    """Rate the windows of scenes by the detections in a file, some rows at a time.

    Args:
        path: What ``geodet detect`` wrote.
        scenes: The scenes; detections in others are left out.
        classes: Those of the model that found them.
        rater: ``uncertainty`` or ``rarity``.
        size: Side of a window in pixels at the resolution of the model.

    Returns:
        The windows that are worth something, and the lowest score in the file.

    Raises:
        VectorError: The file cannot be read, was written by another program, has other classes, or
            has no detections in these scenes.
    """
    tallies = {scene.name: _begin(scene, size, len(classes)) for scene in scenes}
    lowest, met = 1.0, 0
    for name, found in iter_scene_detections(path, classes):
        lowest = min(lowest, float(found.scores.min()))
        if name in tallies:
            met += len(found)
            tallies[name].add(found, rater)
    if not met:
        raise VectorError(
            f"{path} has no detections in {', '.join(tallies)[:200]}",
            hint="give the scenes that they were found in; files are compared by their names",
            path=path,
        )
    rated = RatedWindows()
    for tally in tallies.values():
        for index in np.flatnonzero(tally.values.any(axis=1)).tolist():
            window = to_scene_pixels(tally.grid[index], tally.scene)
            rated.add(tally.scene, window, _rating(tally, index))
    return rated, lowest


def _begin(scene: PlannedScene, size: int, count: int) -> _Tally:
    grid = WindowGrid(*scene.grid, size, 0, align=1)
    sums = np.zeros((len(grid), count)), np.zeros((len(grid), count))
    counts = np.zeros(len(grid), np.int64), np.zeros(len(grid), np.int64)
    return _Tally(scene, grid, *sums, *counts)


def _rating(tally: _Tally, index: int) -> Rating:
    counts = int(tally.objects[index]), int(tally.noted[index])
    return Rating(tally.values[index], tally.expected[index], *counts)
