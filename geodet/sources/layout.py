"""How a file keeps its pixels, and the blocks in which it is best read."""

from __future__ import annotations

from typing import Any

import rasterio
from rasterio.errors import RasterioError

__all__ = ["block_shape"]

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
