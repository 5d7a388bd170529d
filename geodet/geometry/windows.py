"""Windows on a raster, and the grid of overlapping windows that covers one.

Pixel coordinates are continuous: (0, 0) is the outer corner of the first pixel, so a window covers
``[col_off, col_off + width) x [row_off, row_off + height)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, overload

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

    Raises:
        ValueError: The raster is empty, or not ``0 <= overlap <= size - align`` and ``overlap <
            size``.

    Example:
        >>> grid = WindowGrid(width=100, height=50, size=64, overlap=16)
        >>> list(grid)[-1]
        Window(col_off=36, row_off=0, width=64, height=50)
        >>> grid.core(0)
        Window(col_off=0, row_off=0, width=50, height=50)
        >>> list(WindowGrid(width=98, height=50, size=64, overlap=16, align=8))[-1]
        Window(col_off=40, row_off=0, width=58, height=50)
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

    @property
    def columns(self) -> int:
        """Number of windows in a row."""
        return self._axis(self.width).windows

    @property
    def rows(self) -> int:
        """Number of rows of windows."""
        return self._axis(self.height).windows

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
        across, down = self._axis(self.width), self._axis(self.height)
        col_off, row_off = across.start(column), down.start(row)
        return Window(col_off, row_off, across.end(column) - col_off, down.end(row) - row_off)

    def core(self, index: int) -> Window:
        """Return the part of the raster that window ``index`` owns, in raster pixels."""
        row, column = self._row_and_column(index)
        across, down = self._axis(self.width), self._axis(self.height)
        left, top = across.cut(column), down.cut(row)
        return Window(left, top, across.cut(column + 1) - left, down.cut(row + 1) - top)

    def _row_and_column(self, index: int) -> tuple[int, int]:
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"window {index} of a grid of {count}")
        return divmod(index % count, self.columns)

    def _axis(self, length: int) -> _Axis:
        return _divide(length, self.size, self.overlap, self.align)


class _Axis(NamedTuple):
    """The windows along one axis."""

    length: int
    size: int
    stride: int
    last: int
    """Where the last one starts."""
    windows: int

    def start(self, index: int) -> int:
        """Return the first pixel of a window."""
        return min(index * self.stride, self.last)

    def end(self, index: int) -> int:
        """Return one past the last pixel of a window."""
        return min(self.start(index) + self.size, self.length)

    def cut(self, index: int) -> int:
        """Return the first pixel of a window's core; for one past the last, the end of the axis."""
        if index in (0, self.windows):
            return index and self.length
        return (self.end(index - 1) + self.start(index)) // 2


@lru_cache(maxsize=256)
def _divide(length: int, size: int, overlap: int, align: int) -> _Axis:
    """Divide an axis; cached, since each window of a grid needs it."""
    if length <= size:
        return _Axis(length, length, length, 0, 1)
    stride, step = size - overlap, max(align, 1)
    if align:
        rest = length - overlap
        fewest = _ceil(rest, stride // step * step)
        stride = _ceil(_ceil(rest, fewest), step) * step
        size = stride + overlap
    last = _ceil(length - size, step) * step
    return _Axis(length, size, stride, last, _ceil(length - size, stride) + 1)


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
