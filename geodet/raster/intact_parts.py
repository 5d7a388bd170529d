"""Read the intact parts of a damaged raster, and leave the rest blank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from geodet.errors import SceneError
from geodet.geometry.windows import Window
from geodet.raster.blocks import Block
from geodet.raster.mosaic_members import MemberError
from geodet.raster.remote import ServerError
from geodet.raster.unreadable import UNREADABLE, reason_of

__all__ = ["read_what_is_intact"]

_Read = Callable[[Window], Block]
_Divide = Callable[[Window, BaseException], Sequence[Window]]
_Parts = tuple[dict[Window, Block], dict[Window, str]]
"""The readable part of a window, and why the other parts cannot be read."""


def read_what_is_intact(
    read: _Read,
    block: Window,
    note: Callable[[Window, str], None],
    *,
    cells: Callable[[Window], Sequence[Window]],
    part: tuple[int, int],
    bands: int,
    dtype: np.dtype[Any],
) -> Block:
    """Read a block; where that fails, read it in parts, and leave those blank that fail.

    Args:
        read: Reads a window.
        block: The window.
        note: Called with each part that cannot be read, or with the block if none can, and why.
        cells: Divides a window of a mosaic so that each cell shows the same members everywhere.
        part: Width and height of the parts that a cell is read in: the blocks of the file.
        bands: Bands that ``read`` returns.
        dtype: Their type.

    Returns:
        Pixels and data as ``read`` returns them; zeros without data where it fails.

    Raises:
        ServerError: A server failed; the caller may repeat the request.
        SceneError: The raster cannot be opened any more.
    """

    def divide(window: Window, error: BaseException) -> Sequence[Window]:
        by_members = cells(window)
        is_missing = isinstance(error, MemberError)  # every part of a cell needs the member
        return by_members if len(by_members) > 1 or is_missing else _split(window, part)

    found, reasons = _read_parts(read, block, divide)
    for window, reason in reasons.items():
        note(window, reason)
    return found[block] if block in found else _paste(found, block, bands, dtype)


def _read_parts(read: _Read, window: Window, divide: _Divide) -> _Parts:
    """Read a window in as few parts as possible; where none can be read, it counts as one."""
    try:
        return {window: read(window)}, {}
    except (ServerError, SceneError):
        raise
    except UNREADABLE as error:
        failed = {window: reason_of(error)}
        parts = divide(window, error)
    found, reasons = dict[Window, Block](), dict[Window, str]()
    for one in parts if len(parts) > 1 else ():
        some, others = _read_parts(read, one, divide)
        found, reasons = found | some, reasons | others
    return found, reasons if found else failed


def _split(window: Window, part: tuple[int, int]) -> list[Window]:
    """Cut a window at the multiples of a size."""
    return [
        Window(left, top, right - left, bottom - top)
        for top, bottom in _spans(window.row_off, window.row_end, part[1])
        for left, right in _spans(window.col_off, window.col_end, part[0])
    ]


def _spans(start: int, end: int, step: int) -> list[tuple[int, int]]:
    cuts = [start, *range((start // step + 1) * step, end, step), end]
    return list(pairwise(cuts))


def _paste(parts: dict[Window, Block], block: Window, bands: int, dtype: np.dtype[Any]) -> Block:
    layers = max((len(data) for _, data in parts.values()), default=1)
    pixels = np.zeros((bands, block.height, block.width), dtype)
    data = np.zeros((layers, block.height, block.width), np.bool_)
    for window, (some_pixels, some_data) in parts.items():
        inner = window.shifted(-block.col_off, -block.row_off)
        rows = slice(inner.row_off, inner.row_end)
        columns = slice(inner.col_off, inner.col_end)
        pixels[:, rows, columns], data[:, rows, columns] = some_pixels, some_data
    return pixels, data
