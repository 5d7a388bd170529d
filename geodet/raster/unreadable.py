"""Areas of a raster that cannot be read: noted, or an error with a hint."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from pathlib import Path

from rasterio.errors import RasterioError

from geodet.errors import SceneError
from geodet.geometry.windows import Window
from geodet.raster.linked_files import find_linked_files

__all__ = ["UNREADABLE", "UnreadableAreas", "reason_of", "unreadable_error"]

UNREADABLE = (RasterioError, OSError)
"""Errors that rasterio raises when pixels cannot be read."""

_MOST_FAILURES = 3  # windows in a row


class UnreadableAreas:
    """The areas of a raster that could not be read, noted by the threads that read it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reasons: dict[Window, str] = {}
        self._failures = 0

    def note(self, area: Window, reason: str) -> None:
        """Note an area, in the pixels of the raster, and why it could not be read."""
        with self._lock:
            self._reasons.setdefault(area, " ".join(reason.split()))

    def note_server(self, *, failed: bool) -> bool:
        """Note whether the server has failed for a window; return whether to go on.

        A server that fails for several windows in a row will fail for all others.
        """
        with self._lock:
            self._failures = self._failures + 1 if failed else 0
            return self._failures < _MOST_FAILURES

    def meeting(self, windows: Iterable[Window]) -> dict[Window, str]:
        """Return the areas that share a pixel with one of some windows, and the reasons."""
        with self._lock:
            known = dict(self._reasons)
        wanted = list(windows) if known else []
        return {area: why for area, why in known.items() if any(_meet(area, w) for w in wanted)}


def unreadable_error(
    path: str, window: Window, error: BaseException, *, can_skip: bool
) -> SceneError:
    """Return the error of a window that cannot be read.

    Args:
        path: The raster.
        window: In its pixels.
        error: Why.
        can_skip: Whether the caller has a setting that leaves out such windows.
    """
    rest = (
        "; --on-error skip (detect.on_error=skip) leaves out what cannot be read"
        if can_skip
        else ""
    )
    return SceneError(
        f"cannot read {window} of {path}: {reason_of(error)}",
        hint=_hint(path, reason_of(error), rest),
        path=path,
    )


def reason_of(error: BaseException) -> str:
    """Return why pixels cannot be read, in GDAL's own words where there are any."""
    return str(error.__cause__ or error)  # rasterio puts GDAL's own message there


def _hint(path: str, cause: str, rest: str) -> str:
    """Name the part of a mosaic that is missing or damaged, where it can be told."""
    if path.lower().endswith(".vrt") and Path(path).is_file():
        parts = find_linked_files(Path(path)).files
        missing = [part for part in parts if not part.exists()]
        if missing:
            more = f" (and {len(missing) - 1} other parts)" if len(missing) > 1 else ""
            return (
                f"its part {missing[0]}{more} is missing: restore it, or create the VRT again{rest}"
            )
        named = [part for part in parts if re.search(rf"\b{re.escape(part.name)}\b", cause)]
        if named:
            check = "check it with gdalinfo -checksum"
            return f"its part {named[0]} may be truncated or incomplete: {check}{rest}"
    return f"the file may be truncated or incomplete: check it with gdalinfo -checksum{rest}"


def _meet(one: Window, other: Window) -> bool:
    return (
        one.col_off < other.col_end
        and other.col_off < one.col_end
        and one.row_off < other.row_end
        and other.row_off < one.row_end
    )
