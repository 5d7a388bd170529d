"""The part of a scene that a picture shows, and what lies where in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geodet.boxes import Detections
from geodet.scene import Chip, Scene
from geodet.windows import Window

__all__ = ["View", "read_view"]

_STRIP_ROWS = 2048
"""Rows of the scene that are read at once: what bounds the memory, whatever the scene's size."""


@dataclass(frozen=True, slots=True)
class View:
    """A part of a scene and its pixels, as many as a picture has room for.

    Law: a point of the scene and its place in an image of the view differ by no rounding; the
    view's corners lie where its pixels begin, which may be a part of a pixel beside the window.
    """

    chip: Chip
    """The pixels; its window is one of a coarser grid over the scene."""
    left: float
    """First column of the scene, continuous."""
    top: float
    """First row of the scene."""
    width: float
    """Columns of the scene."""
    height: float
    """Rows of the scene."""

    def place(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Move boxes into an image of the view, the strongest last; those outside are left out.

        Args:
            detections: Boxes in the scene's own pixels.
            size: Width and height of the image.
        """
        moved = detections.shifted(-self.left, -self.top)
        moved = moved.scaled(size[0] / self.width, size[1] / self.height)
        x1, y1, x2, y2 = moved.boxes.T
        seen = np.flatnonzero((x2 >= 0) & (y2 >= 0) & (x1 <= size[0]) & (y1 <= size[1]))
        return moved.select(seen[np.argsort(moved.scores[seen], kind="stable")])


def read_view(scene: Scene, window: Window | None, max_side: int) -> View:
    """Read a part of a scene, or all of it, no longer than ``max_side`` on its longer side.

    Raises:
        SceneError: The scene cannot be read.
        ValueError: The window is not within the scene.
    """
    width, height = scene.geobox.width, scene.geobox.height
    if window is None:
        return View(scene.read_overview(max_side), 0, 0, width, height)
    if min(window.col_off, window.row_off) < 0 or window.col_end > width or window.row_end > height:
        raise ValueError(f"{window} is not within {scene.name}, {width} x {height} px")
    shrink = min(1.0, max_side / max(window.width, window.height))
    before = scene.grid
    scene.resample(round(width * shrink), round(height * shrink))
    try:
        sx, sy = scene.scale
        col_off, columns = _span(window.col_off / sx, window.col_end / sx, max_side)
        row_off, rows = _span(window.row_off / sy, window.row_end / sy, max_side)
        chip = _read_strips(scene, Window(col_off, row_off, columns, rows))
    finally:
        scene.resample(*before)
    return View(chip, col_off * sx, row_off * sy, columns * sx, rows * sy)


def _span(start: float, end: float, longest: int) -> tuple[int, int]:
    """Round to a start and a length in whole pixels."""
    first = int(start)
    return first, min(max(round(end) - first, 1), longest)


def _read_strips(scene: Scene, window: Window) -> Chip:
    """Read a window of the grid, a strip after the other."""
    rows = max(int(_STRIP_ROWS / scene.scale[1]), 1)
    starts = range(window.row_off, window.row_end, rows)
    strips = [
        scene.read(Window(window.col_off, row, window.width, min(rows, window.row_end - row)))
        for row in starts
    ]
    return Chip(
        window,
        np.concatenate([strip.pixels for strip in strips], axis=1),
        np.concatenate([strip.valid for strip in strips]),
    )
