"""A scene to cut chips from, with its labelled objects and the part that was labelled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.vector.area_of_interest import AreaOfInterest

__all__ = ["LabelledScene", "outside_boxes", "share_inside"]

_CELL = 8  # pixels of the cells in which what lies outside of an area is described


@dataclass(frozen=True, slots=True)
class LabelledScene:
    """A scene to cut, and its labelled objects in the pixels of the chips' grid."""

    geobox: GeoBox
    """Geobox of the grid."""
    boxes: Floats
    """(N, 4) float64, x1 y1 x2 y2."""
    is_point: NDArray[np.bool_]
    """(N,) True where the box stands around a labelled point."""
    aoi: AreaOfInterest | None = None
    """The part that was labelled; None: all of it."""
    name: str = ""
    """A name that no other scene has."""
    oriented: Floats | None = None
    """(N, 5) oriented boxes, None if no label stands at an angle."""
    is_ignored: NDArray[np.bool_] | None = None
    """(N,) True for an object of an ignored class; None: there are none."""

    @property
    def is_learnt(self) -> NDArray[np.bool_]:
        """(N,) True for an object whose centre is in the area of interest, of no ignored class."""
        learnt = np.ones(len(self.boxes), np.bool_)
        if self.aoi is not None:
            learnt &= self.aoi.contains((self.boxes[:, :2] + self.boxes[:, 2:]) / 2)
        return learnt if self.is_ignored is None else learnt & ~self.is_ignored


def share_inside(aoi: AreaOfInterest, window: Window) -> float:
    """Estimate the share of a window that lies in an area of interest, from 256 points."""
    if not aoi.touches(window):
        return 0.0
    steps = (np.arange(16) + 0.5) / 16
    x, y = window.col_off + steps * window.width, window.row_off + steps * window.height
    return float(aoi.contains(_grid(x, y)).mean())


def outside_boxes(aoi: AreaOfInterest, window: Window) -> Floats:
    """Cover what lies outside of an area of interest by boxes: training ignores what is in them.

    A cell of 8 x 8 px counts as outside where its centre does.

    Args:
        aoi: The area.
        window: In the pixels of the raster.

    Returns:
        (G, 4) x1 y1 x2 y2 in the pixels of the window, which share no area.

    Example:
        >>> import shapely
        >>> aoi = AreaOfInterest(np.array([shapely.box(0, 0, 32, 99)]), 100, 100, "")
        >>> outside_boxes(aoi, Window(16, 0, 64, 64)).tolist()
        [[16.0, 0.0, 64.0, 64.0]]
    """
    columns, rows = (
        np.append(np.arange(0, side, _CELL), side).astype(np.float64)
        for side in (window.width, window.height)
    )
    x = window.col_off + (columns[:-1] + columns[1:]) / 2
    y = window.row_off + (rows[:-1] + rows[1:]) / 2
    outside = ~aoi.contains(_grid(x, y)).reshape(len(y), len(x))
    boxes: list[tuple[float, float, float, float]] = []
    open_runs: dict[tuple[int, int], int] = {}  # first row of each run that goes on
    for row in range(len(y) + 1):
        runs = set(_runs(outside[row])) if row < len(y) else set()
        for run in sorted(open_runs.keys() - runs):
            first = open_runs.pop(run)
            boxes.append((columns[run[0]], rows[first], columns[run[1]], rows[row]))
        for run in runs - open_runs.keys():
            open_runs[run] = row
    return np.array(boxes, np.float64).reshape(-1, 4)


def _grid(x: Floats, y: Floats) -> Floats:
    return np.stack([part.ravel() for part in np.meshgrid(x, y)], axis=-1)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return start and end of each run of True."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(steps[::2], steps[1::2], strict=True)]
