"""The windows of a scene, those of them that are searched, and the bands that they form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from geodet.detection.window_plan import WindowPlan, choose_slack, list_bands
from geodet.geometry.windows import WindowGrid
from geodet.vector.area_of_interest import AreaOfInterest

__all__ = ["CUT_PX", "SceneWindows", "cut_scene"]

CUT_PX = 4.0
"""Pixels; a box that ends nearer to its window's edge is a fragment."""


@dataclass(frozen=True, slots=True)
class SceneWindows:
    """The windows of a scene, and the bands in which they are computed."""

    grid: WindowGrid
    """Windows in the pixels of the scene's grid."""
    batch_size: int
    """Chips of the largest window in one forward pass."""
    slack: float
    """Distance outside its core, in pixels, within which a window keeps centres of detections."""
    wanted: Sequence[int]
    """Indices of the windows that may own a detection in the area of interest."""
    bands: Sequence[Sequence[int]]
    """Indices by band, see :func:`geodet.detection.window_plan.list_bands`."""

    def count_pixels(self, indices: Sequence[int]) -> int:
        """Count the pixels that windows own, each pixel once."""
        cores = (self.grid.core(index) for index in indices)
        return sum(core.width * core.height for core in cores)

    def first_corner(self, index: int) -> tuple[int, int]:
        """Return the column and row of the grid before which no box of a window begins."""
        window, overlap = self.grid[index], self.grid.overlap
        return window.col_off - overlap, window.row_off - overlap

    def open_part(self, line: int) -> tuple[float, tuple[float, float]]:
        """Return where boxes of a line of windows, and of those after it, may begin.

        Args:
            line: See :meth:`geodet.geometry.windows.WindowGrid.line`.

        Returns:
            As :meth:`geodet.merging.merger.RowMerger.settle` takes it: the first row, and the first
            columns of the strip and of the next one.
        """
        if line >= self.grid.lines:
            return math.inf, (math.inf, math.inf)
        left, top = self.first_corner(self.grid.windows_of_line(line)[0])
        beside = line + self.grid.rows
        if beside >= self.grid.lines:
            return top, (left, math.inf)
        return top, (left, self.first_corner(self.grid.windows_of_line(beside)[0])[0])


def cut_scene(
    plan: WindowPlan,
    *,
    iou_threshold: float,
    aoi: AreaOfInterest | None,
    scale: tuple[float, float],
    band_rows: int | None = None,
) -> SceneWindows:
    """Choose the windows that are computed, and divide them into bands.

    Args:
        plan: All windows, and the batch size.
        iou_threshold: IoU threshold of the suppression of duplicates.
        aoi: Area of interest in the scene's own pixels; None: all of the scene.
        scale: The scene's own pixels per pixel of the grid, along x and y.
        band_rows: Rows of windows of a band; None: chosen.
    """
    grid = plan.grid
    slack = choose_slack(grid.overlap, iou_threshold)
    wanted: Sequence[int] = range(len(grid))
    if aoi is not None:
        on_grid = aoi.scaled(1 / scale[0], 1 / scale[1])
        wanted = [index for index in wanted if on_grid.touches(grid.core(index), margin=slack)]
    bands = list_bands(grid, plan.batch_size, wanted, rows=band_rows)
    return SceneWindows(grid, plan.batch_size, slack, wanted, bands)
