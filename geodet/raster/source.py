"""Open a raster through GDAL, with palettes expanded and control points or RPCs applied."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
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

from geodet.errors import SceneError
from geodet.files.closable import Closing
from geodet.geometry.arrays import empty_apart
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.raster.blocks import Block
from geodet.raster.doubtful_alpha import varies_like_imagery
from geodet.raster.orientation import AS_STORED, Turn, is_truncated_png, read_turn
from geodet.raster.scene_lists import check_scene_exists
from geodet.raster.virtual_rasters import open_expanded, open_warped

__all__ = ["Source", "SourcePool", "check_complete", "gdal_options", "open_source", "quietly"]

_opening = threading.Lock()  # warnings.catch_warnings is not thread-safe

# Scenes keep decoded blocks for all their threads; GDAL's own cache serves the files of a VRT.
_LOCAL = {"GDAL_CACHEMAX": 32 * 2**20, "GDAL_NUM_THREADS": 1}
_REMOTE = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # a server's listing is slow, and often refused
    "GDAL_INGESTED_BYTES_AT_OPEN": 32_768,  # a COG's header in one request
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "CPL_VSIL_CURL_CACHE_SIZE": 64 * 2**20,  # shared by the handles of all threads
}
_NAMELESS = {"undefined", "palette", "alpha"}
_ARCHIVES = ("/vsizip/", "/vsitar/", "/vsigzip/", "/vsimem/", "/vsisubfile/", "/vsi7z/", "/vsirar/")


@dataclass(eq=False)
class Source(Closing):
    """An open GDAL handle of a raster, with the names and colours of its bands."""

    dataset: Any
    """The file, or a virtual raster on top of it."""
    names: tuple[str, ...]
    """Descriptions of the bands, "" where there is none."""
    colours: tuple[str, ...]
    """Names of their colour interpretations."""
    warped_by: str
    """What the raster is warped by, such as ground control points; "" for most rasters."""
    turn: Turn
    """How a picture is turned while it is read; all windows and sizes are of the turned one."""
    held: tuple[Any, ...]
    """Handles that the dataset reads from, closed after it."""

    def close(self) -> None:
        """Close the dataset, then the handles that it reads from."""
        for handle in (self.dataset, *self.held):
            handle.close()

    @property
    def alpha(self) -> int | None:
        """The number of the alpha band, None where there is none.

        TIFF writers often flag the fourth band as alpha although it is near-infrared. A band whose
        description names something else is not taken for alpha.
        """
        for band, (name, colour) in enumerate(zip(self.names, self.colours, strict=True), start=1):
            if colour == ColorInterp.alpha.name and (name or "alpha").lower().startswith("alpha"):
                return band
        return None

    @property
    def doubtful_alpha(self) -> int | None:
        """The number of the alpha band if it varies like imagery, such as near-infrared."""
        if self.alpha is None or self.names[self.alpha - 1] or self.held:
            return None  # its name says what it is, or it comes from a palette or from warping
        try:
            return self.alpha if varies_like_imagery(self.dataset, self.alpha) else None
        except RasterioError:
            return None  # reading it reports that it is damaged

    def mask_band(self, bands: tuple[int, ...]) -> int | None:
        """Return the band whose mask shows where there is data, None where all pixels have data."""
        if self.alpha is not None and self.alpha not in bands:
            return self.alpha
        flags = self.dataset.mask_flag_enums[bands[0] - 1]
        masked = MaskFlags.all_valid not in flags and MaskFlags.alpha not in flags
        return bands[0] if masked else None

    def band_name(self, band: int) -> str:
        """Return a band's description or colour, or else "band" and its number."""
        colour = self.colours[band - 1]
        return self.names[band - 1] or (f"band {band}" if colour in _NAMELESS else colour)

    def read(
        self,
        bands: tuple[int, ...],
        mask_band: int | None,
        window: Window | RasterioWindow,
        shape: tuple[int, int],
    ) -> Block:
        """Read a window; GDAL resamples it where the shape differs from the window's.

        Args:
            bands: Counted from 1.
            mask_band: The result of :meth:`mask_band` for these bands.
            window: In the pixels of the raster, as it is displayed.
            shape: Rows and columns of the result.

        Returns:
            Pixels (C, H, W), and data (C, H, W) or (1, H, W), True where a band has data.
        """
        place = self.turn.stored_window(window, self.size)
        pixels, data = self._read_stored(bands, mask_band, place, self.turn.size(shape))
        if self.turn.is_none:
            return pixels, data
        is_partial = any(data.strides)
        pixels, data = self.turn.applied(pixels), self.turn.applied(data)
        turned = np.ascontiguousarray(data) if is_partial else data
        return np.ascontiguousarray(pixels), turned

    def _read_stored(
        self,
        bands: tuple[int, ...],
        mask_band: int | None,
        window: RasterioWindow,
        shape: tuple[int, int],
    ) -> Block:
        """Read a window of the stored pixels."""
        is_scaled = shape != (window.height, window.width)
        coarser = max(window.height / shape[0], window.width / shape[1]) > 1
        scaled = Resampling.average if coarser else Resampling.bilinear
        options: dict[str, Any] = {
            "window": window,
            "resampling": scaled if is_scaled else Resampling.nearest,
        }
        dtype = self.dataset.dtypes[bands[0] - 1]
        pixels = empty_apart((len(bands), *shape), dtype)
        self.dataset.read(bands, out=pixels, **options)
        data: NDArray[np.bool_] = np.broadcast_to(np.True_, (1, *shape))
        if mask_band is not None and mask_band == self.alpha:
            # Any opacity counts as data: a band that is flagged as alpha may hold near-infrared.
            data = self.dataset.read([mask_band], out_shape=(1, *shape), **options) > 0
        elif mask_band is not None:
            # A resampled pixel has data where at least half of its area has.
            masks = self.dataset.read_masks(bands, out_shape=pixels.shape, **options)
            data = masks >= (128 if is_scaled else 1)
        if pixels.dtype.kind == "f":
            data = data & np.isfinite(pixels).all(axis=0)
        return pixels, np.broadcast_to(np.True_, (1, *shape)) if data.all() else data

    @property
    def geobox(self) -> GeoBox:
        """The raster's geobox; y is -row where there is no georeference, as in QGIS."""
        crs = CRS.from_user_input(self.dataset.crs) if self.dataset.crs else None
        transform = self.dataset.transform
        if crs is None and transform == Affine.identity():
            transform = Affine(1, 0, 0, 0, -1, 0)
        return GeoBox(*self.size, transform, crs)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as the raster is displayed."""
        return self.turn.size((self.dataset.width, self.dataset.height))


def gdal_options(path: str) -> dict[str, Any]:
    """Return GDAL options for reading a raster, but none that environment variables set."""
    options = _LOCAL | (_REMOTE if _is_remote(path) else {})
    return {name: value for name, value in options.items() if name not in os.environ}


@contextlib.contextmanager
def quietly(path: str) -> Iterator[None]:
    """Set GDAL options, and silence rasterio's warning of files that have no georeference.

    For ``with`` blocks that open files. Options and filters are restored at the end; only one
    thread at a time is in such a block.
    """
    with _opening, warnings.catch_warnings(), rasterio.Env(**gdal_options(path)):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def open_source(path: str, *, as_stored: bool = False) -> Source:
    """Open a raster, expand its palette, and warp it where only GCPs or RPCs georeference it.

    Args:
        path: Anything that GDAL opens.
        as_stored: Whether to ignore the EXIF orientation of a picture.

    Raises:
        SceneError: The file is missing, is not a raster, is truncated or has no bands.
    """
    check_scene_exists(path)
    handles: list[Any] = []
    try:
        with quietly(path):
            return _open(path, handles, as_stored=as_stored)
    except BaseException as error:
        for handle in reversed(handles):
            handle.close()
        if not isinstance(error, RasterioError):
            raise
        raise SceneError(
            f"cannot open {path} as a raster: {error}",
            hint=_hint(path),
            path=path,
        ) from error


class SourcePool(Closing):
    """Open handles of one raster, lent to one thread at a time.

    GDAL handles may be used by any thread, but by no two at once. A handle is opened only where all
    others are in use: a raster that one thread reads is opened once, whichever thread that is.

    Args:
        path: The raster.
        as_stored: Whether to ignore the EXIF orientation of a picture.
    """

    def __init__(self, path: str, *, as_stored: bool = False) -> None:
        self.path = path
        self._as_stored = as_stored
        self._idle: list[Source] = []
        self._is_closed = False

    @contextlib.contextmanager
    def lend(self) -> Iterator[Source]:
        """Yield a handle for the duration of a ``with`` block.

        A handle whose reading fails is closed: that of a mosaic would from then on return zeros in
        place of the file that it could not open.

        Raises:
            SceneError: The raster cannot be opened.
        """
        try:
            source = self._idle.pop()
        except IndexError:
            source = open_source(self.path, as_stored=self._as_stored)
        try:
            yield source
        except BaseException:
            source.close()
            raise
        self._idle.append(source)
        if self._is_closed:
            self.close()

    def close(self) -> None:
        """Close the handles; one that is lent out is closed when it comes back."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()


def _open(path: str, handles: list[Any], *, as_stored: bool) -> Source:
    handles.append(rasterio.open(path))
    if handles[0].count == 0:
        raise SceneError(
            f"{path} has no bands",
            hint="name one of its subdatasets: gdalinfo lists them",
            path=path,
        )
    check_complete(handles[0])
    turn = AS_STORED if as_stored else read_turn(handles[0])
    colours = open_expanded(handles[-1])
    if colours is not None:
        handles.append(colours)
    names = tuple(text or "" for text in handles[-1].descriptions)
    grid, warped_by = open_warped(handles[-1])
    if grid is not None:
        handles.append(grid)
        names += ("alpha",) * (grid.count - len(names))
    interpretations = tuple(colour.name for colour in handles[-1].colorinterp)
    return Source(handles[-1], names, interpretations, warped_by, turn, tuple(handles[-2::-1]))


def check_complete(dataset: Any) -> None:
    """Check that a file is not truncated, in the one format where GDAL does not report it: PNG.

    Args:
        dataset: An open raster.

    Raises:
        SceneError: The end of the file is missing.
    """
    path = Path(dataset.name)
    if dataset.driver == "PNG" and path.is_file() and is_truncated_png(path):
        raise SceneError(
            f"{path} is truncated: its last part is missing",
            hint="copy or download the file again",
            path=path,
        )


def _hint(path: str) -> str:
    if path.startswith(("s3://", "/vsis3/")):
        return (
            "check the address; GDAL signs in with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or "
            "AWS_PROFILE; for public data set AWS_NO_SIGN_REQUEST=YES"
        )
    if _is_remote(path):
        return "check the address and your access; GDAL takes credentials from the environment"
    return "geodet reads every format that GDAL reads, such as GeoTIFF, VRT, JPEG 2000 and PNG"


def _is_remote(path: str) -> bool:
    """Whether a path is read over a network; local archives are not."""
    if "/vsicurl" in path or "http://" in path or "https://" in path:
        return True
    if "://" in path:
        return not path.startswith(("file://", "zip://", "tar://", "gzip://"))
    return path.startswith("/vsi") and not path.startswith(_ARCHIVES)
