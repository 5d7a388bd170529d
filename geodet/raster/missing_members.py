"""The members of a mosaic that do not exist, and what they would show.

GDAL says once that it cannot open a member. Where any other VRT is open in the process, such as the
same one in another thread, it remembers the failure and gives zeros from then on without a word. So
what a missing file should show is known before anything is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from rasterio.errors import RasterioIOError
from rasterio.windows import Window as RasterioWindow

from geodet.geometry.windows import Window
from geodet.raster.linked_files import links_of, named_file

__all__ = ["MissingMember", "find_missing_members", "refuse_missing"]

_DEEPEST = 8  # mosaics of mosaics

Place = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


@dataclass(frozen=True, slots=True)
class MissingMember:
    """A file that a VRT names and that does not exist."""

    file: Path
    """Its path."""
    place: Place
    """What it would fill, in the pixels of the VRT."""

    def touches(self, place: Place) -> bool:
        """Whether a place of the VRT shows some of it."""
        (x1, y1, x2, y2), (left, top, right, bottom) = self.place, place
        return left < x2 and x1 < right and top < y2 and y1 < bottom


def refuse_missing(members: Sequence[MissingMember], window: Window | RasterioWindow) -> None:
    """Raise what GDAL would raise at first, if a window needs a file that is missing.

    Args:
        members: Of the raster.
        window: In its pixels.

    Raises:
        RasterioIOError: The window needs one of them.
    """
    right, bottom = window.col_off + window.width, window.row_off + window.height
    for member in members:
        if member.touches((window.col_off, window.row_off, right, bottom)):
            raise RasterioIOError(f"{member.file}: No such file or directory")


def find_missing_members(scene: str) -> tuple[MissingMember, ...]:
    """Find the local files that a VRT names and that do not exist.

    Args:
        scene: Anything that GDAL opens; of what is no local VRT nothing is known.
    """
    if all(map(os.path.exists, links_of(scene).files)):
        return ()
    root = _parse(Path(scene))
    return () if root is None else tuple(_iter_missing(root, Path(scene).parent, _DEEPEST))


def _iter_missing(root: ET.Element, folder: Path, depth: int) -> Iterator[MissingMember]:
    whole = _whole(root)
    for source in root.iter():
        named = source.find("SourceFilename")
        if named is None or not named.text:
            continue
        is_relative = named.get("relativeToVRT", "0").strip() not in ("", "0")
        file = named_file(named.text.strip(), folder, is_relative=is_relative)
        place = _place(source.find("DstRect")) or whole
        if file is None:
            continue
        if not os.path.exists(file):  # noqa: PTH110 - Path's raises an error where it may not look
            yield MissingMember(file, place)
        elif depth and file.suffix.lower() == ".vrt" and (inner := _parse(file)) is not None:
            shown = _place(source.find("SrcRect")) or _whole(inner)
            for member in _iter_missing(inner, file.parent, depth - 1):
                if member.touches(shown):
                    yield MissingMember(member.file, _moved(member.place, shown, place))


def _parse(path: Path) -> ET.Element | None:
    try:
        root = ET.parse(path).getroot()
        _whole(root)
    except (ET.ParseError, OSError, ValueError):  # no XML, or a size that is no number
        return None
    return root


def _whole(root: ET.Element) -> Place:
    return 0.0, 0.0, float(root.get("rasterXSize", "0")), float(root.get("rasterYSize", "0"))


def _place(element: ET.Element | None) -> Place | None:
    if element is None:
        return None
    try:
        left, top = float(element.get("xOff", "")), float(element.get("yOff", ""))
        width, height = float(element.get("xSize", "")), float(element.get("ySize", ""))
    except ValueError:
        return None
    return left, top, left + width, top + height


def _moved(place: Place, shown: Place, to: Place) -> Place:
    """Map a place of a VRT to where another one shows it."""
    sx = (to[2] - to[0]) / ((shown[2] - shown[0]) or 1.0)
    sy = (to[3] - to[1]) / ((shown[3] - shown[1]) or 1.0)
    left, right = (to[0] + (x - shown[0]) * sx for x in (place[0], place[2]))
    top, bottom = (to[1] + (y - shown[1]) * sy for y in (place[1], place[3]))
    return left, top, right, bottom
