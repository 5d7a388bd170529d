"""The windows of all scenes with what they are worth: all that is kept of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pyproj import CRS

from geodet.detection.detection_plan import PlannedScene
from geodet.geometry.arrays import Bools, Floats
from geodet.geometry.full_turns import turns_together
from geodet.geometry.windows import Window
from geodet.suggesting.window_ratings import Rating, class_weights

__all__ = ["RatedWindows", "place_windows", "to_scene_pixels"]


@dataclass(slots=True)
class RatedWindows:
    """Windows and their ratings, in equal order: some numbers for each window of 512 px."""

    scenes: list[PlannedScene] = field(default_factory=list)
    """The scene of each."""
    windows: list[Window] = field(default_factory=list)
    """In the pixels of their scenes."""
    ratings: list[Rating] = field(default_factory=list)
    """Their ratings."""

    def __len__(self) -> int:
        return len(self.windows)

    def add(self, scene: PlannedScene, window: Window, rating: Rating) -> None:
        """Add a window."""
        self.scenes.append(scene)
        self.windows.append(window)
        self.ratings.append(rating)

    def select(self, which: Bools) -> RatedWindows:
        """Keep some windows by mask."""
        rows = np.flatnonzero(which).tolist()
        return RatedWindows(
            [self.scenes[row] for row in rows],
            [self.windows[row] for row in rows],
            [self.ratings[row] for row in rows],
        )

    def values(self) -> Floats:
        """Sum the values over the classes, of which rare ones weigh more: (M,)."""
        if not self.ratings:
            return np.zeros(0)
        weights = class_weights(np.sum([one.expected for one in self.ratings], axis=0))
        values: Floats = np.stack([one.values for one in self.ratings]) @ weights
        return values

    def outside_of(self, reviewed: Sequence[tuple[str, Window]]) -> Bools:
        """Find the windows that share no pixel with those that were reviewed: (M,)."""
        by_scene: dict[str, list[Window]] = {}
        for name, window in reviewed:
            by_scene.setdefault(name, []).append(window)
        return np.array(
            [
                not any(_share(window, one) for one in by_scene.get(scene.name, ()))
                for scene, window in zip(self.scenes, self.windows, strict=True)
            ],
            np.bool_,
        )


def place_windows(
    scenes: Sequence[PlannedScene], windows: Sequence[Window], crs: CRS | None
) -> tuple[Floats, Floats]:
    """Return the centres and the sides of windows on one map: (M, 2) and (M,).

    Args:
        scenes: The scene of each window.
        windows: In the pixels of their scenes.
        crs: Of the output. Degrees are made as long as each other, at the mean latitude. Without a
            CRS scenes do not lie on one map, and are put far from each other.
    """
    if not windows:
        return np.zeros((0, 2)), np.zeros(0)
    pairs = zip(scenes, windows, strict=True)
    corners = np.stack([scene.geobox.corners(_box_of(one), crs)[0] for scene, one in pairs])
    if crs is None:
        corners += _shifts(scenes, 10 * float(np.ptp(corners, axis=(0, 1)).max()))
    corners[..., 0] += turns_together(corners[..., 0], crs)
    if crs is not None and crs.is_geographic:
        corners[..., 0] *= np.cos(np.radians(corners[..., 1].mean()))
    edges = corners - np.roll(corners, 1, axis=1)
    sides: Floats = np.hypot(edges[..., 0], edges[..., 1]).mean(axis=1)
    return corners.mean(axis=1), sides


def to_scene_pixels(window: Window, planned: PlannedScene) -> Window:
    """Return a window of the grid in the pixels of the scene; neighbours share no pixel."""
    (sx, sy), box = planned.scale, planned.geobox
    left, right = (round(x * sx) for x in (window.col_off, window.col_end))
    top, bottom = (round(y * sy) for y in (window.row_off, window.row_end))
    left, top = min(left, box.width - 1), min(top, box.height - 1)
    return Window(left, top, max(right - left, 1), max(bottom - top, 1))


def _shifts(scenes: Sequence[PlannedScene], step: float) -> Floats:
    names = [scene.name for scene in scenes]
    number_of = {name: number for number, name in enumerate(dict.fromkeys(names))}
    shifts = np.array([number_of[name] * step for name in names])
    return np.stack([shifts, np.zeros(len(names))], axis=-1)[:, None]


def _box_of(window: Window) -> Floats:
    return np.array([[window.col_off, window.row_off, window.col_end, window.row_end]], float)


def _share(a: Window, b: Window) -> bool:
    across = min(a.col_end, b.col_end) > max(a.col_off, b.col_off)
    return across and min(a.row_end, b.row_end) > max(a.row_off, b.row_off)
