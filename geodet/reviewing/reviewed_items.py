"""Items of a review: decisions on objects, and windows in which every object was checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from geodet.geometry.arrays import Floats
from geodet.geometry.boxes import box_corners
from geodet.geometry.oriented_boxes import hulls, oriented_corners
from geodet.geometry.windows import Window
from geodet.vector.rows import PIXEL_SIDES

__all__ = [
    "OBJECT_COLUMNS",
    "WINDOW_COLUMNS",
    "BoxPx",
    "OrientedPx",
    "ReviewedObject",
    "ReviewedWindow",
    "Verdict",
    "bounds_of_oriented",
    "corners_of",
    "corners_of_places",
]

Verdict = Literal["accepted", "changed", "added", "rejected"]
BoxPx = tuple[float, float, float, float]
OrientedPx = tuple[float, float, float, float, float]

WINDOW_COLUMNS = ("col_off", "row_off", "width", "height")
"""Columns of a window."""
_TURNED = ("length_px", "width_px", "angle_px")
OBJECT_COLUMNS = ("source", "verdict", "label", "score", *PIXEL_SIDES, *_TURNED)
"""Columns of an object; the last three, as ``geodet detect`` writes them, are empty for a box that
is not oriented."""


@dataclass(frozen=True, slots=True)
class ReviewedObject:
    """A decision on an object."""

    id: int
    """Unique among the objects and windows of a file."""
    source: int | None
    """Number of the detection in its file; None for an object that was drawn."""
    verdict: Verdict
    """``accepted`` as it was, ``changed`` in its box or class, ``added``, or ``rejected``."""
    label: str
    """The class."""
    score: float | None
    """Score of the detection."""
    box_px: BoxPx
    """x1 y1 x2 y2 in the pixels of the scene."""
    oriented_px: OrientedPx | None = None
    """x and y of the centre, length, width and angle of an oriented box, whose bounds ``box_px``
    has; None: the box is axis-aligned."""

    @property
    def corners_px(self) -> Floats:
        """The corners in the pixels of the scene: (4, 2)."""
        return corners_of(self.box_px, self.oriented_px)

    def columns(self) -> dict[str, Any]:
        """Return the values of :data:`OBJECT_COLUMNS`."""
        turned: tuple[float | None, ...] = (None, None, None)
        if self.oriented_px is not None:
            _, _, length, width, angle = self.oriented_px
            turned = length, width, math.degrees(angle)
        values = (self.source, self.verdict, self.label, self.score, *self.box_px, *turned)
        return dict(zip(OBJECT_COLUMNS, values, strict=True))


@dataclass(frozen=True, slots=True)
class ReviewedWindow:
    """A part of a scene in which every object was checked."""

    id: int
    """Unique among the objects and windows of a file."""
    window: Window
    """In the pixels of the scene."""

    @property
    def corners_px(self) -> Floats:
        """The corners in the pixels of the scene: (4, 2)."""
        window = self.window
        sides = window.col_off, window.row_off, window.col_end, window.row_end
        corners: Floats = box_corners(np.array([sides], np.float64))[0]
        return corners

    def columns(self) -> dict[str, Any]:
        """Return its place as columns."""
        return {name: getattr(self.window, name) for name in WINDOW_COLUMNS}


def bounds_of_oriented(oriented: OrientedPx) -> BoxPx:
    """Return the bounds of an oriented box."""
    x1, y1, x2, y2 = hulls(np.array([oriented], np.float64))[0].tolist()
    return x1, y1, x2, y2


def corners_of(box: BoxPx, oriented: OrientedPx | None) -> Floats:
    """Return the corners of an oriented box, or of a box that is not: (4, 2)."""
    corners: Floats = corners_of_places([(box, oriented)])[0]
    return corners


def corners_of_places(places: Sequence[tuple[BoxPx, OrientedPx | None]]) -> Floats:
    """Return the corners of N boxes, oriented or not, at once: (N, 4, 2).

    Example:
        >>> corners_of_places([((0, 0, 4, 2), None), ((0, 0, 4, 2), (2, 1, 4, 2, 0))]).shape
        (2, 4, 2)
    """
    corners = box_corners(np.array([box for box, _ in places], np.float64).reshape(-1, 4))
    rows = [row for row, (_, oriented) in enumerate(places) if oriented is not None]
    turned = np.array([places[row][1] for row in rows], np.float64).reshape(-1, 5)
    corners[rows] = oriented_corners(turned)
    return corners
