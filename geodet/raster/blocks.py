"""Blocks of decoded pixels, shared between reader threads."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import all_true, empty_apart, is_all_true
from geodet.geometry.windows import Window

__all__ = ["Block", "BlockStore", "any_layer"]

Block = tuple[NDArray[Any], NDArray[np.bool_]]
"""Pixels (C, H, W), and data (C, H, W) or (1, H, W), True where a band has data."""

_PATIENCE = 16  # blocks are compared again when a sixteenth of the capacity was added

_STRIP_BLOCKS = 8


class BlockStore:
    """A cache of decoded blocks of a raster, for windows that are read strip by strip.

    Those of a strip are read from its top to its bottom; most rasters are one strip.

    Beyond the capacity, blocks that the windows have passed are dropped, and those that the windows
    still need, such as the blocks that reach into the next row of windows, are kept up to the most
    capacity: each block is decoded once. The least recently used goes first. Threads that need the
    same blocks at the same time share the work: each decodes another one.

    Args:
        width: Columns of the raster.
        height: Rows of the raster.
        block: Width and height of a block.
        load: Decodes a block; called without the lock, in the thread that needs the block.
        capacity: Bytes to keep of blocks that may be needed again.
        most_capacity: Bytes to keep at most; :meth:`reserve` raises the capacity no higher.
        pixel_bytes: Most bytes that a pixel of a block takes, its mask included.
    """

    def __init__(
        self,
        width: int,
        height: int,
        block: tuple[int, int],
        load: Callable[[Window], Block],
        *,
        capacity: int,
        most_capacity: int = 0,
        pixel_bytes: int = 1,
    ) -> None:
        self.width, self.height, self.block = width, height, block
        self.capacity, self.most_capacity = capacity, max(capacity, most_capacity)
        self._usual = capacity
        self._pixel_bytes = pixel_bytes
        self._load = load
        self._lock = threading.Lock()
        self._held: OrderedDict[Window, Future[Block]] = OrderedDict()
        self._expected: list[_Expected] = []
        self._bytes = 0
        self._patience = capacity

    def read(self, window: Window) -> Block:
        """Assemble a window from its blocks, loading those that are missing.

        Args:
            window: Inside of the raster.
        """
        forget = self.expect(window)
        try:
            return self._read(window)
        finally:
            forget()

    def expect(
        self, window: Window, *, next_row: int | None = None, first_column: int = 0
    ) -> Callable[[], None]:
        """Keep the blocks of a window that will be read soon, and what later windows need of them.

        Otherwise threads that are reading later windows already could take them for passed.

        Args:
            window: Inside of the raster.
            next_row: First row of the windows below; None: they begin where this one ends.
            first_column: First column of the strip of the window.

        Returns:
            A function to be called once, when the window was read or will not be read.
        """
        below = window.row_end if next_row is None else next_row
        expected = _Expected(window, below, first_column)
        with self._lock:
            self._expected.append(expected)

        def forget() -> None:
            with self._lock:  # windows are compared in Python, so threads may switch meanwhile
                self._expected.remove(expected)

        return forget

    def _read(self, window: Window) -> Block:
        # First load every block that no other thread is loading; only then wait for the others.
        futures = [(block, self._claim(block)) for block in self._covering(window)]
        parts = [(block, future.result()) for block, future in futures]
        if len(parts) == 1:
            block, (pixels, data) = parts[0]
            inner = _cells(window, block)
            return pixels[:, *inner], data[:, *inner]
        size = window.height, window.width
        first = parts[0][1][0]
        pixels = empty_apart((len(first), *size), first.dtype)
        _copy_parts([(block, loaded[0]) for block, loaded in parts], window, pixels)
        masks = [(block, loaded[1]) for block, loaded in parts]
        if all(is_all_true(mask) for _, mask in masks):
            return pixels, all_true((1, *size))
        data = empty_apart((max(len(mask) for _, mask in masks), *size), np.bool_)
        _copy_parts(masks, window, data)
        return pixels, data

    @property
    def most_rows(self) -> int:
        """Rows of the tallest windows that :meth:`reserve` accepts; 0 where it accepts none."""
        rows = self.most_capacity // self._row_bytes
        return self.height if rows >= self.height else max(rows - 2 * self.block[1], 0)

    @property
    def most_columns(self) -> int:
        """Columns of a strip of which a row of blocks takes no more than the usual capacity.

        At least eight blocks: those on a seam of two strips are loaded for each of them.
        """
        columns = self._usual // (self.block[1] * self._pixel_bytes)
        return min(max(columns, _STRIP_BLOCKS * self.block[0]), self.width)

    def reserve(self, rows: int) -> bool:
        """Raise the capacity so that the windows of a row share their blocks.

        Args:
            rows: Height of a window.

        Returns:
            Whether ``most_capacity`` suffices; otherwise the capacity stays as it is.
        """
        needed = min(rows + 2 * self.block[1], self.height) * self._row_bytes
        if needed <= self.most_capacity:
            self.capacity = max(self.capacity, needed)
        return needed <= self.most_capacity

    @property
    def _row_bytes(self) -> int:
        """Bytes of a row of pixels, in two blocks side by side or in one that spans the raster."""
        return min(2 * self.block[0], self.width) * self._pixel_bytes

    def clear(self) -> None:
        """Drop all blocks."""
        with self._lock:
            self._held.clear()
            self._bytes = 0
            self._patience = self.capacity

    def _covering(self, window: Window) -> Iterator[Window]:
        width, height = self.block
        for top in range(window.row_off // height * height, window.row_end, height):
            for left in range(window.col_off // width * width, window.col_end, width):
                yield Window(
                    left, top, min(width, self.width - left), min(height, self.height - top)
                )

    def _claim(self, block: Window) -> Future[Block]:
        """Return the future of a block; load it here unless another thread is loading it."""
        with self._lock:
            future = self._held.get(block)
            if future is not None:
                self._held.move_to_end(block)
                return future
            future = self._held[block] = Future()
        try:
            loaded = self._load(block)
        except BaseException as error:
            with self._lock:
                self._held.pop(block, None)
            future.set_exception(error)
            raise
        future.set_result(loaded)
        self._make_room(sum(_nbytes(array) for array in loaded))
        return future

    def _make_room(self, added: int) -> None:
        with self._lock:
            self._bytes += added
            # Not at each block: other threads wait while all that are held are compared.
            if self._bytes > min(self._patience, self.most_capacity):
                front = _ReadingFront({*self._expected})
                self._drop([block for block in self._held if front.is_past(block)], self.capacity)
                self._patience = max(self._bytes, self.capacity) + self.capacity // _PATIENCE
            if self._bytes > self.most_capacity:
                self._drop(list(self._held), self.most_capacity)

    def _drop(self, blocks: Iterable[Window], most_bytes: int) -> None:
        """Drop some of these blocks, the first ones first, until no more bytes are held."""
        for block in blocks:
            if self._bytes <= most_bytes:
                return
            if self._held[block].done():
                loaded = self._held.pop(block).result()
                self._bytes -= sum(_nbytes(array) for array in loaded)


class _Expected(NamedTuple):
    """A window that is being read, or will be soon."""

    window: Window
    next_row: int
    """First row of the windows below it."""
    first_column: int
    """First column of its strip."""

    def passed_columns(self, bottom: int) -> float:
        """Return how many columns of the blocks that end at a row are no longer needed."""
        if bottom <= self.window.row_off:
            return math.inf
        return self.window.col_off if bottom <= self.next_row else self.first_column


class _ReadingFront:
    """The progress of windows that are read in rows, strip by strip, on several threads.

    Args:
        expected: Windows that are being read, or will be next.
    """

    def __init__(self, expected: Collection[_Expected]) -> None:
        self._expected = expected
        ends = (one.window.row_end + one.window.height for one in expected)
        self._end = max(ends, default=0)
        self._columns: dict[int, float] = {}

    def is_past(self, block: Window) -> bool:
        """Whether neither these windows nor later ones need a block.

        Blocks more than a row of windows below are of other rows that were read before.
        """
        top = block.row_off
        if top not in self._columns:
            self._columns[top] = self._passed_columns(top, block.row_end)
        return block.col_off + block.width <= self._columns[top]

    def _passed_columns(self, top: int, bottom: int) -> float:
        """Return how many columns of a row of blocks, from the left, are needed no more."""
        if top >= self._end:
            return math.inf
        return min(one.passed_columns(bottom) for one in self._expected)


def any_layer(data: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether any of the layers (C, H, W) has data, for each pixel: (H, W)."""
    if len(data) == 1:
        only: NDArray[np.bool_] = data[0]
        return only
    return np.logical_or.reduce(data, out=empty_apart(data.shape[1:], np.bool_))


def _nbytes(array: NDArray[Any]) -> int:
    """Bytes that an array holds: almost none where one value is broadcast."""
    return array.nbytes if any(array.strides) else array.itemsize


def _copy_parts(
    parts: Iterable[tuple[Window, NDArray[Any]]], window: Window, whole: NDArray[Any]
) -> None:
    """Copy what blocks (C, H, W) share with a window to its array."""
    for block, part in parts:
        shared = _shared(window, block)
        whole[:, *_cells(shared, window)] = part[:, *_cells(shared, block)]


def _shared(window: Window, block: Window) -> Window:
    left, top = max(window.col_off, block.col_off), max(window.row_off, block.row_off)
    right, bottom = min(window.col_end, block.col_end), min(window.row_end, block.row_end)
    return Window(left, top, right - left, bottom - top)


def _cells(window: Window, origin: Window) -> tuple[slice, slice]:
    """Return a window as slices, rows and columns, of an array that begins at another window."""
    inner = window.shifted(-origin.col_off, -origin.row_off)
    return slice(inner.row_off, inner.row_end), slice(inner.col_off, inner.col_end)
