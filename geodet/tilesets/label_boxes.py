"""Convert parsed labels to boxes in the pixels of their images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox
from geodet.tilesets.labels import ParsedImage

__all__ = ["point_box_side", "read_geoboxes", "to_pixel_boxes"]


def read_geoboxes(items: Sequence[ParsedImage]) -> list[GeoBox]:
    """Read the geobox of each image from its header.

    Raises:
        TilesetError: An image cannot be read, or its size is not that of its labels.
    """
    # GDAL would list the folder for side-car files at each open: quadratic in the images.
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        geoboxes = [_read_header(item.path) for item in items]
    for item, geobox in zip(items, geoboxes, strict=True):
        size = (geobox.width, geobox.height)
        if item.size not in (None, size):
            raise TilesetError(
                f"{item.path} is {size[0]} x {size[1]} px, but its labels are for"
                f" {item.size[0]} x {item.size[1]} px",
                hint=f"the labels are in {item.source.rpartition(', ')[0]}",
                path=item.path,
            )
    return geoboxes


def _read_header(path: Path) -> GeoBox:
    try:
        with rasterio.open(path) as raster:
            crs = None if raster.crs is None else _to_crs(raster.crs.to_wkt())
            return GeoBox(raster.width, raster.height, raster.transform, crs)
    except RasterioError as error:
        raise TilesetError(
            f"{path} cannot be read as an image: {error}",
            hint="replace the file, or remove it from the labels",
            path=path,
        ) from error


@lru_cache(maxsize=32)
def _to_crs(wkt: str) -> CRS:
    return CRS.from_wkt(wkt)


def to_pixel_boxes(
    item: ParsedImage, geobox: GeoBox, gsd: float | None, config: DataConfig
) -> Floats:
    """Convert the boxes of an image to pixels, clipped to the image unless they must stay whole.

    Args:
        item: The parsed labels of the image.
        geobox: The image's geobox.
        gsd: Metres per pixel of the image, None if unknown.
        config: Sides of the boxes around points.

    Returns:
        (N, 4) float64, x1 y1 x2 y2.

    Raises:
        TilesetError: A box is outside of its image, or the side of boxes around points is unknown.
    """
    bounds = np.array([geobox.width, geobox.height] * 2, np.float64)
    boxes = np.array(item.boxes, np.float64).reshape(-1, 4)
    if item.frame == "shares":
        boxes *= bounds
    outside = np.any((boxes[:, 2:] < 0) | (boxes[:, :2] > bounds[:2]), axis=1)
    if outside.any():
        row = int(outside.argmax())
        raise TilesetError(
            f"{item.source}{item.numbers[row]}: the {item.names[row] or 'object'} at"
            f" {boxes[row].round(1).tolist()} is outside of {item.path.name},"
            f" {geobox.width} x {geobox.height} px",
            hint="correct the label; boxes are in pixels of their image",
        )
    if item.frame == "centres" and len(boxes):
        half = point_box_side(config, gsd, item.path) / 2
        boxes += np.array([-half, -half, half, half])
    elif item.frame != "whole":
        np.clip(boxes, 0, bounds, out=boxes)
    return boxes


def point_box_side(config: DataConfig, gsd: float | None, where: object) -> float:
    """Return the side of the box around a labelled point, in pixels.

    Args:
        config: ``box_size_m`` or ``box_size_px``.
        gsd: Metres per pixel of the image, None if unknown.
        where: The image, for the error message.

    Raises:
        TilesetError: Neither size is set, or both are, or the size is in metres and the GSD is
            unknown.
    """
    if (config.box_size_m is None) == (config.box_size_px is None):
        which = "no box size is" if config.box_size_m is None else "two box sizes are"
        raise TilesetError(
            f"{where}: the labels are points, and {which} set",
            hint="set one of data.box_size_m (metres) and data.box_size_px (pixels)",
        )
    if config.box_size_px is not None:
        return config.box_size_px
    if gsd is None:
        raise TilesetError(
            f"{where}: the box size is in metres, but the metres per pixel are unknown",
            hint="set data.gsd, or set data.box_size_px instead of data.box_size_m",
        )
    return float(config.box_size_m or 0.0) / gsd
