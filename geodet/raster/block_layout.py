"""The size of the blocks in which a raster is read, and the number that is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rasterio
from rasterio.errors import RasterioError

from geodet.geometry.windows import Window
from geodet.raster.blocks import Block, BlockStore

__all__ = ["block_shape", "file_blocks", "lay_out_blocks"]

_ROWS = 64  # narrow strips are read together, up to so many rows
_TILE = 512  # small tiles are read together, up to so many pixels on each side
_BLOCK_BYTES = 8 * 2**20  # most bytes of a group of strips, so that no thread waits long for one
_KEPT_BYTES = (16 * 2**20, 512 * 2**20)  # bytes of decoded blocks that are kept: usual, most
_SMALL = 4  # times the usual bytes: a raster that is kept whole, as it is sampled, then searched


def lay_out_blocks(
    size: tuple[int, int],
    blocks: tuple[int, int],
    load: Callable[[Window], Block],
    *,
    pixel_bytes: int,
    mask_bytes: int,
    is_turned: bool,
) -> BlockStore | None:
    """Share decoded blocks between threads, unless a single one is too large to keep many.

    Args:
        size: Width and height of the raster.
        blocks: Width and height of the file's own blocks, see :func:`file_blocks`.
        load: Decodes a block.
        pixel_bytes: Bytes of a pixel in all bands that are read.
        mask_bytes: Bytes of its masks.
        is_turned: Whether the raster is a picture that is turned while it is read.
    """
    shape = block_shape(size, blocks, pixel_bytes)
    usual, most = _KEPT_BYTES
    # A picture is decoded from top to bottom, so one that is turned is decoded as a whole.
    if shape[0] * shape[1] * pixel_bytes > (most // 2 if is_turned else most // 8):
        return None
    whole = size[0] * size[1] * (pixel_bytes + mask_bytes)
    return BlockStore(
        *size,
        shape,
        load,
        capacity=whole if usual < whole <= _SMALL * usual else usual,
        most_capacity=most,
        pixel_bytes=pixel_bytes + mask_bytes,
    )


def block_shape(
    size: tuple[int, int], blocks: tuple[int, int], bytes_per_pixel: int
) -> tuple[int, int]:
    """Choose the width and height of the blocks to read a raster in.

    They are whole blocks of the file, several where those are small: whole rows of a striped file,
    groups of tiles of a tiled one.

    Args:
        size: Width and height of the raster.
        blocks: Width and height of the file's own blocks, see :func:`file_blocks`.
        bytes_per_pixel: Bytes of a pixel in all bands that are read.
    """
    width, height = min(blocks[0], size[0]), min(blocks[1], size[1])
    if width < size[0]:
        return min(_round_up(_TILE, width), size[0]), min(_round_up(_TILE, height), size[1])
    rows = min(_ROWS, _BLOCK_BYTES // (width * bytes_per_pixel) or 1)
    return width, min(_round_up(rows, height), size[1])


def _round_up(least: int, size: int) -> int:
    """Return the smallest multiple of a size that is not below the least."""
    return -(-least // size) * size


def file_blocks(dataset: Any) -> tuple[int, int]:
    """Return the width and height of a file's blocks; for a mosaic, of those of its first file.

    Args:
        dataset: An open raster.
    """
    rows, columns = map(int, dataset.block_shapes[0])
    members = [name for name in dataset.files if not name.endswith((".vrt", ".ovr", ".msk"))]
    if dataset.driver != "VRT" or not members:
        return columns, rows
    try:
        with rasterio.open(members[0]) as member:
            rows, columns = map(int, member.block_shapes[0])
            return columns, rows
    except RasterioError:  # the file is missing; reading raises an error if it needs it
        return columns, rows
