"""Open a raster through GDAL, with palettes expanded and control points or RPCs applied."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window as RasterioWindow

from geodet.config.reading_config import ReadingConfig
from geodet.documents.text import as_utf8
from geodet.errors import SceneError
from geodet.files.closable import Closing
from geodet.files.ignored_warnings import ignoring_warnings
from geodet.geometry.arrays import all_true, empty_apart, is_all_true
from geodet.geometry.geobox import PIXEL_TRANSFORM, GeoBox
from geodet.geometry.windows import Window
from geodet.raster.blocks import Block
from geodet.raster.doubtful_alpha import varies_like_imagery
from geodet.raster.gdal_options import gdal_options
from geodet.raster.linked_files import is_remote
from geodet.raster.orientation import AS_STORED, Turn, is_truncated_png, read_turn
from geodet.raster.remote import access_hint
from geodet.raster.scene_lists import check_scene_exists
from geodet.raster.virtual_rasters import open_expanded, open_warped, stored_place

__all__ = ["Masks", "Source", "check_complete", "open_source", "quietly"]

_NAMED = 4  # subdatasets in a hint
_NAMELESS = {"undefined", "palette", "alpha"}


class Masks(NamedTuple):
    """The masks of some bands; a pixel has no data where either of them says so."""

    are_declared: bool
    """Whether there is a nodata value or a mask."""
    alpha: int | None
    """Number of the alpha band that is a mask, too; None: there is none."""


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
    """The source of the warp, such as ground control points; "" for most rasters."""
    turn: Turn
    """The rotation of a picture while it is read; all windows and sizes are of the rotated one."""
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
            return None  # it is named by its content, or comes from a palette or from warping
        return self.alpha if varies_like_imagery(self.dataset, self.alpha) else None

    def masks(self, bands: tuple[int, ...], doubtful_alpha: int | None) -> Masks:
        """Find the masks of some bands.

        GDAL itself uses an alpha band only where there is no mask and no nodata value.

        Args:
            bands: Counted from 1. An alpha band among them is read as any other.
            doubtful_alpha: The result of :attr:`doubtful_alpha`; that band is not a mask.
        """
        flags = self.dataset.mask_flag_enums[bands[0] - 1]
        are_declared = MaskFlags.all_valid not in flags and MaskFlags.alpha not in flags
        return Masks(are_declared, None if self.alpha in (*bands, doubtful_alpha) else self.alpha)

    def band_name(self, band: int) -> str:
        """Return a band's description or colour, or else "band" and its number."""
        colour = self.colours[band - 1]
        return self.names[band - 1] or (f"band {band}" if colour in _NAMELESS else colour)

    def read(
        self,
        bands: tuple[int, ...],
        masks: Masks,
        window: Window | RasterioWindow,
        shape: tuple[int, int],
    ) -> Block:
        """Read a window; GDAL resamples it where the shape differs from the window's.

        Args:
            bands: Counted from 1.
            masks: The result of :meth:`masks` for these bands.
            window: In the pixels of the raster, as it is displayed.
            shape: Rows and columns of the result.

        Returns:
            Pixels (C, H, W), and data (C, H, W) or (1, H, W), True where a band has data.
        """
        place = self.turn.stored_window(window, self.size)
        pixels, data = self._read_stored(bands, masks, place, self.turn.size(shape))
        if self.turn.is_none:
            return pixels, data
        is_partial = any(data.strides)
        pixels, data = self.turn.applied(pixels), self.turn.applied(data)
        turned = np.ascontiguousarray(data) if is_partial else data
        return np.ascontiguousarray(pixels), turned

    def _read_stored(
        self,
        bands: tuple[int, ...],
        masks: Masks,
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
        data: NDArray[np.bool_] = all_true((1, *shape))
        if masks.are_declared:
            # A resampled pixel has data where at least half of its area has.
            shown = self._read_declared(bands, out_shape=pixels.shape, **options)
            data = shown >= (128 if is_scaled else 1)
        if masks.alpha is not None:
            # Any opacity counts as data: a band that is flagged as alpha may hold near-infrared.
            data = data & (self.dataset.read([masks.alpha], out_shape=(1, *shape), **options) > 0)
        if pixels.dtype.kind == "f":
            data = data & np.isfinite(pixels).all(axis=0)
        return pixels, all_true((1, *shape)) if is_all_true(data) else data

    def _read_declared(self, bands: tuple[int, ...], **options: Any) -> NDArray[np.uint8]:
        """Read the masks of bands: (C, H, W)."""
        # rasterio warns that the alpha band does not count; here it does.
        warns = self.dataset.nodata is not None and ColorInterp.alpha.name in self.colours
        with ignoring_warnings(NodataShadowWarning) if warns else contextlib.nullcontext():
            return np.asarray(self.dataset.read_masks(bands, **options))

    @property
    def geobox(self) -> GeoBox:
        """The raster's geobox; y is -row where there is no georeference, as in QGIS."""
        transform, known = stored_place(self.dataset)
        crs = CRS.from_user_input(known) if known else None
        if crs is None and transform == Affine.identity():
            transform = PIXEL_TRANSFORM
        return GeoBox(*self.size, transform, crs)

    @property
    def unplaced_crs(self) -> CRS | None:
        """The CRS that the raster declares although no geotransform leads from its pixels to it."""
        declared = self.dataset.crs
        has_place = stored_place(self.dataset)[1] is not None
        return None if has_place or not declared else CRS.from_user_input(declared)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as the raster is displayed."""
        return self.turn.size((self.dataset.width, self.dataset.height))


@contextlib.contextmanager
def quietly(path: str, limits: ReadingConfig | None = None) -> Iterator[None]:
    """Set GDAL options, and silence rasterio's warning of files that have no georeference.

    For ``with`` blocks that open files. Options and filters are restored at the end.
    """
    silence = ignoring_warnings(NotGeoreferencedWarning)
    with silence, rasterio.Env(**gdal_options(path, limits)):
        yield


def open_source(
    path: str, *, as_stored: bool = False, limits: ReadingConfig | None = None
) -> Source:
    """Open a raster, expand its palette, and warp it where only GCPs or RPCs georeference it.

    Args:
        path: Anything that GDAL opens.
        as_stored: Whether to read the pixels as they are stored, neither turned nor warped.
        limits: How long a server may take.

    Raises:
        SceneError: The file is missing, is not a raster, is truncated or has no bands.
    """
    check_scene_exists(path)
    handles: list[Any] = []
    try:
        with quietly(path, limits):
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


def _open(path: str, handles: list[Any], *, as_stored: bool) -> Source:
    try:
        handles.append(rasterio.open(path))
    except UnicodeEncodeError as error:
        raise SceneError(
            f"{as_utf8(path)} has a name that is not UTF-8",
            hint="rename the file: neither GDAL nor the outputs can use its name",
            path=path,
        ) from error
    if handles[0].count == 0:
        raise SceneError(
            f"{path} has no bands",
            hint=_hint_at_parts(handles[0].subdatasets),
            path=path,
        )
    check_complete(handles[0])
    turn = AS_STORED if as_stored else read_turn(handles[0])
    colours = open_expanded(handles[-1])
    if colours is not None:
        handles.append(colours)
    names = tuple(text or "" for text in handles[-1].descriptions)
    grids, warped_by = ((), "") if as_stored else open_warped(handles[-1])
    handles.extend(grids)
    names += ("alpha",) * (handles[-1].count - len(names))
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


def _hint_at_parts(names: Sequence[str]) -> str:
    """Return the hint for a file that only holds other rasters."""
    if not names:
        return "give another file: GDAL finds no image in this one"
    more = len(names) - _NAMED
    listed = ", ".join(f"'{name}'" for name in names[:_NAMED])
    return (
        f"name one of its subdatasets: {listed}{f' and {more} more' if more > 0 else ''}; "
        "gdalbuildvrt -separate joins several as the bands of one scene"
    )


def _hint(path: str) -> str:
    if is_remote(path):
        return access_hint(path)
    if Path(path).is_dir():
        return "it is a folder, but one scene is needed: give a file in it"
    return (
        "check that it is a raster of a format that GDAL reads, such as GeoTIFF, VRT or JPEG 2000"
    )
