"""Windows on a raster, and the grid of overlapping windows that covers one.

Pixel coordinates are continuous: (0, 0) is the outer corner of the first pixel, so a window covers
``[col_off, col_off + width) x [row_off, row_off + height)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

__all__ = ["Window", "WindowGrid"]


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of whole pixels, with rasterio's names and order.

    Raises:
        ValueError: The width or the height is not positive.

    Example:
        >>> Window(10, 20, 30, 40).shifted(5, 5)
        Window(col_off=15, row_off=25, width=30, height=40)
    """

    col_off: int
    """First column."""
    row_off: int
    """First row."""
    width: int
    """Number of columns, at least 1."""
    height: int
    """Number of rows, at least 1."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a window needs a positive size, not {self.width} x {self.height}")

    @property
    def col_end(self) -> int:
        """One past the last column."""
        return self.col_off + self.width

    @property
    def row_end(self) -> int:
        """One past the last row."""
        return self.row_off + self.height

    def shifted(self, cols: int, rows: int) -> Window:
        """Move the window by whole pixels."""
        return Window(self.col_off + cols, self.row_off + rows, self.width, self.height)


@dataclass(frozen=True, slots=True)
class WindowGrid(Sequence[Window]):
    """Overlapping windows that cover a raster, in rows from the top left.

    Along each axis the starts are ``0, stride, ..., length - size`` with ``stride = size -
    overlap``; an axis shorter than ``size`` has one window of the axis's own length. Two neighbours
    are cut in the middle of what they share, at ``(start_i + size + start_{i+1}) // 2``, and the
    cuts bound the *cores*:

    - the cores partition the raster: every pixel is in exactly one core;
    - a core keeps at least ``overlap // 2`` from each interior edge of its window, so an object no
      longer than ``2 * (overlap // 2)`` is wholly visible in the window whose core owns its centre.

    Raises:
        ValueError: The raster is empty, or not ``0 <= overlap < size``.

    Example:
        >>> grid = WindowGrid(width=100, height=50, size=64, overlap=16)
        >>> list(grid)[-1]
        Window(col_off=36, row_off=0, width=64, height=50)
        >>> grid.core(0)
        Window(col_off=0, row_off=0, width=50, height=50)
    """

    width: int
    """Columns of the raster."""
    height: int
    """Rows of the raster."""
    size: int
    """Side of a window in pixels."""
    overlap: int
    """Pixels that two neighbours share, at least."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a raster of {self.width} x {self.height} px has no windows")
        if not 0 <= self.overlap < self.size:
            raise ValueError(
                f"overlap {self.overlap} must be in [0, size), and size is {self.size}"
            )

    @property
    def columns(self) -> int:
        """Number of windows in a row."""
        return _count(self.width, self.size, self.overlap)

    @property
    def rows(self) -> int:
        """Number of rows of windows."""
        return _count(self.height, self.size, self.overlap)

    def __len__(self) -> int:
        return self.columns * self.rows

    @overload
    def __getitem__(self, index: int) -> Window: ...
    @overload
    def __getitem__(self, index: slice) -> list[Window]: ...
    def __getitem__(self, index: int | slice) -> Window | list[Window]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row, column = self._place(index)
        col_off, width = _span(self.width, self.size, self.overlap, column)
        row_off, height = _span(self.height, self.size, self.overlap, row)
        return Window(col_off, row_off, width, height)

    def core(self, index: int) -> Window:
        """Give the part of the raster that window ``index`` owns, in raster pixels."""
        row, column = self._place(index)
        left = _cut(self.width, self.size, self.overlap, column)
        right = _cut(self.width, self.size, self.overlap, column + 1)
        top = _cut(self.height, self.size, self.overlap, row)
        bottom = _cut(self.height, self.size, self.overlap, row + 1)
        return Window(left, top, right - left, bottom - top)

    def _place(self, index: int) -> tuple[int, int]:
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"window {index} of a grid of {count}")
        return divmod(index % count, self.columns)


def _count(length: int, size: int, overlap: int) -> int:
    """Count the windows along an axis."""
    if length <= size:
        return 1
    stride = size - overlap
    return -((size - length) // stride) + 1  # ceil((length - size) / stride) + 1


def _span(length: int, size: int, overlap: int, index: int) -> tuple[int, int]:
    """Give the start and the length of window ``index`` along an axis."""
    if length <= size:
        return 0, length
    return min(index * (size - overlap), length - size), size


def _cut(length: int, size: int, overlap: int, index: int) -> int:
    """Give the position where the core of window ``index`` begins along an axis."""
    if index == 0:
        return 0
    if index == _count(length, size, overlap):
        return length
    before, _ = _span(length, size, overlap, index - 1)
    after, _ = _span(length, size, overlap, index)
    return (before + size + after) // 2
