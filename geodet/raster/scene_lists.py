"""Find the rasters that arguments name: files, folders, patterns and lists of scenes."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from geodet.config.reading_config import ReadingConfig
from geodet.documents.values import check_name
from geodet.errors import SceneError
from geodet.files.existence import is_there
from geodet.files.natural_order import sort_naturally
from geodet.raster.linked_files import find_linked_files
from geodet.raster.reach import announce_reach, check_list_reach, check_reach
from geodet.raster.scene_documents import (
    INDEX_SUFFIXES,
    is_remote_document,
    list_documented,
    list_remote_scenes,
    names_scenes,
)

__all__ = ["check_scene_exists", "is_gdal_path", "list_files", "list_scenes"]

# Extensions of the scenes of a folder. GDAL opens more, but not only rasters: .gpkg, .pdf, .txt.
_SUFFIXES = frozenset(
    {
        *(".tif", ".tiff", ".gtiff", ".vrt", ".jp2", ".j2k", ".png", ".jpg", ".jpeg", ".webp"),
        *(".bmp", ".img", ".ecw", ".sid", ".ntf", ".nitf", ".asc", ".bil", ".kea", ".pix"),
    }
)
_ENDS = tuple(_SUFFIXES)
_SIDECARS = (".aux.xml", ".ovr", ".msk", ".aux", ".tfw", ".pgw", ".jgw", ".j2w", ".wld", ".prj")
_ZARR = frozenset({".zarray", ".zgroup", "zarr.json"})
_GDAL_PREFIX = re.compile(r"/vsi|[A-Za-z][A-Za-z0-9_+.-]+:")  # not C:, which is a drive

logger = logging.getLogger(__name__)


def is_gdal_path(path: str) -> bool:
    """Whether only GDAL understands a path, such as a subdataset's, since there is no such file."""
    return bool(_GDAL_PREFIX.match(path)) and not is_there(path)


def check_scene_exists(path: str | Path) -> None:
    """Check that a raster exists, where it is a local file, and reads only what it may.

    Raises:
        SceneError: There is no such file; or geodet is offline or restricted, and it reads more.
    """
    if not _GDAL_PREFIX.match(str(path)) and not is_there(path):
        raise SceneError(f"no such file: {path}", hint="check the path of the scene", path=path)
    check_reach(str(path))


def list_scenes(
    arguments: Sequence[str],
    *,
    keep_missing: bool = False,
    asset: str | None = None,
    limits: ReadingConfig | None = None,
) -> list[str]:
    """List the rasters that arguments name.

    An argument is one of

    - a file, or a path that GDAL opens: ``/vsizip/...``, ``s3://...``, ``NETCDF:...``;
    - a folder: its rasters, without those of subfolders. Sidecars such as ``.ovr``, world files,
      hidden files, and the source files of a VRT in the folder are left out;
    - a pattern with ``*``, ``?`` or ``[...]``; ``**`` includes subfolders. If it does not fix the
      extension, it finds the same kinds of files as a folder;
    - a list, ``@FILE`` or a file that ends in ``.txt``: any of the above, one per line, relative to
      the folder of the list. Empty lines and lines that begin with ``#`` are ignored;
    - a tile index of gdaltindex, in GeoPackage, GeoParquet, GeoJSON, FlatGeobuf or Shapefile: the
      column ``location``, relative to the folder of the index;
    - a STAC item, a collection of items, or a static catalogue, by path or address (``.json``);
    - a prefix of an object store, ``s3://bucket/prefix/``: its rasters; with ``**`` at its end
      those below it as well.

    Args:
        arguments: At least one.
        keep_missing: Whether a file that a list names and that does not exist is returned, so that
            opening it fails in its turn, as with a broken file; otherwise it is an error.
        asset: The asset of each STAC item that is its scene; None: the only one with data.
        limits: How long the servers of indexes, catalogues and object stores may take.

    Returns:
        Different paths in the order of the arguments; those of a folder or a pattern in natural
        order, in which 2 comes before 10.

    Raises:
        SceneError: An argument names no raster.
    """
    if asset is not None and not any(map(_may_be_stac, arguments)):
        raise SceneError(
            f"the asset {asset} is given, but no STAC item is among the scenes",
            hint="leave out asset (--asset), or name an item or a catalogue (.json)",
        )
    finding = _Finding(keep_missing, asset, limits)
    found = [path for text in arguments for path in _iter_scenes(text, Path(), "", finding)]
    if not found:
        raise SceneError("no scenes were given", hint="name a raster, a folder or a list")
    unique = {_identity(path): path for path in reversed(found)}
    repeated = [path for path, n in Counter(map(_identity, found)).items() if n > 1]
    if repeated:
        one = unique[repeated[0]]
        logger.warning(
            "%s named more than once and counted once",
            f"{one} is" if len(repeated) == 1 else f"{len(repeated)} scenes, such as {one}, are",
        )
    scenes = list(reversed(unique.values()))
    announce_reach(scenes)
    return scenes


def list_files(arguments: Iterable[str]) -> list[str]:
    """Return the paths of lists and indexes among arguments of :func:`list_scenes`."""
    ends = (*INDEX_SUFFIXES, ".json")
    named = [text for text in arguments if _is_list(text) or text.lower().endswith(ends)]
    lists = [text.removeprefix("@") for text in named if not is_gdal_path(text)]
    return [str(_expand(text)) for text in lists]


def _may_be_stac(argument: str) -> bool:
    return argument.lower().endswith((".json", ".geojson")) or is_remote_document(argument)


@dataclass(frozen=True, slots=True)
class _Finding:
    """Options of :func:`list_scenes`."""

    keep_missing: bool
    """Whether a file that a list names may be missing."""
    asset: str | None
    """Asset of the STAC items."""
    limits: ReadingConfig | None
    """Time limits of servers."""


def _iter_scenes(text: str, base: Path, place: str, finding: _Finding) -> Iterator[str]:
    """Yield the rasters of an argument, relative to a folder; ``place`` is its list and line."""
    if not text.strip():  # Path would take it as the folder here
        raise SceneError(
            "one of the scenes is an empty text", hint="name a raster, a folder or a list"
        )
    is_list = _is_list(text)
    path = base / _expand(text.removeprefix("@") if is_list else text)
    if is_list and place:
        raise SceneError(f"{place}{text} is a list in a list", hint="name its scenes instead")
    if is_list:
        yield from _iter_list(path, finding)
    elif is_there(path):
        yield from _in_folder(path, place) if path.is_dir() else _of_file(path, place, finding)
    elif is_remote_document(text) and not place:
        remote = list_remote_scenes(
            text, asset=finding.asset, suffixes=_ENDS, limits=finding.limits
        )
        for named, scene in remote:
            yield from _iter_scenes(scene, Path(), named, finding)
    else:
        yield from _not_there(text, path, base, place, finding)


def _of_file(path: Path, place: str, finding: _Finding) -> list[str]:
    """Return the scenes that a document names, or else the file itself."""
    if place and names_scenes(path):
        raise SceneError(
            f"{place}{path} is an index of scenes itself", hint="name its scenes instead", path=path
        )
    named = None if place else list_documented(path, asset=finding.asset, limits=finding.limits)
    if named is None:
        return [str(path)]
    found = [
        scene for where, text in named for scene in _iter_scenes(text, path.parent, where, finding)
    ]
    check_list_reach(path, found)
    return found


def _not_there(text: str, path: Path, base: Path, place: str, finding: _Finding) -> Iterator[str]:
    """Yield what an argument names that is no file or folder: GDAL's own names, and patterns."""
    _check_possible(text, place)
    if _GDAL_PREFIX.match(text):
        yield text
    elif glob.has_magic(text):
        yield from _matching(Path(glob.escape(str(base))) / _expand(text), place)
    elif place and finding.keep_missing:
        yield str(path)
    else:
        raise SceneError(
            f"{place}no such file or folder: {path}",
            hint="check the path"
            if path.is_absolute()
            else f"the path is relative to {Path.cwd()}",
            path=path,
        )


def _check_possible(text: str, place: str) -> None:
    """Check that a file can have that name; the names that only GDAL opens may be longer."""
    if _GDAL_PREFIX.match(text) and "\0" not in text:
        return
    try:
        check_name(text)
    except ValueError as error:
        raise SceneError(f"{place}{error}", hint="correct the name of the scene") from error


def _expand(text: str) -> Path:
    """Replace ``~`` by the home folder; where there is no such user it stays, as in a shell."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def _is_list(text: str) -> bool:
    return text.startswith("@") or text.lower().endswith(".txt")


def _iter_list(path: Path, finding: _Finding) -> Iterator[str]:
    try:
        # Notepad begins a file with a byte order mark.
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SceneError(
            f"cannot read the list of scenes {path}: {error}",
            hint="a list is a text file in UTF-8 with one path a line",
            path=path,
        ) from error
    found: list[str] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip().strip('"')  # as Windows copies a path
        if text and not text.startswith("#"):
            place = f"{path}, line {number}: "
            found += _iter_scenes(text, path.parent, place, finding)
    if not found:
        raise SceneError(f"{path} lists no scenes", hint="write one path a line", path=path)
    check_list_reach(path, found)
    yield from found


def _in_folder(folder: Path, place: str) -> list[str]:
    files = [entry for entry in folder.iterdir() if entry.is_file()]
    scenes = _without_sources([path for path in files if _is_raster(path)])
    if scenes:
        check_list_reach(folder, [str(path) for path in scenes if path.is_symlink()])
        _note_subfolders(folder)
        return sort_naturally(scenes)
    others = ", ".join(sorted(path.name for path in files)[:3])
    if _ZARR & {path.name for path in files}:
        raise SceneError(
            f"{place}the folder {folder} is a Zarr store",
            hint=f"name it as GDAL does, quoted for the shell: 'ZARR:\"{folder}\"'",
            path=folder,
        )
    raise SceneError(
        f"{place}no rasters in the folder {folder}",
        hint=f"looked for {_suffixes()}; it has {others or 'no files'}; "
        f"for subfolders write {folder / '**'}",
        path=folder,
    )


def _note_subfolders(folder: Path) -> None:
    """Log which of the subfolders have rasters, as those of a camera's card do."""
    others = []
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.name.startswith("."):
            with suppress(OSError):  # it is only for a note
                others += [entry.name] if any(map(_is_raster, entry.iterdir())) else []
    if others:
        logger.info(
            "%s: the rasters of its subfolders, such as %s, are left out; %s includes them",
            folder,
            min(others),
            folder / "**",
        )


def _matching(pattern: Path, place: str) -> list[str]:
    suffix = pattern.suffix
    is_open = not suffix or glob.has_magic(suffix)
    found = [Path(match) for match in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207
    files = [path for path in found if path.is_file()]
    wanted = _is_raster if is_open else _is_no_sidecar
    scenes = _without_sources([path for path in files if wanted(path)])
    if scenes:
        return sort_naturally(scenes)
    looked_for = f"looked for {_suffixes()}" if is_open else "quote it where the shell expands it"
    raise SceneError(
        f"{place}nothing matches {pattern}" if not found else f"{place}no rasters match {pattern}",
        hint=looked_for
        if pattern.is_absolute()
        else f"{looked_for}; the pattern is relative to {Path.cwd()}",
        path=pattern,
    )


def _is_raster(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def _is_no_sidecar(path: Path) -> bool:
    return not path.name.lower().endswith(_SIDECARS) and not path.name.startswith(".")


def _suffixes() -> str:
    return " ".join(sorted(_SUFFIXES))


def _without_sources(scenes: Sequence[Path]) -> list[Path]:
    """Leave out the source files of the VRTs among the scenes."""
    mosaics = [path for path in scenes if path.suffix.lower() == ".vrt"]
    linked = [find_linked_files(path) for path in mosaics]
    sources = {_identity(str(file)) for found in linked for file in found.files}
    kept = [path for path in scenes if _identity(str(path)) not in sources]
    if len(kept) < len(scenes):
        logger.info(
            "%d files are left out as they are parts of %s",
            len(scenes) - len(kept),
            ", ".join(path.name for path in mosaics),
        )
    return kept


def _identity(path: str) -> str:
    """Return a text that is the same for all paths of a file."""
    return path if is_gdal_path(path) else os.path.normcase(Path(path).resolve())
