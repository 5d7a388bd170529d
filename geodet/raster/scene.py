"""Read a raster scene window by window through GDAL, never as a whole."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from rasterio.windows import Window as RasterioWindow

from geodet.config.reading_config import ReadingConfig
from geodet.errors import SceneError
from geodet.geometry.arrays import drop_spare_pages
from geodet.geometry.windows import Window, WindowLimits
from geodet.raster.bands import common_dtype, find_band
from geodet.raster.block_layout import lay_out_blocks
from geodet.raster.blocks import Block, BlockStore, any_layer
from geodet.raster.chip import Chip
from geodet.raster.intact_parts import read_what_is_intact
from geodet.raster.open_raster import OpenRaster
from geodet.raster.remote import ServerError
from geodet.raster.resampling import AxisWeights, resample
from geodet.raster.unreadable import UNREADABLE, unreadable_error

__all__ = ["Scene"]

logger = logging.getLogger(__name__)

_MORE_ROWS = 3  # rows of the raster that a window of a resampled grid needs beyond its own


class Scene(OpenRaster):
    """An open raster, to be used in a ``with`` block that closes it.

    :meth:`read` may be called from several threads. Each call borrows a GDAL handle from a pool,
    so the raster is opened once and then again only for each further thread that reads at the same
    time; the threads share the blocks that they decode. A palette is read as red, green and blue. A
    raster that is georeferenced by ground control points or RPCs alone is warped while it is read.
    A picture without a georeference is turned as its EXIF orientation says.

    Args:
        path: Anything that GDAL opens.
        bands: Bands to read, counted from 1 or by name; empty: all but an alpha band.
        gsd: Metres per pixel, in place of what the georeference says.
        as_stored: Whether to read the pixels as they are stored, neither turned nor warped.
        limits: How long the server of a remote scene may take, how often it is asked again, and
            whether :meth:`read` leaves areas blank that cannot be read.

    Raises:
        SceneError: The file is missing, is not a raster, is truncated, or lacks a band.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        bands: Sequence[int | str] = (),
        gsd: float | None = None,
        as_stored: bool = False,
        limits: ReadingConfig | None = None,
    ) -> None:
        super().__init__(path, as_stored=as_stored, limits=limits)
        self._blocks: BlockStore | None = None
        self._has_warned_of_width = False
        try:
            self._sources.call(lambda: self._describe(gsd), f"open {self.path}")
            self.select(bands)
        except BaseException:
            self.close()
            raise

    def select(self, bands: Sequence[int | str] = ()) -> None:
        """Choose the bands that :meth:`read` returns; call it while no other thread reads.

        Args:
            bands: Counted from 1 or by name, in the order wished; empty: all but an alpha band.

        Raises:
            SceneError: The raster lacks a band, or the bands have no common real data type.
        """
        known = self._names, self.all_meanings, self._labels
        chosen = tuple(find_band(band, *known, path=self.path) for band in bands)
        self.bands = chosen or self.data_bands
        """Numbers of the bands that are read, in their order."""
        self.dtype = common_dtype(self.path, [self._dtypes[band - 1] for band in self.bands])
        self.band_names = tuple(self._labels[band - 1] for band in self.bands)
        self.band_meanings = tuple(self.all_meanings[band - 1] for band in self.bands)
        """The name of each band, such as red or nir; "" where it is unknown."""
        self._sources.call(self._look_for_masks, f"open {self.path}")
        self.clear_cache()
        self._blocks = self._make_blocks()

    def _look_for_masks(self) -> None:
        with self._sources.lend() as source:
            self.masks = source.masks(self.bands, self.doubtful_alpha)
            """The masks of the bands."""
            has_overviews = bool(source.dataset.overviews(self.bands[0]))
            self._has_overviews = has_overviews and self.turn.is_none

    @property
    def window_limits(self) -> WindowLimits:
        """How tall windows and how wide strips of the grid should be at most.

        All rows for most rasters; fewer where blocks are very wide, as taller windows make GDAL
        decode parts of them again. All columns where blocks span the raster, of a small raster, and
        of one on a server, from which what two strips share would be loaded twice.
        """
        if self._blocks is None or self._is_far:
            return WindowLimits()
        rows, columns = self._blocks.most_rows, self._blocks.most_columns
        has_all_columns = columns == self.geobox.width or self.is_remote or not self.turn.is_none
        return WindowLimits(
            math.inf
            if rows == self.geobox.height
            else max(int((rows - _MORE_ROWS) / self.scale[1]), 0),
            math.inf if has_all_columns else math.ceil(columns / self.scale[0]),
        )

    @property
    def _is_far(self) -> bool:
        """Whether overviews are read: they are averages already, and a fraction of the bytes."""
        return self._has_overviews and min(self.scale) >= 2

    def read(self, window: Window) -> Chip:
        """Read one window of the grid.

        Pixels are averaged where the grid is coarser than the raster, so that nothing aliases, and
        interpolated where it is finer.

        Args:
            window: In the pixels of the grid, and within it.

        Raises:
            SceneError: The window cannot be read.
        """
        chip, reason = self._read_or_leave_blank(window)
        if reason:
            self.unreadable.note(self.source_area(window), reason)
        return chip

    def read_sample(self, window: Window) -> Chip:
        """Read a window as :meth:`read` does, but do not note it as unreadable if it fails.

        The windows that cover the scene note it, if they need it.
        """
        chip, _ = self._read_or_leave_blank(window)
        # A part of a block would keep all of the block in memory.
        return Chip(window, chip.pixels.copy(), chip.valid.copy())

    def _read_or_leave_blank(self, window: Window) -> tuple[Chip, str]:
        """Read a window of the grid; return why it is left blank, "" for most."""
        is_direct = self._blocks is None or self._is_far
        try:
            chip = self._guarded(self._read_directly if is_direct else self._read_blocks, window)
        except SceneError as error:
            if not self._may_skip(error):
                raise
            return self._blank(window), str(error)
        self.unreadable.note_server(failed=False)
        return chip, ""

    def _may_skip(self, error: SceneError) -> bool:
        """Whether a window that cannot be read is left out."""
        if self._limits.on_error == "stop":
            return False
        if isinstance(error.__cause__, ServerError | TimeoutError):
            return self.unreadable.note_server(failed=True)
        # Not where the raster cannot be opened any more, or the read was abandoned.
        return isinstance(error.__cause__, UNREADABLE) and str(error).startswith("cannot read")

    def _blank(self, window: Window) -> Chip:
        shape = (window.height, window.width)
        pixels = np.zeros((len(self.bands), *shape), self.dtype)
        return Chip(window, pixels, np.zeros(shape, np.bool_))

    def expect(self, window: Window, *, next_row: int, first_column: int = 0) -> Callable[[], None]:
        """Announce a window that will be read soon, so that what it needs is decoded only once.

        Args:
            window: In the pixels of the grid, and within it.
            next_row: First row of the windows below it; the height of the grid if there are none.
            first_column: First column of the strip of windows that it is in.

        Returns:
            A function to be called once, when the window was read or will not be read.
        """
        if self._blocks is None or self._is_far:
            return lambda: None
        source, _ = self._source_window(window)
        rows = self.grid[1]
        first, _ = self._source_window(Window(first_column, min(next_row, rows - 1), 1, 1))
        below = first.row_off if next_row < rows else self.geobox.height
        return self._blocks.expect(source, next_row=below, first_column=first.col_off)

    def read_overview(self, max_side: int) -> Chip:
        """Read the whole raster, reduced to at most ``max_side`` pixels on its longer side."""
        shrink = min(1.0, max_side / max(self.geobox.width, self.geobox.height))
        with self._on_grid(self.geobox.width * shrink, self.geobox.height * shrink):
            return self._guarded(self._read_directly, Window(0, 0, *self.grid))

    def read_part(self, part: Window, width: int, height: int) -> Chip:
        """Read a part of the raster at another resolution, from an overview where there is one.

        The grid does not matter, so that threads may read at different resolutions.

        Args:
            part: In the pixels of the raster, and within it.
            width: Columns of the result.
            height: Rows of the result.

        Raises:
            SceneError: The part cannot be read.
        """
        source = RasterioWindow(part.col_off, part.row_off, part.width, part.height)

        def read(window: Window) -> Chip:
            pixels, data = self._read_source(source, (height, width))
            return Chip(window, pixels, any_layer(data))

        return self._guarded(read, part)

    def clear_cache(self) -> None:
        """Free the decoded blocks; the raster stays open."""
        if self._blocks is not None:
            self._blocks.clear()
        drop_spare_pages()

    def close(self) -> None:
        """Close all GDAL handles and free the decoded blocks."""
        super().close()
        self.clear_cache()

    def _read_source(self, window: Window | RasterioWindow, shape: tuple[int, int]) -> Block:
        with self._sources.lend() as source:
            if not self._is_in_overview(window, shape):
                # Of an expanded palette the bands are others.
                bands = None if source.held else {*self.bands, self.masks.alpha or 0}
                self._members.open_shown(window, bands)
            return source.read(self.bands, self.masks, window, shape)

    def _is_in_overview(self, window: Window | RasterioWindow, shape: tuple[int, int]) -> bool:
        """Whether GDAL reads a window from a file of overviews, and not from the members."""
        reduction = min(window.height / shape[0], window.width / shape[1])
        return self._has_overviews and reduction >= 2 and Path(f"{self.path}.ovr").is_file()

    def _make_blocks(self) -> BlockStore | None:
        return lay_out_blocks(
            (self.geobox.width, self.geobox.height),
            self._file_blocks,
            self._load_block,
            pixel_bytes=len(self.bands) * self.dtype.itemsize,
            mask_bytes=len(self.bands) if self.masks.are_declared else 1,
            is_turned=not self.turn.is_none,
        )

    def _guarded(self, read: Callable[[Window], Chip], window: Window) -> Chip:
        try:
            return self._sources.call(lambda: read(window), f"read {window} of {self.path}")
        except SceneError:
            raise
        except UNREADABLE as error:
            can_skip = self._has_limits
            raise unreadable_error(self.path, window, error, can_skip=can_skip) from error

    def _read_blocks(self, window: Window) -> Chip:
        assert self._blocks is not None
        source, weights = self._source_window(window)
        if not self._reserve(source):
            return self._read_directly(window)
        try:
            pixels, data = self._blocks.read(source)
        except (ServerError, SceneError):
            raise
        except UNREADABLE:  # the damage may lie in a block, but outside of the window
            return self._read_directly(window)
        if not weights:
            return Chip(window, pixels, any_layer(data))
        return Chip(window, *resample(pixels, data, *weights))

    def _source_window(self, window: Window) -> tuple[Window, list[AxisWeights]]:
        """Return the pixels of the raster that a window needs, and how they make its own."""
        width, height = self.geobox.width, self.geobox.height
        if self.grid == (width, height):
            return window, []
        columns = AxisWeights.between(width, self.grid[0], window.col_off, window.col_end)
        rows = AxisWeights.between(height, self.grid[1], window.row_off, window.row_end)
        size = columns.end - columns.first, rows.end - rows.first
        return Window(columns.first, rows.first, *size), [columns, rows]

    def _reserve(self, source: Window) -> bool:
        """Make room for the blocks of a row of windows; return whether they fit."""
        assert self._blocks is not None
        if self._blocks.reserve(source.height):
            return True
        if not self._has_warned_of_width:
            self._has_warned_of_width = True
            logger.warning(
                "%s is too wide to keep a row of windows in memory: parts of it are decoded more "
                "than once; a copy as a COG (gdal_translate -of COG) is read faster",
                self.name,
            )
        return False  # blocks would be dropped before they are used again

    def _load_block(self, block: Window) -> Block:
        if self._limits.on_error == "stop":
            return self._read_whole(block)
        return read_what_is_intact(
            self._read_whole,
            block,
            self.unreadable.note,
            cells=self._members.cells,
            part=self._file_blocks,
            bands=len(self.bands),
            dtype=self.dtype,
        )

    def _read_whole(self, area: Window) -> Block:
        return self._read_source(area, (area.height, area.width))

    def _read_directly(self, window: Window) -> Chip:
        """Read a window that GDAL resamples, from an overview where there is one."""
        sx, sy = self.scale
        left, top = window.col_off * sx, window.row_off * sy
        right = min(window.col_end * sx, self.geobox.width)
        bottom = min(window.row_end * sy, self.geobox.height)
        source = RasterioWindow(left, top, right - left, bottom - top)
        shape = (window.height, window.width)
        pixels, data = self._read_source(source, shape)
        return Chip(window, pixels, any_layer(data))

    @contextlib.contextmanager
    def _on_grid(self, width: float, height: float) -> Iterator[None]:
        before = self.grid
        self.resample(round(width), round(height))
        try:
            yield
        finally:
            self.grid = before
