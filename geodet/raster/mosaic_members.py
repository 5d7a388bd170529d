"""The members of a mosaic, each opened once before it is read.

GDAL reports only once that it cannot open a member. Where another VRT is open in the process, such
as the same one in another thread, it remembers the failure and silently returns zeros from then on.
So a member is opened on its own before a window of it is read, and a member that cannot be opened
is an error in each window that needs it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.windows import Window as RasterioWindow

from geodet.errors import SceneError
from geodet.files.ignored_warnings import ignoring_warnings
from geodet.geometry.arrays import Floats
from geodet.geometry.windows import Window
from geodet.raster.linked_files import is_vrt, links_of, named_file, state_of
from geodet.raster.source import check_complete

__all__ = ["Member", "MemberError", "MosaicMembers", "find_members"]

_NAMED = re.compile(r"<SourceFilename([^>]*)>([^<]+)<", re.IGNORECASE)
_DEEPEST = 8  # mosaics of mosaics

_Place = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""
_ANYWHERE: _Place = (-math.inf, -math.inf, math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Member:
    """A raster that a VRT shows."""

    name: str
    """Path of the member, or another name that GDAL opens."""
    place: _Place
    """The area that it fills, in the pixels of the VRT."""
    band: int | None = None
    """The band of the VRT that shows it; None: any may."""
    options: tuple[tuple[str, str], ...] = ()
    """GDAL's open options for it."""


class MemberError(RasterioIOError):  # type: ignore[misc]
    """A member of a mosaic cannot be opened, or is truncated."""


class MosaicMembers:
    """The members of a mosaic, and which of them are still to be opened. Threads may share it.

    Args:
        members: Members of the mosaic; empty for a raster that is no mosaic.
    """

    def __init__(self, members: Sequence[Member] = ()) -> None:
        self._members = tuple(members)
        self._places = np.array([member.place for member in members]).reshape(-1, 4)
        self._bands = np.array([member.band or 0 for member in members], np.int64)
        self._to_open = {(member.name, member.options) for member in members}

    def open_shown(
        self, window: Window | RasterioWindow, bands: Collection[int] | None = None
    ) -> None:
        """Open the members that a window shows, unless that was done before.

        Args:
            window: In the pixels of the mosaic.
            bands: Those that are read; None: any.

        Raises:
            MemberError: One cannot be opened, or is truncated; it is tried again the next time.
        """
        if not self._to_open:
            return
        left, top, right, bottom = self._places.T
        shown = (left < window.col_off + window.width) & (right > window.col_off)
        shown &= (top < window.row_off + window.height) & (bottom > window.row_off)
        if bands is not None:
            shown &= np.isin(self._bands, [0, *bands])
        for number in np.flatnonzero(shown).tolist():
            member = self._members[number]
            key = member.name, member.options
            if key in self._to_open:
                _open(*key)
                self._to_open.discard(key)

    def cells(self, window: Window) -> list[Window]:
        """Divide a window at the edges of the members: each cell shows the same ones everywhere.

        Args:
            window: In the pixels of the mosaic.
        """
        columns = _between(self._places[:, ::2], window.col_off, window.col_end)
        rows = _between(self._places[:, 1::2], window.row_off, window.row_end)
        return [
            Window(left, top, right - left, bottom - top)
            for top, bottom in pairwise(rows)
            for left, right in pairwise(columns)
        ]


def _between(edges: Floats, start: int, end: int) -> list[int]:
    """Return where edges lie between a start and an end, with both."""
    near = edges[(edges > start) & (edges < end)]
    inside = {int(edge) for edge in (*np.floor(near), *np.ceil(near)) if start < edge < end}
    return [start, *sorted(inside), end]


def _open(name: str, options: tuple[tuple[str, str], ...]) -> None:
    silence = ignoring_warnings(NotGeoreferencedWarning)
    try:
        with silence, rasterio.open(name, **dict(options)) as member:
            check_complete(member)
    except SceneError as error:
        raise MemberError(str(error)) from None
    except RasterioError as error:
        raise MemberError(str(error)) from error


def find_members(scene: str) -> tuple[Member, ...]:
    """Find what a local VRT shows, with the members of those members that are VRTs.

    Left out are names relative to the VRT that are no paths: only GDAL knows how to open them. Of a
    text that is no XML, which GDAL may read all the same, any member may be shown anywhere.

    Args:
        scene: Anything that GDAL opens; of what is no local VRT nothing is known.
    """
    links, state = links_of(scene), state_of(scene)
    if state is None or not (links.files or links.remote or links.encoded):
        return ()
    return _find_in_state(scene, state)


@lru_cache(maxsize=16)  # a run opens its scenes more than once
def _find_in_state(scene: str, _: tuple[int, int]) -> tuple[Member, ...]:
    return _Finding().members(Path(scene))


class _Finding:
    """The members of a VRT and of those that it shows, each read once."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Member, ...]] = {}

    def members(self, path: Path, depth: int = 0) -> tuple[Member, ...]:
        """Return the members of a VRT; none while they are being found, of one that shows itself.

        Args:
            path: The VRT.
            depth: How many others show it.
        """
        if path not in self._known:
            self._known[path] = ()
            found = self._iter_members(path, depth) if depth <= _DEEPEST else ()
            self._known[path] = tuple(dict.fromkeys(found))
        return self._known[path]

    def _iter_members(self, path: Path, depth: int) -> Iterator[Member]:
        root = _parse(path)
        if root is None:
            yield from (Member(name, _ANYWHERE) for name in _iter_names(path))
            return
        whole = _whole(root)
        for source, band in _iter_sources(root):
            name = _name_of(source, path.parent)
            if name is None:
                continue
            place = _place(source.find("dstrect")) or whole
            yield Member(name, place, band, _options_of(source))
            file = Path(name)
            if not is_vrt(file):
                continue
            shown = _place(source.find("srcrect"))
            for member in self.members(file, depth + 1):
                inner = _overlap(member.place, shown) if shown else None
                moved = _moved(inner, shown, place) if inner and shown else place
                if inner or not shown:
                    yield Member(member.name, moved, band, member.options)


def _iter_sources(root: ET.Element) -> Iterator[tuple[ET.Element, int | None]]:
    """Yield the elements that may name a member, and the bands that they are of."""
    for number, part in enumerate(root.findall("vrtrasterband"), start=1):
        band = part.get("band", "")
        yield from ((one, int(band) if band.isdecimal() else number) for one in part.iter())
    for part in root:
        if part.tag != "vrtrasterband":
            yield from ((one, None) for one in part.iter())


def _name_of(source: ET.Element, folder: Path) -> str | None:
    """Return the name that opens a source of a VRT; None for any other element."""
    named = source.find("sourcefilename")
    if named is None or not named.text:
        return None
    text = named.text.strip()
    is_relative = named.get("relativetovrt", "0").strip() not in ("", "0")
    file = named_file(text, folder, is_relative=is_relative)
    if file is not None:
        return str(file)
    return None if is_relative else text


def _iter_names(path: Path) -> Iterator[str]:
    """Yield the names in a text that is no XML."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    for about, name in _NAMED.findall(text):
        is_relative = 'relativetovrt="1"' in about.lower().replace(" ", "")
        file = named_file(name.strip(), path.parent, is_relative=is_relative)
        if file is not None:
            yield str(file)


def _options_of(source: ET.Element) -> tuple[tuple[str, str], ...]:
    options = source.findall("openoptions/ooi")
    return tuple((one.get("key", ""), (one.text or "").strip()) for one in options)


def _parse(path: Path) -> ET.Element | None:
    """Read a VRT with all names of elements and attributes in lower case: GDAL ignores it."""
    try:
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError, ValueError):  # no XML
        return None
    for one in root.iter():
        one.tag, known = one.tag.lower(), {key.lower(): one.attrib[key] for key in one.attrib}
        one.attrib.clear()
        one.attrib.update(known)
    return root


def _whole(root: ET.Element) -> _Place:
    try:
        return 0.0, 0.0, float(root.get("rasterxsize", "")), float(root.get("rasterysize", ""))
    except ValueError:
        return _ANYWHERE


def _place(element: ET.Element | None) -> _Place | None:
    if element is None:
        return None
    try:
        left, top = float(element.get("xoff", "")), float(element.get("yoff", ""))
        width, height = float(element.get("xsize", "")), float(element.get("ysize", ""))
    except ValueError:
        return None
    return left, top, left + width, top + height


def _overlap(place: _Place, shown: _Place) -> _Place | None:
    """Return the part of a place that is shown."""
    left, top = max(place[0], shown[0]), max(place[1], shown[1])
    right, bottom = min(place[2], shown[2]), min(place[3], shown[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _moved(place: _Place, shown: _Place, to: _Place) -> _Place:
    """Map a place of a VRT to where another one shows it."""
    sx = (to[2] - to[0]) / ((shown[2] - shown[0]) or 1.0)
    sy = (to[3] - to[1]) / ((shown[3] - shown[1]) or 1.0)
    left, right = (to[0] + (x - shown[0]) * sx for x in (place[0], place[2]))
    top, bottom = (to[1] + (y - shown[1]) * sy for y in (place[1], place[3]))
    return left, top, right, bottom
