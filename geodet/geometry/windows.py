"""Windows on a raster, and the grid of overlapping windows that covers one.

Pixel coordinates are continuous: (0, 0) is the outer corner of the first pixel, so a window covers
``[col_off, col_off + width) x [row_off, row_off + height)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, overload

__all__ = ["Window", "WindowGrid", "WindowLimits"]


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

    def __str__(self) -> str:
        """Write the window as it is typed on the command line, for messages."""
        return f"window {self.col_off},{self.row_off},{self.width},{self.height}"

    @property
    def col_end(self) -> int:
        """One past the last column."""
        return self.col_off + self.width

    @property
    def row_end(self) -> int:
        """One past the last row."""
        return self.row_off + self.height

    def from_corner(self) -> Window:
        """Return the part that does not lie before the first column and row of the raster.

        Example:
            >>> Window(-3, 0, 10, 10).from_corner()
            Window(col_off=0, row_off=0, width=7, height=10)
        """
        left, top = max(self.col_off, 0), max(self.row_off, 0)
        return Window(left, top, self.col_end - left, self.row_end - top)

    def shifted(self, cols: int, rows: int) -> Window:
        """Move the window by whole pixels."""
        return Window(self.col_off + cols, self.row_off + rows, self.width, self.height)


@dataclass(frozen=True, slots=True)
class WindowGrid(Sequence[Window]):
    """Overlapping windows that cover a raster, in rows from the top left, strip by strip.

    Along each axis the starts are ``0, stride, ..., length - size`` with ``stride = size -
    overlap``; an axis no longer than ``size`` has one window of the axis's own length. Two
    neighbours are cut in the middle of what they share, at ``(end_i + start_{i+1}) // 2``, and the
    cuts bound the *cores*:

    - the cores partition the raster: every pixel is in exactly one core;
    - a core keeps at least ``overlap // 2`` from each interior edge of its window, so an object no
      longer than ``2 * (overlap // 2)`` is wholly visible in the window whose core owns its centre.

    With ``align``, every start is a multiple of it. A network with strides sees each pixel in the
    same place of its cells, whatever the size of the windows; one that starts elsewhere finds other
    objects near its threshold. The windows of an axis are then as few as ``size`` allows and as
    small as so many may be. They are equal, which keeps memory from being cut to pieces; only the
    last is shorter, by less than ``align``, where the raster's length asks for it.

    With ``left`` and ``top`` the multiples are counted from a place before the raster's corner, and
    the first window of an axis begins there, partly outside of the raster; an axis that needs no
    more than one window has no second one for that. So rasters that were cut from one mosaic can be
    divided alike.

    With ``strip_columns`` the windows come in strips, each of so many columns of windows and as
    high as the raster, from left to right. It changes their order and nothing else: whoever reads a
    wide raster in this order needs to keep no row of blocks that is as wide as the raster.

    Raises:
        ValueError: The raster is empty, or not ``0 <= overlap <= size - align`` and ``overlap <
            size``, or ``left`` or ``top`` is not in ``[0, align)``.

    Example:
        >>> grid = WindowGrid(width=100, height=50, size=64, overlap=16)
        >>> list(grid)[-1]
        Window(col_off=36, row_off=0, width=64, height=50)
        >>> grid.core(0)
        Window(col_off=0, row_off=0, width=50, height=50)
        >>> list(WindowGrid(width=98, height=50, size=64, overlap=16, align=8))[-1]
        Window(col_off=40, row_off=0, width=58, height=50)
        >>> shifted = WindowGrid(width=98, height=50, size=64, overlap=16, align=8, left=3)
        >>> [(window.col_off, window.col_end) for window in shifted]
        [(-3, 61), (37, 98)]
        >>> [(w.col_off, w.row_off) for w in WindowGrid(3, 2, size=1, overlap=0, strip_columns=2)]
        [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1)]
    """

    width: int
    """Columns of the raster."""
    height: int
    """Rows of the raster."""
    size: int
    """Side of a window in pixels, at most."""
    overlap: int
    """Pixels that two neighbours share: exactly, but for the last two of an axis, at least."""
    align: int = 0
    """Starts are multiples of it; 0: the last window lies flush with the raster's end."""
    left: int = 0
    """Columns before the raster from which starts are counted."""
    top: int = 0
    """Rows above the raster from which starts are counted."""
    strip_columns: int = 0
    """Columns of windows of a strip, the last of which may have fewer; 0: one strip has all."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a raster of {self.width} x {self.height} px has no windows")
        if not 0 <= self.overlap < self.size:
            raise ValueError(
                f"overlap {self.overlap} must be in [0, size), and size is {self.size}"
            )
        if self.align < 0 or self.overlap + self.align > self.size:
            raise ValueError(
                f"starts cannot be multiples of {self.align} where windows of {self.size} px share "
                f"{self.overlap}"
            )
        if not all(0 <= before < max(self.align, 1) for before in (self.left, self.top)):
            raise ValueError(
                f"starts that are multiples of {self.align} cannot be counted from {self.left} "
                f"columns and {self.top} rows before the raster"
            )
        if self.strip_columns < 0:
            raise ValueError(f"a strip of {self.strip_columns} columns has no windows")

    @property
    def columns(self) -> int:
        """Number of windows across the raster."""
        return self._across.windows

    @property
    def rows(self) -> int:
        """Number of windows from its top to its bottom."""
        return self._down.windows

    @property
    def strips(self) -> int:
        """Number of strips."""
        return _ceil(self.columns, self._most_columns)

    @property
    def lines(self) -> int:
        """Number of rows of windows of all strips."""
        return self.strips * self.rows

    def __len__(self) -> int:
        return self.columns * self.rows

    @overload
    def __getitem__(self, index: int) -> Window: ...
    @overload
    def __getitem__(self, index: slice) -> list[Window]: ...
    def __getitem__(self, index: int | slice) -> Window | list[Window]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row, column = self._row_and_column(index)
        across, down = self._across, self._down
        col_off, row_off = across.start(column), down.start(row)
        return Window(col_off, row_off, across.end(column) - col_off, down.end(row) - row_off)

    def core(self, index: int) -> Window:
        """Return the part of the raster that window ``index`` owns, in raster pixels."""
        row, column = self._row_and_column(index)
        across, down = self._across, self._down
        left, top = across.cut(column), down.cut(row)
        return Window(left, top, across.cut(column + 1) - left, down.cut(row + 1) - top)

    def line(self, index: int) -> int:
        """Return the line of a window: a row of windows of a strip; past the last, their number.

        Lines are numbered as windows are: those of the first strip first.
        """
        if index == len(self):
            return self.lines
        row, column = self._row_and_column(index)
        return column // self._most_columns * self.rows + row

    def windows_of_line(self, line: int) -> range:
        """Return the indices of the windows of a line."""
        strip, row = divmod(line, self.rows)
        before = strip * self._most_columns
        columns = min(self._most_columns, self.columns - before)
        first = before * self.rows + row * columns
        return range(first, first + columns)

    def row_below(self, index: int) -> int:
        """Return the first row of the windows below a window; of the last, the raster's height."""
        row, _ = self._row_and_column(index)
        return self._down.start(row + 1) if row + 1 < self.rows else self.height

    @property
    def _most_columns(self) -> int:
        return self.strip_columns or self.columns

    def _row_and_column(self, index: int) -> tuple[int, int]:
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"window {index} of a grid of {count}")
        strip, place = divmod(index % count, self._most_columns * self.rows)
        first = strip * self._most_columns
        row, column = divmod(place, min(self._most_columns, self.columns - first))
        return row, first + column

    @property
    def _across(self) -> _Axis:
        return _divide(self.width, self.size, self.overlap, self.align, self.left)

    @property
    def _down(self) -> _Axis:
        return _divide(self.height, self.size, self.overlap, self.align, self.top)


class WindowLimits(NamedTuple):
    """Limits of the height of windows and the width of strips, so that a raster is read well."""

    rows: float = math.inf
    """Rows of the tallest windows for which each block is decoded only once."""
    columns: float = math.inf
    """Columns of the widest strips of which a row of blocks takes little memory."""


class _Axis(NamedTuple):
    """The windows along one axis."""

    length: int
    before: int
    """Pixels before the raster at which the first one starts."""
    size: int
    stride: int
    last: int
    """The start of the last one, counted from the first."""
    windows: int

    def start(self, index: int) -> int:
        """Return the first pixel of a window."""
        return min(index * self.stride, self.last) - self.before

    def end(self, index: int) -> int:
        """Return one past the last pixel of a window."""
        return min(self.start(index) + self.size, self.length)

    def cut(self, index: int) -> int:
        """Return the first pixel of a window's core; for one past the last, the end of the axis."""
        if index in (0, self.windows):
            return index and self.length
        return (self.end(index - 1) + self.start(index)) // 2


@lru_cache(maxsize=256)
def _divide(length: int, size: int, overlap: int, align: int, before: int) -> _Axis:
    """Divide an axis; cached, since each window of a grid needs it."""
    whole = length + before
    if length <= size:
        return _Axis(length, before, whole, whole, 0, 1)
    stride, step = size - overlap, max(align, 1)
    if align:
        rest = whole - overlap
        fewest = _ceil(rest, stride // step * step)
        stride = _ceil(_ceil(rest, fewest), step) * step
        size = stride + overlap
    last = _ceil(whole - size, step) * step
    return _Axis(length, before, size, stride, last, _ceil(whole - size, stride) + 1)


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
