"""Open the images of a tileset as labelling programs display them: the one place that does.

A picture of a camera is turned as its EXIF orientation says, since its labels were drawn on the
turned one. Where the labels fit the picture only as it is stored, it is not turned. What ground
control points or RPCs place is not warped, as these programs do not.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from geodet.errors import SceneError, TilesetError
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import Window
from geodet.raster.bands import choose_bands
from geodet.raster.chip import Chip
from geodet.raster.orientation import AS_STORED, Turn, read_turn
from geodet.raster.reach import check_reach
from geodet.raster.scene import Scene
from geodet.raster.source import check_complete
from geodet.raster.virtual_rasters import find_warp, stored_place
from geodet.tilesets.labels import LabelledImage
from geodet.tilesets.parsed_labels import ParsedImage

__all__ = ["open_image", "read_chip", "read_geoboxes"]

logger = logging.getLogger(__name__)


def open_image(
    image: LabelledImage, bands: Sequence[int] = (), *, wanted: Sequence[str] = ()
) -> Scene:
    """Open a labelled image, in the frame of its labels.

    Args:
        image: The image.
        bands: Bands to read, counted from 1; empty: all but an alpha band.
        wanted: Names of a model's bands. Without ``bands``, those of the image that show them are
            read in this order, as of a scene; where nothing tells, all are read by position.

    Returns:
        The open raster. Close it after use.

    Raises:
        SceneError: The image cannot be read or lacks a band.
    """
    scene = Scene(image.path, bands=bands, as_stored=image.as_stored)
    try:
        places = () if bands else choose_bands(wanted, scene.band_meanings)
        chosen = tuple(scene.bands[place] for place in places)
        if chosen and chosen != scene.bands:
            scene.select(chosen)
    except BaseException:
        scene.close()
        raise
    return scene


def read_chip(image: LabelledImage, bands: Sequence[int], *, wanted: Sequence[str] = ()) -> Chip:
    """Read all pixels of a labelled image.

    Args:
        image: The image.
        bands: Bands to read, counted from 1; empty: all but an alpha band.
        wanted: Names of a model's bands, see :func:`open_image`.

    Raises:
        SceneError: The image cannot be read or lacks a band.
    """
    with open_image(image, bands, wanted=wanted) as scene:
        return scene.read(Window(0, 0, *scene.grid))


def read_geoboxes(items: Sequence[ParsedImage]) -> list[GeoBox]:
    """Read the geobox of each image from its header, and note which are not to be turned.

    Args:
        items: The parsed labels. ``as_stored`` is set for an image whose labels fit it only as it
            is stored, and for one that control points or RPCs place.

    Raises:
        TilesetError: An image cannot be read, or its size is not that of its labels.
    """
    # GDAL would list the folder for side-car files at each open: quadratic in the images.
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        headers = [_read_header(item) for item in items]
    geoboxes: list[GeoBox] = []
    turned: list[str] = []
    unturned: list[str] = []
    for item, (stored, turn, is_warped) in zip(items, headers, strict=True):
        fits_unturned = _fits_only_as_stored(item, stored, turn)
        item.as_stored = is_warped or fits_unturned
        if not turn.is_none:
            (unturned if fits_unturned else turned).append(item.path.name)
        geoboxes.append(stored if item.as_stored else _displayed(stored, turn))
        _check_size(item, geoboxes[-1])
    _report_turns(turned, unturned, len(items))
    return geoboxes


def _read_header(item: ParsedImage) -> tuple[GeoBox, Turn, bool]:
    """Read the geobox of an image as it is stored, how it is turned, and if it would be warped."""
    try:
        check_reach(str(item.path))
        with rasterio.open(item.path) as raster:
            check_complete(raster)
            transform, known = stored_place(raster)
            crs = None if known is None else _to_crs(known.to_wkt())
            stored = GeoBox(raster.width, raster.height, transform, crs)
            is_warped = find_warp(raster) != ""
            return stored, AS_STORED if is_warped else read_turn(raster), is_warped
    except (RasterioError, SceneError) as error:
        raise TilesetError(
            f"{item.path} cannot be read as an image: {error}",
            hint="replace the file, or remove it from the labels",
            path=item.path,
        ) from error


@lru_cache(maxsize=32)
def _to_crs(wkt: str) -> CRS:
    return CRS.from_wkt(wkt)


def _displayed(stored: GeoBox, turn: Turn) -> GeoBox:
    size = turn.size((stored.width, stored.height))
    return GeoBox(*size, stored.transform, stored.crs)


def _fits_only_as_stored(item: ParsedImage, stored: GeoBox, turn: Turn) -> bool:
    """Whether the labels' size, or their boxes without one, fit a picture only unturned."""
    size = (stored.width, stored.height)
    displayed = turn.size(size)
    if turn == AS_STORED or displayed == size:
        return False
    if item.size is not None:
        return item.size == size
    if item.frame == "shares" or not item.boxes:
        return False
    ends = np.array(item.boxes, np.float64)[:, 2:].max(axis=0)
    return bool(np.any(ends > displayed) and np.all(ends <= size))


def _check_size(item: ParsedImage, geobox: GeoBox) -> None:
    size = (geobox.width, geobox.height)
    if item.size not in (None, size):
        raise TilesetError(
            f"{item.path} is {size[0]} x {size[1]} px, but its labels are for"
            f" {item.size[0]} x {item.size[1]} px",
            hint=f"the labels are in {item.source.rpartition(', ')[0]}",
            path=item.path,
        )


def _report_turns(turned: Sequence[str], stored: Sequence[str], count: int) -> None:
    if turned:
        logger.info(
            "%d of %d images are rotated by their EXIF orientation, such as %s: boxes are in"
            " pixels of the displayed picture",
            len(turned),
            count,
            turned[0],
        )
    if stored:
        logger.warning(
            "%d of %d images, such as %s, have an EXIF orientation, but their labels fit only the"
            " picture as it is stored: they are read as stored; compare the boxes with a preview",
            len(stored),
            count,
            stored[0],
        )
