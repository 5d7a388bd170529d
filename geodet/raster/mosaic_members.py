"""The members of a mosaic, each opened once before it is read.

GDAL says once that it cannot open a member. Where any other VRT is open in the process, such as the
same one in another thread, it remembers the failure and gives zeros from then on without a word. So
a member is opened on its own before a window shows it, and what cannot be opened is an error in
each window that needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.windows import Window as RasterioWindow

from geodet.errors import SceneError
from geodet.files.ignored_warnings import ignoring_warnings
from geodet.geometry.windows import Window
from geodet.raster.linked_files import links_of, named_file, state_of
from geodet.raster.source import check_complete

__all__ = ["Member", "MosaicMembers", "find_members"]

_DEEPEST = 8  # mosaics of mosaics

Place = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


@dataclass(frozen=True, slots=True)
class Member:
    """A raster that a VRT shows."""

    name: str
    """Its path, or another name that GDAL opens."""
    place: Place
    """What it fills, in the pixels of the VRT."""


class MosaicMembers:
    """The members of a mosaic, and which of them are still to be opened. Threads may share it.

    Args:
        members: Of the mosaic; none of what is no mosaic.
    """

    def __init__(self, members: Sequence[Member] = ()) -> None:
        self._names = [member.name for member in members]
        self._places = np.array([member.place for member in members]).reshape(-1, 4)
        self._to_open = set(self._names)

    def open_shown(self, window: Window | RasterioWindow) -> None:
        """Open the members that a window shows, unless that was done before.

        Args:
            window: In the pixels of the mosaic.

        Raises:
            RasterioIOError: One cannot be opened, or lacks its end; it is tried again the next
                time.
        """
        if not self._to_open:
            return
        left, top, right, bottom = self._places.T
        shown = (left < window.col_off + window.width) & (right > window.col_off)
        shown &= (top < window.row_off + window.height) & (bottom > window.row_off)
        for number in np.flatnonzero(shown).tolist():
            name = self._names[number]
            if name in self._to_open:
                _open(name)
                self._to_open.discard(name)


def _open(name: str) -> None:
    with ignoring_warnings(NotGeoreferencedWarning), rasterio.open(name) as member:
        try:
            check_complete(member)
        except SceneError as error:
            raise RasterioIOError(str(error)) from None


def find_members(scene: str) -> tuple[Member, ...]:
    """Find what a local VRT shows, with the members of those members that are VRTs.

    Left out are members that are opened with options, and names relative to the VRT that are no
    paths: only GDAL knows how to open them.

    Args:
        scene: Anything that GDAL opens; of what is no local VRT nothing is known.
    """
    links, state = links_of(scene), state_of(scene)
    if state is None or not (links.files or links.remote or links.encoded):
        return ()
    return _find_in_state(scene, state)


@lru_cache(maxsize=16)  # a run opens its scenes more than once
def _find_in_state(scene: str, _: tuple[int, int]) -> tuple[Member, ...]:
    path = Path(scene)
    root = _parse(path)
    # A member is named once for each band.
    return () if root is None else tuple(dict.fromkeys(_iter_members(root, (path,))))


def _iter_members(root: ET.Element, path: tuple[Path, ...]) -> Iterator[Member]:
    """Yield the members of a VRT, the last one of a path through mosaics of mosaics."""
    whole = _whole(root)
    for source in root.iter():
        name = _name_of(source, path[-1].parent)
        if name is None:
            continue
        place = _place(source.find("DstRect")) or whole
        yield Member(name, place)
        file = Path(name)
        if file.suffix.lower() != ".vrt" or file in path or len(path) > _DEEPEST:
            continue
        if (inner := _parse(file)) is not None:
            shown = _place(source.find("SrcRect")) or _whole(inner)
            for member in _iter_members(inner, (*path, file)):
                if (part := _overlap(member.place, shown)) is not None:
                    yield Member(member.name, _moved(part, shown, place))


def _name_of(source: ET.Element, folder: Path) -> str | None:
    """Return the name that opens a source of a VRT; None for any other element."""
    named = source.find("SourceFilename")
    if named is None or not named.text or source.find("OpenOptions") is not None:
        return None
    text = named.text.strip()
    is_relative = named.get("relativeToVRT", "0").strip() not in ("", "0")
    file = named_file(text, folder, is_relative=is_relative)
    if file is not None:
        return str(file)
    return None if is_relative else text


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


def _overlap(place: Place, shown: Place) -> Place | None:
    """Return the part of a place that is shown."""
    left, top = max(place[0], shown[0]), max(place[1], shown[1])
    right, bottom = min(place[2], shown[2]), min(place[3], shown[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _moved(place: Place, shown: Place, to: Place) -> Place:
    """Map a place of a VRT to where another one shows it."""
    sx = (to[2] - to[0]) / ((shown[2] - shown[0]) or 1.0)
    sy = (to[3] - to[1]) / ((shown[3] - shown[1]) or 1.0)
    left, right = (to[0] + (x - shown[0]) * sx for x in (place[0], place[2]))
    top, bottom = (to[1] + (y - shown[1]) * sy for y in (place[1], place[3]))
    return left, top, right, bottom
