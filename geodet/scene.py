"""A raster scene, read window by window through GDAL, never as a whole."""

from __future__ import annotations

import contextlib
import math
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window as RasterioWindow

from geodet.closing import Closing
from geodet.errors import SceneError
from geodet.geobox import GeoBox
from geodet.windows import Window

__all__ = ["Chip", "Scene"]

# Decoded blocks that neighbouring windows share, in bytes; GDAL's own default is 5 % of the memory.
_GDAL_OPTIONS = {"GDAL_CACHEMAX": 128 * 2**20, "GDAL_NUM_THREADS": 1}
_opening = threading.Lock()  # warnings.catch_warnings is not thread-safe


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

    Every thread gets a GDAL handle of its own, so :meth:`read` may be called from many.

    Args:
        path: Anything that GDAL opens.
        bands: Bands to read, counted from 1; empty: all but an alpha band.
        gsd: Metres per pixel, for a raster that does not know.

    Raises:
        SceneError: The raster is missing, is not one, or lacks a band.
    """

    def __init__(
        self, path: str | Path, *, bands: Sequence[int] = (), gsd: float | None = None
    ) -> None:
        self.path = str(path)
        self._local = threading.local()
        self._handles: list[Any] = []
        dataset = self._dataset()
        self.count: int = dataset.count
        self._alpha = _alpha_band(dataset)
        colour = [band for band in dataset.indexes if band != self._alpha]
        self.bands = tuple(bands) or tuple(colour)
        self._check_bands(dataset)
        self.dtype = np.dtype(dataset.dtypes[self.bands[0] - 1])
        self.band_names = tuple(_band_name(dataset, band) for band in self.bands)
        self._mask_band = _mask_band(dataset, self.bands, self._alpha)
        self.geobox = _geobox(dataset)
        size = self.geobox.ground_resolution
        self.resolution = (gsd, gsd) if gsd else size
        """Metres per pixel along x and y on the ground; None when nobody knows."""
        self.grid = (self.geobox.width, self.geobox.height)
        """Columns and rows of the grid that :meth:`read` serves."""

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
        source = self._source_window(window)
        shape = (window.height, window.width)
        options: dict[str, Any] = {"window": source, "resampling": self._resampling()}
        try:
            with rasterio.Env(**_GDAL_OPTIONS):
                dataset = self._dataset()
                pixels = dataset.read(self.bands, out_shape=(len(self.bands), *shape), **options)
                valid = self._read_valid(dataset, source, shape)
        except (RasterioError, OSError) as error:
            raise SceneError(
                f"cannot read {window} of {self.path}: {error}",
                hint="the file may be truncated or still being written; check it with gdalinfo",
            ) from error
        if pixels.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(axis=0)
        return Chip(window, pixels, valid)

    def read_overview(self, max_side: int) -> Chip:
        """Read the whole raster, no longer than ``max_side`` pixels on its longer side."""
        shrink = min(1.0, max_side / max(self.geobox.width, self.geobox.height))
        with self._on_grid(self.geobox.width * shrink, self.geobox.height * shrink):
            return self.read(Window(0, 0, *self.grid))

    def close(self) -> None:
        """Close every thread's handle."""
        while self._handles:
            self._handles.pop().close()
        self._local = threading.local()

    def _dataset(self) -> Any:
        if not hasattr(self._local, "dataset"):
            self._local.dataset = _open(self.path)
            self._handles.append(self._local.dataset)
        return self._local.dataset

    def _check_bands(self, dataset: Any) -> None:
        missing = [band for band in self.bands if not 1 <= band <= self.count]
        if missing:
            raise SceneError(
                f"no band {missing[0]} in {self.path}, which has {self.count}",
                hint="bands are counted from 1",
            )
        dtypes = {dataset.dtypes[band - 1] for band in self.bands}
        if len(dtypes) > 1 or any(name.startswith("complex") for name in dtypes):
            raise SceneError(
                f"the bands of {self.path} hold {' and '.join(sorted(dtypes))} values",
                hint="choose real bands of one type, or convert them with gdal_translate",
            )

    def _source_window(self, window: Window) -> RasterioWindow:
        sx, sy = self.scale
        left, top = window.col_off * sx, window.row_off * sy
        right = min(window.col_end * sx, self.geobox.width)
        bottom = min(window.row_end * sy, self.geobox.height)
        return RasterioWindow(left, top, right - left, bottom - top)

    def _resampling(self) -> Resampling:
        scale = max(self.scale)
        if scale == 1.0:
            return Resampling.nearest
        return Resampling.average if scale > 1.0 else Resampling.bilinear

    def _read_valid(
        self, dataset: Any, source: RasterioWindow, shape: tuple[int, int]
    ) -> NDArray[np.bool_]:
        if self._mask_band is None:
            return np.ones(shape, dtype=np.bool_)
        options: dict[str, Any] = {"window": source, "resampling": self._resampling()}
        if self._mask_band == self._alpha:
            # Any opacity is data: a fourth band that is called alpha may hold near-infrared.
            return dataset.read(self._alpha, out_shape=shape, **options) > 0  # type: ignore[no-any-return]
        # A pixel of a resampled grid has data where at least half of it has.
        least = 1 if self.scale == (1.0, 1.0) else 128
        masks = dataset.read_masks(self.bands, out_shape=(len(self.bands), *shape), **options)
        return (masks >= least).any(axis=0)  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def _on_grid(self, width: float, height: float) -> Iterator[None]:
        before = self.grid
        self.resample(round(width), round(height))
        try:
            yield
        finally:
            self.grid = before


def _open(path: str) -> Any:
    is_local = not path.startswith("/vsi") and "://" not in path
    if is_local and not Path(path).exists():
        raise SceneError(f"no such file: {path}", hint="check the path of the scene")
    try:
        with _opening, warnings.catch_warnings(), rasterio.Env(**_GDAL_OPTIONS):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(path)
    except RasterioError as error:
        raise SceneError(
            f"cannot open {path} as a raster: {error}",
            hint="geodet reads what GDAL reads, such as GeoTIFF, VRT, JPEG 2000 and PNG",
        ) from error
    if dataset.count == 0:
        dataset.close()
        raise SceneError(f"{path} holds no bands", hint="name one of its subdatasets")
    return dataset


def _alpha_band(dataset: Any) -> int | None:
    """Find the alpha band.

    Four-band imagery is often stored with near-infrared flagged as alpha, because that is what TIFF
    writers call a fourth band; a band described as something else is not alpha.
    """
    for band, meaning in zip(dataset.indexes, dataset.colorinterp, strict=True):
        described = (dataset.descriptions[band - 1] or "alpha").lower()
        if meaning == ColorInterp.alpha and described.startswith("alpha"):
            return int(band)
    return None


def _mask_band(dataset: Any, bands: Sequence[int], alpha: int | None) -> int | None:
    """Find the band whose mask says where there is data; None when all of it is data."""
    if alpha is not None and alpha not in bands:
        return alpha
    flags = dataset.mask_flag_enums[bands[0] - 1]
    masked = MaskFlags.all_valid not in flags and MaskFlags.alpha not in flags
    return bands[0] if masked else None


def _band_name(dataset: Any, band: int) -> str:
    described = dataset.descriptions[band - 1]
    if described:
        return str(described)
    meaning = dataset.colorinterp[band - 1]
    return meaning.name if meaning in _COLOURS else f"band {band}"


_COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.gray)


def _geobox(dataset: Any) -> GeoBox:
    crs = CRS.from_user_input(dataset.crs) if dataset.crs else None
    transform = dataset.transform
    if crs is None and transform == Affine.identity():
        transform = Affine(1, 0, 0, 0, -1, 0)  # as QGIS shows such a raster: y = -row
    return GeoBox(dataset.width, dataset.height, transform, crs)
