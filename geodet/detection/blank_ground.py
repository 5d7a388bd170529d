"""Areas of a scene without data, such as the collar of an orthophoto, which are not examined.

They are found cell by cell while the windows are read, so that the scene is read only once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import shapely

from geodet.geometry.arrays import Bools, is_all_true
from geodet.geometry.windows import Window

__all__ = ["choose_cell", "data_area", "list_blank"]

_SMALLEST_CELL = 16  # pixels
_MOST_CELLS = 256  # along the longer side of a scene
_MOST_RECTANGLES = 5000  # of a scene, the largest; their union takes half a second


def choose_cell(width: int, height: int) -> int:
    """Return the side of the cells of a grid in pixels: 16, and more for a large one.

    Args:
        width: Columns of the grid.
        height: Rows of the grid.
    """
    return max(_SMALLEST_CELL, -(-max(width, height) // _MOST_CELLS))


def list_blank(valid: Bools, window: Window, core: Window, *, cell: int) -> tuple[Window, ...]:
    """List rectangles without data in the core of a window, made of cells without a valid pixel.

    Args:
        valid: (H, W) whether each pixel of the window has data.
        window: The window.
        core: The part of the window that it owns; cells are counted from its corner.
        cell: Side of a cell in pixels; the last ones of the core may be smaller.

    Returns:
        Rectangles that do not overlap, in the pixels of ``window`` and ``core``.
    """
    if is_all_true(valid):
        return ()
    row, column = core.row_off - window.row_off, core.col_off - window.col_off
    inner = valid[row : row + core.height, column : column + core.width]
    starts = (np.arange(0, length, cell) for length in inner.shape)
    has_data = np.logical_or.reduceat(inner, next(starts), axis=0)
    has_data = np.logical_or.reduceat(has_data, next(starts), axis=1)
    return tuple(
        Window(
            core.col_off + left * cell,
            core.row_off + top * cell,
            min(right * cell, core.width) - left * cell,
            min(bottom * cell, core.height) - top * cell,
        )
        for top, bottom, left, right in _iter_rectangles(~has_data)
    )


def data_area(blank: Sequence[Window], width: int, height: int) -> shapely.Geometry | None:
    """Return the area of a scene that has data, to about a cell; None where it has data everywhere.

    The stairs of cells along a slanted edge are simplified to a line: their thousands of corners
    would go into the metadata of the output.

    Args:
        blank: Rectangles without data, as :func:`list_blank` returns them for all windows.
        width: Columns of the grid.
        height: Rows of the grid.

    Returns:
        A polygon or several, in the pixels of the grid.
    """
    if not blank:
        return None
    largest = sorted(blank, key=lambda one: -one.width * one.height)[:_MOST_RECTANGLES]
    corners = np.array([(one.col_off, one.row_off, one.col_end, one.row_end) for one in largest])
    empty = shapely.union_all(shapely.box(*corners.T))
    shown = shapely.difference(shapely.box(0, 0, width, height), empty)
    return shapely.simplify(shown, choose_cell(width, height))


def _iter_rectangles(cells: Bools) -> Iterator[tuple[int, int, int, int]]:
    """Yield the rows and columns of rectangles that make up the cells that are true."""
    open_since: dict[tuple[int, int], int] = {}
    none = np.zeros(cells.shape[1], np.bool_)
    for row, line in enumerate([*cells, none]):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], line, [False]]).astype(np.int8)))
        runs = {(int(left), int(right)) for left, right in edges.reshape(-1, 2)}
        for run in [*open_since]:
            if run not in runs:
                yield open_since.pop(run), row, *run
        for run in runs:
            open_since.setdefault(run, row)
