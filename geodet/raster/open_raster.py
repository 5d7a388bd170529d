"""An open raster and its description, which does not depend on the part that is read."""

from __future__ import annotations

import math
from pathlib import Path

from rasterio.errors import RasterioError

from geodet.config.reading_config import ReadingConfig
from geodet.files.closable import Closing
from geodet.geometry.windows import Window
from geodet.raster.bands import band_meanings
from geodet.raster.block_layout import file_blocks
from geodet.raster.mosaic_members import MosaicMembers, find_members
from geodet.raster.source import Source, quietly
from geodet.raster.source_access import SourceAccess
from geodet.raster.unreadable import UnreadableAreas

__all__ = ["OpenRaster"]


class OpenRaster(Closing):
    """The handles of a raster, its description and grid; see :class:`geodet.raster.scene.Scene`.

    Args:
        path: Anything that GDAL opens.
        as_stored: Whether to read the pixels as they are stored, neither turned nor warped.
        limits: How long the server of a remote raster may take, and what becomes of areas that
            cannot be read.
    """

    def __init__(
        self, path: str | Path, *, as_stored: bool = False, limits: ReadingConfig | None = None
    ) -> None:
        self.path = str(path)
        self.resolution: tuple[float, float] | None = None
        """Metres per pixel along x and y on the ground; None where they are unknown."""
        self._limits, self._has_limits = limits or ReadingConfig(), limits is not None
        self._sources = SourceAccess(self.path, self._limits, as_stored=as_stored)
        self.unreadable = UnreadableAreas()
        """Areas that were skipped, in the pixels of the raster."""

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.path).name

    @property
    def gsd(self) -> float | None:
        """Metres per pixel of the raster itself, None where they are unknown."""
        return None if self.resolution is None else math.sqrt(math.prod(self.resolution))

    @property
    def skips_damage(self) -> bool:
        """Whether areas that cannot be read are left blank."""
        return self._limits.on_error == "skip"

    def assume_gsd(self, gsd: float) -> None:
        """Set the metres per pixel of a raster whose georeference does not tell them."""
        self.resolution = (gsd, gsd)

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the raster per pixel of the grid, along x and y."""
        return self.geobox.width / self.grid[0], self.geobox.height / self.grid[1]

    def resample(self, width: int, height: int) -> None:
        """Make :meth:`read` serve a grid of another size over the same ground."""
        self.grid = (max(width, 1), max(height, 1))

    def source_area(self, window: Window) -> Window:
        """Return the pixels of the raster that a window of the grid covers, in part at least."""
        sx, sy = self.scale
        left, top = max(int(window.col_off * sx), 0), max(int(window.row_off * sy), 0)
        right = min(math.ceil(window.col_end * sx), self.geobox.width)
        bottom = min(math.ceil(window.row_end * sy), self.geobox.height)
        return Window(left, top, max(right - left, 1), max(bottom - top, 1))

    @property
    def is_remote(self) -> bool:
        """Whether it is read over a network."""
        return self._sources.is_remote

    def abandon_reads(self) -> None:
        """End reads that wait for a server with an error at once; what they read is lost."""
        self._sources.abandon()

    def close(self) -> None:
        """Close all GDAL handles."""
        self._sources.close()

    def _describe(self, gsd: float | None) -> None:
        """Note what does not depend on the chosen bands."""
        with self._sources.lend() as source:
            self._describe_source(source, gsd)
        # The places of members are those of the raster before it is warped.
        self._members = MosaicMembers(() if self.warped_by else find_members(self.path))
        self.doubtful_alpha = self._find_doubtful_alpha()
        """Number of a band that is flagged as alpha, but varies like imagery; None for most."""
        self.all_meanings = band_meanings(self._names, self._colours, self.doubtful_alpha)
        """The name of each band of the raster, an alpha band included; "" where it is unknown."""

    def _describe_source(self, source: Source, gsd: float | None) -> None:
        self.warped_by = source.warped_by
        """The source of the warp while it is read; "" for most rasters."""
        self.turn = source.turn
        """The rotation of a picture while it is read, by its EXIF orientation."""
        self.geobox = source.geobox
        self.unplaced_crs = source.unplaced_crs
        """The CRS that the raster declares without a geotransform, and that its geobox therefore
        lacks; None for most."""
        self.resolution = (gsd, gsd) if gsd else self.geobox.ground_resolution
        self.grid = (self.geobox.width, self.geobox.height)
        """Columns and rows of the grid that :meth:`read` serves."""
        self.count: int = source.dataset.count
        """Bands of the raster, an alpha band included."""
        numbers = range(1, self.count + 1)
        self.data_bands = tuple(band for band in numbers if band != source.alpha)
        """Numbers of the bands but an alpha band."""
        self._names, self._colours = source.names, source.colours
        self._labels = tuple(source.band_name(band) for band in source.dataset.indexes)
        self._dtypes = tuple(source.dataset.dtypes)
        with quietly(self.path):
            self._file_blocks = file_blocks(source.dataset) if self.turn.is_none else self.grid

    def _find_doubtful_alpha(self) -> int | None:
        try:
            with self._sources.lend() as source:
                return source.doubtful_alpha
        except RasterioError:
            return None  # reading it reports that it is damaged
