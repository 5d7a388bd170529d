"""A raster scene, read window by window through GDAL, never as a whole."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from geodet.errors import SceneError
from geodet.files.closable import Closing
from geodet.geometry.arrays import empty_apart
from geodet.geometry.windows import Window
from geodet.raster.bands import band_meanings, resolve_band
from geodet.raster.blocks import Block, BlockStore, block_shape
from geodet.raster.resampling import Axis, resample
from geodet.raster.source import Source, gdal_options, open_source, quietly

__all__ = ["Chip", "Scene"]

logger = logging.getLogger(__name__)

_BLOCK_BYTES = (96 * 2**20, 512 * 2**20)  # kept at least, and at most, of decoded blocks
_MORE_ROWS = 3  # of the raster, that a window of another grid takes beyond its own
_UNREADABLE = (RasterioError, OSError)


@dataclass(frozen=True, slots=True)
class Chip:
    """The pixels of one window."""

    window: Window
    """Where the chip lies in its scene's grid."""
    pixels: NDArray[Any]
    """(C, H, W) in the scene's own dtype and units."""
    valid: NDArray[np.bool_]
    """(H, W), True where there is data."""


class Scene(Closing):
    """An open raster; closes with its ``with`` block.

    Every thread gets a GDAL handle of its own, so :meth:`read` may be called from many; the blocks
    that they decode are shared. A palette is read as red, green and blue; a raster that only ground
    control points or RPCs place on the ground is warped while it is read.

    Args:
        path: Anything that GDAL opens.
        bands: Bands to read, counted from 1 or by name; empty: all but an alpha band.
        gsd: Metres per pixel, for a raster that does not know.

    Raises:
        SceneError: The raster is missing, is not one, or lacks a band.
    """

    def __init__(
        self, path: str | Path, *, bands: Sequence[int | str] = (), gsd: float | None = None
    ) -> None:
        self.path = str(path)
        self._options = gdal_options(self.path)
        self._local = threading.local()
        self._handles: list[Source] = []
        self._blocks: BlockStore | None = None
        self._is_wide = False
        try:
            source = self._source()
            self._describe_bands(source, bands)
        except BaseException:
            self.close()
            raise
        self.warped_by = source.warped_by
        """What the raster is warped by while it is read; "" as a rule."""
        self.geobox = source.geobox
        size = self.geobox.ground_resolution
        self.resolution = (gsd, gsd) if gsd else size
        """Metres per pixel along x and y on the ground; None when nobody knows."""
        self.grid = (self.geobox.width, self.geobox.height)
        """Columns and rows of the grid that :meth:`read` serves."""
        self._has_overviews = bool(source.dataset.overviews(self.bands[0]))
        self._blocks = self._make_blocks(source)

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.path).name

    @property
    def gsd(self) -> float | None:
        """Metres per pixel of the raster itself."""
        return None if self.resolution is None else math.sqrt(math.prod(self.resolution))

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the raster per pixel of the grid, along x and y."""
        return self.geobox.width / self.grid[0], self.geobox.height / self.grid[1]

    @property
    def rows_kept(self) -> int:
        """Rows of the tallest windows of the grid that share decoded blocks with their neighbours.

        As a rule all rows; fewer where strips are very long: each taller window decodes them anew.
        """
        if self._blocks is None or self._is_far:
            return self.grid[1]
        rows = self._blocks.most_rows
        is_all = rows == self.geobox.height
        return self.grid[1] if is_all else max(int((rows - _MORE_ROWS) / self.scale[1]), 0)

    @property
    def _is_far(self) -> bool:
        """Tell whether overviews serve: averages already, and a fraction of the bytes."""
        return self._has_overviews and min(self.scale) >= 2

    def resample(self, width: int, height: int) -> None:
        """Let :meth:`read` serve a grid of another size over the same ground."""
        self.grid = (max(width, 1), max(height, 1))

    def read(self, window: Window) -> Chip:
        """Read one window of the grid.

        Averages where the grid is coarser than the raster (so nothing aliases), interpolates where
        it is finer.

        Raises:
            SceneError: The window cannot be read; names it and the file.
        """
        if self._blocks is None or self._is_far:
            return self._guarded(self._read_directly, window)
        return self._guarded(self._read_blocks, window)

    def read_overview(self, max_side: int) -> Chip:
        """Read the whole raster, no longer than ``max_side`` pixels on its longer side."""
        shrink = min(1.0, max_side / max(self.geobox.width, self.geobox.height))
        with self._on_grid(self.geobox.width * shrink, self.geobox.height * shrink):
            return self._guarded(self._read_directly, Window(0, 0, *self.grid))

    def close(self) -> None:
        """Close every thread's handle."""
        while self._handles:
            self._handles.pop().close()
        self._local = threading.local()
        if self._blocks is not None:
            self._blocks.clear()

    def _source(self) -> Source:
        if not hasattr(self._local, "source"):
            self._local.source = open_source(self.path)
            self._handles.append(self._local.source)
        return self._local.source  # type: ignore[no-any-return]

    def _read_source(self, window: Window | RasterioWindow, shape: tuple[int, int]) -> Block:
        source = self._source()
        try:
            return source.read(self.bands, self._mask_band, window, shape)
        except _UNREADABLE:
            # From then on the handle of a mosaic gives zeros for the file that it could not open.
            del self._local.source
            self._handles.remove(source)
            source.close()
            raise

    def _describe_bands(self, source: Source, wanted: Sequence[int | str]) -> None:
        self.count: int = source.dataset.count
        self._alpha = source.alpha
        meanings = band_meanings(source.names, source.colours)
        numbers = tuple(self._number(band, source, meanings) for band in wanted)
        colour = [band for band in source.dataset.indexes if band != self._alpha]
        self.bands = numbers or tuple(colour)
        self._check_bands(source.dataset)
        self.dtype = np.dtype(source.dataset.dtypes[self.bands[0] - 1])
        self.band_names = tuple(source.band_name(band) for band in self.bands)
        self.band_meanings = tuple(meanings[band - 1] for band in self.bands)
        """What each band shows, such as red or nir; "" where nothing says so."""
        self._mask_band = source.mask_band(self.bands)

    def _number(self, band: int | str, source: Source, meanings: Sequence[str]) -> int:
        number = band if isinstance(band, int) else resolve_band(band, source.names, meanings)
        if not 1 <= number <= self.count:
            has = ", ".join(source.band_name(n) for n in source.dataset.indexes)
            raise SceneError(
                f"no band {band} in {self.path}, which has {self.count}: {has}",
                hint="bands are counted from 1, or named as the scene names them",
            )
        return number

    def _check_bands(self, dataset: Any) -> None:
        dtypes = {dataset.dtypes[band - 1] for band in self.bands}
        if len(dtypes) > 1 or any(name.startswith("complex") for name in dtypes):
            raise SceneError(
                f"the bands of {self.path} hold {' and '.join(sorted(dtypes))} values",
                hint="choose real bands of one type, or convert them with gdal_translate",
            )

    def _make_blocks(self, source: Source) -> BlockStore | None:
        """Share decoded blocks between threads, unless a single one is too large to keep many."""
        per_pixel = len(self.bands) * self.dtype.itemsize
        with quietly(self.path):
            width, height = block_shape(source.dataset, per_pixel)
        if width * height * per_pixel > _BLOCK_BYTES[1] // 8:
            return None
        has_masks = self._mask_band not in (None, self._alpha)  # one of each band
        return BlockStore(
            self.geobox.width,
            self.geobox.height,
            (width, height),
            self._load_block,
            capacity=_BLOCK_BYTES[0],
            most_capacity=_BLOCK_BYTES[1],
            pixel_bytes=per_pixel + (len(self.bands) if has_masks else 1),
        )

    def _guarded(self, read: Callable[[Window], Chip], window: Window) -> Chip:
        try:
            with rasterio.Env(**self._options):
                return read(window)
        except _UNREADABLE as error:
            cause = error.__cause__ or error  # rasterio says to look there
            raise SceneError(
                f"cannot read {window} of {self.path}: {cause}",
                hint="the file may be truncated or still being written; check it with gdalinfo",
            ) from error

    def _read_blocks(self, window: Window) -> Chip:
        assert self._blocks is not None
        width, height = self.geobox.width, self.geobox.height
        columns = Axis.between(width, self.grid[0], window.col_off, window.col_end)
        rows = Axis.between(height, self.grid[1], window.row_off, window.row_end)
        source = Window(
            columns.first, rows.first, columns.end - columns.first, rows.end - rows.first
        )
        if not self._reserve(source):
            return self._read_directly(window)
        try:
            pixels, data = self._blocks.read(source)
        except _UNREADABLE:  # what is broken may lie in a block, but outside of the window
            return self._read_directly(window)
        if self.scale == (1.0, 1.0):
            return Chip(window, pixels, _any(data))
        return Chip(window, *resample(pixels, data, columns, rows))

    def _reserve(self, source: Window) -> bool:
        """Let the blocks of a whole row of windows be kept, and say whether they can be."""
        assert self._blocks is not None
        if self._blocks.reserve(source.height):
            return True
        if not self._is_wide:
            self._is_wide = True
            logger.warning(
                "%s is too wide to keep a row of windows in memory: parts of it are decoded more "
                "than once; a copy as a COG (gdal_translate -of COG) is read faster",
                self.name,
            )
        return False  # blocks would be lost before they are used again

    def _load_block(self, block: Window) -> Block:
        return self._read_source(block, (block.height, block.width))

    def _read_directly(self, window: Window) -> Chip:
        """Let GDAL resample, from an overview where there is one."""
        sx, sy = self.scale
        left, top = window.col_off * sx, window.row_off * sy
        right = min(window.col_end * sx, self.geobox.width)
        bottom = min(window.row_end * sy, self.geobox.height)
        source = RasterioWindow(left, top, right - left, bottom - top)
        shape = (window.height, window.width)
        pixels, data = self._read_source(source, shape)
        return Chip(window, pixels, _any(data))

    @contextlib.contextmanager
    def _on_grid(self, width: float, height: float) -> Iterator[None]:
        before = self.grid
        self.resample(round(width), round(height))
        try:
            yield
        finally:
            self.grid = before


def _any(data: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say of each pixel whether any of the layers (C, H, W) has data: (H, W)."""
    return np.logical_or.reduce(data, out=empty_apart(data.shape[1:], np.bool_))
