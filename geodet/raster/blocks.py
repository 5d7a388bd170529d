"""How a file keeps its pixels, and the blocks in which it is best read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from geodet.geometry.arrays import empty_apart
from geodet.geometry.windows import Window

__all__ = ["Block", "BlockStore", "block_shape"]

Block = tuple[NDArray[Any], NDArray[np.bool_]]
"""Pixels (C, H, W), and data (C, H, W) or (1, H, W), True where a band has data."""


class BlockStore:
    """Blocks of a raster, up to a number of bytes, for windows that come from top to bottom.

    What reaches below a row of windows is kept for the next row, at the cost of what lies behind
    them; else what was not used for longest goes first. Threads that need the same blocks at a time
    share the work: each decodes another one.

    Args:
        width: Columns of the raster.
        height: Rows of the raster.
        block: Width and height of a block.
        load: Decodes a block; called outside of the lock, from the thread that needs it.
        capacity: Bytes to keep.
        most_capacity: Bytes to keep at most, where :meth:`reserve` asks for more.
        pixel_bytes: Of a pixel in a block, at most: its values, and whether they are data.
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
        self._pixel_bytes = pixel_bytes
        self._load = load
        self._lock = threading.Lock()
        self._held: OrderedDict[Window, Future[Block]] = OrderedDict()
        self._reading: list[Window] = []
        self._bytes = 0

    def read(self, window: Window) -> Block:
        """Put a window together from its blocks.

        Args:
            window: Inside of the raster.
        """
        self._reading.append(window)
        try:
            return self._read(window)
        finally:
            self._reading.remove(window)

    def _read(self, window: Window) -> Block:
        # All that nobody works on are loaded before any that another thread works on is awaited.
        futures = [(block, self._claim(block)) for block in self._covering(window)]
        parts = [(block, future.result()) for block, future in futures]
        if len(parts) == 1:
            block, (pixels, data) = parts[0]
            inner = _cells(window, block)
            return pixels[:, *inner], data[:, *inner]
        layers = max(len(data) for _, (_, data) in parts)
        first = parts[0][1][0]
        pixels = empty_apart((len(first), window.height, window.width), first.dtype)
        data = empty_apart((layers, window.height, window.width), np.bool_)
        for block, (from_pixels, from_data) in parts:
            shared = _shared(window, block)
            place, source = _cells(shared, window), _cells(shared, block)
            pixels[:, *place], data[:, *place] = from_pixels[:, *source], from_data[:, *source]
        return pixels, data

    @property
    def most_rows(self) -> int:
        """Rows of the tallest windows that :meth:`reserve` accepts; 0: of none."""
        rows = self.most_capacity // self._row_bytes
        return self.height if rows >= self.height else max(rows - 2 * self.block[1], 0)

    def reserve(self, rows: int) -> bool:
        """Keep so much that windows side by side share what is decoded for one of them.

        Args:
            rows: Of a window.

        Returns:
            Whether that is allowed; else all stays as it is.
        """
        needed = min(rows + 2 * self.block[1], self.height) * self._row_bytes
        if needed <= self.most_capacity:
            self.capacity = max(self.capacity, needed)
        return needed <= self.most_capacity

    @property
    def _row_bytes(self) -> int:
        """Count the bytes of a row of blocks: two side by side, unless one is the whole row."""
        return min(2 * self.block[0], self.width) * self._pixel_bytes

    def clear(self) -> None:
        """Let go of all blocks."""
        with self._lock:
            self._held.clear()
            self._bytes = 0

    def _covering(self, window: Window) -> Iterator[Window]:
        width, height = self.block
        for top in range(window.row_off // height * height, window.row_end, height):
            for left in range(window.col_off // width * width, window.col_end, width):
                yield Window(
                    left, top, min(width, self.width - left), min(height, self.height - top)
                )

    def _claim(self, block: Window) -> Future[Block]:
        """Give the future of a block, after loading it here if nobody has begun to."""
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
            if self._bytes <= self.capacity:
                return
            windows = tuple(self._reading)
            for block in sorted(self._held, key=lambda block: not _is_behind(block, windows)):
                if self._bytes <= self.capacity:
                    break
                if self._held[block].done():
                    loaded = self._held.pop(block).result()
                    self._bytes -= sum(_nbytes(array) for array in loaded)


def _is_behind(block: Window, windows: Sequence[Window]) -> bool:
    """Tell whether windows have passed a block, if they come in rows from the top left."""
    return all(
        block.row_end <= (window.row_end if block.col_end <= window.col_off else window.row_off)
        for window in windows
    )


def _nbytes(array: NDArray[Any]) -> int:
    """Count the bytes that an array holds: one value that is repeated holds next to nothing."""
    return array.nbytes if any(array.strides) else array.itemsize


def _shared(window: Window, block: Window) -> Window:
    left, top = max(window.col_off, block.col_off), max(window.row_off, block.row_off)
    right, bottom = min(window.col_end, block.col_end), min(window.row_end, block.row_end)
    return Window(left, top, right - left, bottom - top)


def _cells(window: Window, origin: Window) -> tuple[slice, slice]:
    """Give the rows and columns of a window in an array that begins at another."""
    inner = window.shifted(-origin.col_off, -origin.row_off)
    return slice(inner.row_off, inner.row_end), slice(inner.col_off, inner.col_end)


_ROWS = 64  # strips of a few rows are read by so many rows at a time
_TILE = 256  # small tiles, so many pixels at a time
_BLOCK_BYTES = 8 * 2**20  # of a group of strips, so that no thread waits long for one


def block_shape(dataset: Any, bytes_per_pixel: int) -> tuple[int, int]:
    """Choose the width and height of the blocks to read a raster in.

    They are whole blocks of the file, several when those are small: whole rows of a striped file,
    groups of tiles of a tiled one. A mosaic is read as its first file wants to be.

    Args:
        dataset: An open raster.
        bytes_per_pixel: Of all bands that are read.
    """
    height, width = _file_blocks(dataset)
    width, height = min(width, dataset.width), min(height, dataset.height)
    if width < dataset.width:
        return min(_times(width, _TILE), dataset.width), min(_times(height, _TILE), dataset.height)
    rows = min(_ROWS, _BLOCK_BYTES // (width * bytes_per_pixel) or 1)
    return width, min(_times(height, rows), dataset.height)


def _times(size: int, least: int) -> int:
    """Give the smallest multiple that is not below the least."""
    return -(-least // size) * size


def _file_blocks(dataset: Any) -> tuple[int, int]:
    """Give rows and columns of a file's blocks; of strips in a mosaic, its first file's."""
    rows, columns = map(int, dataset.block_shapes[0])
    members = [name for name in dataset.files if not name.endswith((".vrt", ".ovr", ".msk"))]
    if dataset.driver != "VRT" or not members:
        return rows, columns
    try:
        with rasterio.open(members[0]) as member:
            rows, columns = map(int, member.block_shapes[0])
            return rows, columns
    except RasterioError:  # a member that is away; reading says so where it is needed
        return rows, columns
