"""Find the files and services that a raster reads from, such as the members of a VRT."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.parsers import expat

from geodet.files.network import is_remote_path

__all__ = [
    "LinkedFiles",
    "find_linked_files",
    "is_remote",
    "is_vrt",
    "links_of",
    "named_file",
    "state_of",
]

_HEAD_BYTES = 4096  # GDAL recognises a format by the first 1,024
_ENCODED = re.compile(r"[A-Za-z][A-Za-z0-9_+.-]+:|/vsi|<")  # for GDAL alone; not C:, a drive
_FILE_TAGS = frozenset(
    {"sourcefilename", "sourcedataset", "overviewfile", "dempath", "indexdataset"}
)
_FILE_KEYS = frozenset({"x_dataset", "y_dataset", "rpc_dem", "overview_file"})
_SERVICES = (
    *(b"<GDAL_WMS", b"<WMS_", b"<WMT_MS_", b"<TiledWMS", b"<WCS_GDAL", b"<GDAL_WMTS"),
    *(b"<Capabilities", b"<MRF_META", b'"stac_version"'),
)
_SERVICE = "a service that it describes as "


@dataclass(frozen=True, slots=True)
class LinkedFiles:
    """The files and addresses that a raster names in its text, and reads from."""

    files: tuple[Path, ...] = ()
    """Local files, which need not exist."""
    remote: tuple[str, ...] = ()
    """Addresses and services of the network."""
    encoded: tuple[str, ...] = ()
    """Names that only GDAL understands, such as a file in an archive; or why the text cannot be
    read."""


def find_linked_files(path: Path) -> LinkedFiles:
    """Find what a raster reads from besides its own file, and what that reads from.

    Only the first bytes of other formats are read, whatever their names end in.

    Args:
        path: A raster, which exists.
    """
    found = dict.fromkeys(_iter_linked(path, {path.resolve()}))
    return LinkedFiles(
        tuple(link for link in found if isinstance(link, Path)),
        tuple(str(link) for link in found if isinstance(link, str) and _names_network(link)),
        tuple(str(link) for link in found if isinstance(link, str) and not _names_network(link)),
    )


def links_of(scene: str) -> LinkedFiles:
    """Find what a scene reads, once for each time of change and size of its file.

    Args:
        scene: Anything that GDAL opens; of what is no local file nothing is known.
    """
    state = state_of(scene)
    return LinkedFiles() if state is None else _find_in_state(scene, state)


def is_remote(scene: str) -> bool:
    """Whether a scene is read over a network: itself, or what a local file such as a VRT names.

    Example:
        >>> is_remote("https://host/a.tif"), is_remote("a.tif")
        (True, False)
    """
    return is_remote_path(scene) or bool(links_of(scene).remote)


def is_vrt(path: Path) -> bool:
    """Whether a local file is a VRT, whatever its name ends in."""
    try:
        with path.open("rb") as file:
            return b"<vrtdataset" in file.read(_HEAD_BYTES).lower()
    except (OSError, ValueError):
        return False


def state_of(scene: str) -> tuple[int, int] | None:
    """Return the time of change of a local file and its size; None of anything else."""
    try:
        changed = Path(scene).stat()
    except (OSError, ValueError):
        return None
    return changed.st_mtime_ns, changed.st_size


@lru_cache(maxsize=256)
def _find_in_state(scene: str, _: tuple[int, int]) -> LinkedFiles:
    return find_linked_files(Path(scene))


def named_file(text: str, folder: Path, *, is_relative: bool) -> Path | None:
    """Return the local file that a VRT names; None for what only GDAL understands.

    Args:
        text: The name, as it stands in the VRT.
        folder: Folder of the VRT.
        is_relative: Whether the name is relative to the folder.
    """
    if _ENCODED.match(text):
        return None
    return folder / text if is_relative else Path(text)


def _names_network(link: str) -> bool:
    return link.startswith(_SERVICE) or is_remote_path(link)


def _iter_linked(path: Path, seen: set[Path]) -> Iterator[Path | str]:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return  # opening the raster raises what is wrong
    if (is_index := b"<GDALTileIndexDataset" in head) or ".gti." in path.name.lower():
        yield "its tile index"
    if is_index or b"<vrtdataset" in head.lower():
        for link in _read_links(path):
            yield link
            if isinstance(link, Path) and link.resolve() not in seen and link.is_file():
                seen.add(link.resolve())
                yield from _iter_linked(link, seen)
    elif service := next((mark for mark in _SERVICES if mark in head), None):
        name = service.decode().strip('<_"')
        yield f"{_SERVICE}{name}"


def _read_links(path: Path) -> list[Path | str]:
    """Read the names in a VRT. GDAL ignores the case of tags, and reads what XML forbids."""
    reader = _LinkReader(path.parent)
    try:
        with path.open("rb") as file:
            reader.parser.ParseFile(file)
    except (expat.ExpatError, OSError, ValueError) as error:
        return [*reader.links, f"what cannot be read in it as XML: {error}"]
    return reader.links


class _LinkReader:
    """Collects the names of files while an XML text is parsed, without keeping the text."""

    def __init__(self, folder: Path) -> None:
        self.links: list[Path | str] = []
        self._folder = folder
        self._text: list[str] | None = None
        self._is_relative = False
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._add

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        known = {key.lower(): value for key, value in attributes.items()}
        key = known.get("key", known.get("name", "")).lower()
        if name.lower() in _FILE_TAGS or key in _FILE_KEYS:
            self._text = []
            self._is_relative = known.get("relativetovrt", "0").strip() not in ("", "0")

    def _add(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, _: str) -> None:
        if self._text is None:
            return
        text, self._text = "".join(self._text).strip(), None
        if text.startswith("<"):  # a raster described in the place of its name
            inner = _LinkReader(self._folder)
            inner.parser.Parse(text, True)
            self.links += inner.links or ["a raster described in it"]
        elif text:
            file = named_file(text, self._folder, is_relative=self._is_relative)
            self.links.append(text if file is None else file)
