"""Place millions of objects on the map, by interpolation between the nodes of a mesh."""

from __future__ import annotations

import numpy as np

from geodet.geometry.arrays import Bools, Floats
from geodet.geometry.row_chunks import map_rows
from geodet.viewer.map_frame import MapFrame

__all__ = ["SquareMesh"]

_FEWEST, _MOST = 16, 256  # cells along a side
_TOLERANCE_PX = 0.05  # of the scene


class SquareMesh:
    """Maps pixels of a scene to the square of the map, a hundred times as fast as its frame.

    Law: within the scene, a place is less than a twentieth of a pixel from where the frame has it.
    The mesh is refined until this holds in the middle of its cells, where it errs most. Outside of
    the scene, and where the finest mesh is too coarse, the frame itself is asked.

    Args:
        frame: Where the scene lies on the map.
    """

    def __init__(self, frame: MapFrame) -> None:
        self._frame = frame
        self._size = np.array([frame.geobox.width, frame.geobox.height], np.float64)
        self._tolerance = _TOLERANCE_PX / 2.0**frame.native_zoom / 512
        cells = _FEWEST
        self._choose(cells)
        while not self._is_exact() and cells < _MOST:
            cells *= 2
            self._choose(cells)
        self.is_exact = self._is_exact()
        """Whether the mesh is fine enough."""

    def to_bounds(self, boxes: Floats) -> Floats:
        """Return the bounds of boxes on the square.

        Args:
            boxes: (N, 4) x1 y1 x2 y2 in pixels of the scene.

        Returns:
            (N, 4) least u and v, greatest u and v; not finite where the map has no such place.
        """
        return map_rows(self._bounds, boxes)

    def _bounds(self, boxes: Floats) -> Floats:
        centres, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
        within = (boxes[:, :2] >= 0) & (boxes[:, 2:] <= self._size)
        inside = np.asarray(within.all(axis=1) & self.is_exact, np.bool_)
        bounds = np.empty_like(boxes)
        _fill(bounds, inside, self._interpolated(centres, halves, inside))
        _fill(bounds, ~inside, self._exact(boxes[~inside]))
        return bounds

    def _exact(self, boxes: Floats) -> Floats:
        if not len(boxes):
            return boxes
        x1, y1, x2, y2 = boxes.T
        corners = np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=-1).reshape(-1, 4, 2)
        places = self._frame.to_square(corners)
        return np.hstack([places.min(axis=1), places.max(axis=1)])

    def _choose(self, cells: int) -> None:
        self._cells, self._nodes = cells, self._frame.mesh(cells)

    def _is_exact(self) -> bool:
        steps = (np.arange(self._cells) + 0.5) / self._cells
        x, y = np.meshgrid(*(steps * side for side in self._size))
        nodes = self._nodes
        middle = (nodes[1:, 1:] + nodes[:-1, 1:] + nodes[1:, :-1] + nodes[:-1, :-1]) / 4
        expected = self._frame.to_square(np.stack([x, y], axis=-1))
        return bool(np.abs(middle - expected).max() < self._tolerance)

    def _interpolated(self, centres: Floats, halves: Floats, which: Bools) -> Floats:
        """Return the bounds of boxes within the scene, which the mesh shears but does not bend."""
        if not which.all():
            centres, halves = centres[which], halves[which]
        at = centres * (self._cells / self._size)
        cell = np.minimum(at.astype(np.int64), self._cells - 1)
        a, b = (at - cell).T[..., None]
        nodes, (column, row) = self._nodes, cell.T
        above = nodes[row, column], nodes[row, column + 1]
        below = nodes[row + 1, column], nodes[row + 1, column + 1]
        top, bottom = (left + (right - left) * a for left, right in (above, below))
        middle = top + (bottom - top) * b
        across = (above[1] - above[0]) * (1 - b) + (below[1] - below[0]) * b  # of a cell
        scale = self._cells / self._size
        reach = np.abs(across) * halves[:, :1] * scale[0]
        reach += np.abs(bottom - top) * halves[:, 1:] * scale[1]
        return np.hstack([middle - reach, middle + reach])


def _fill(target: Floats, which: Bools, rows: Floats) -> None:
    if which.all():
        target[:] = rows
    elif len(rows):
        target[which] = rows
