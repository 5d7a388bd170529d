"""Documents that name scenes: tile indexes, STAC, and the listing of an object store."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from geodet.config.reading_config import ReadingConfig
from geodet.errors import SceneError
from geodet.files.gdal_paths import PARQUET_SUFFIXES
from geodet.files.network import is_remote_path
from geodet.raster.reach import check_reach
from geodet.raster.remote_files import list_remote_folder, read_remote_file
from geodet.raster.stac import is_stac, list_stac_scenes, read_listing, resolve_link
from geodet.raster.tile_indexes import read_tile_index

__all__ = [
    "INDEX_SUFFIXES",
    "is_remote_document",
    "list_documented",
    "list_remote_scenes",
    "names_scenes",
]

INDEX_SUFFIXES = (".gpkg", *PARQUET_SUFFIXES, ".geojson", ".fgb", ".shp")
"""Extensions of tile indexes; a ``.gpkg`` may be a raster as well."""

_JSON = (".json", ".geojson")
_REMOTE_INDEXES = tuple(suffix for suffix in INDEX_SUFFIXES if suffix != ".shp")  # several files
_LARGEST_INDEX = 256 << 20  # bytes
_API = re.compile(r"/(search|items|collections/[^/]+)$")  # of a STAC API
_TILED = "tiled-assets"  # a STAC item that GDAL opens as one raster
_RASTER_INDEXES = (".gti.gpkg", ".gti.fgb")  # that GDAL opens as one raster, too


def list_documented(
    path: Path, *, asset: str | None, limits: ReadingConfig | None
) -> list[tuple[str, str]] | None:
    """List the scenes that a local file names.

    Args:
        path: A file.
        asset: As for :func:`geodet.raster.stac.list_stac_scenes`.
        limits: How long the servers of what it links to may take.

    Returns:
        For each scene, where it is named, for messages, and its path or address, relative to the
        folder of the file; None where the file is a raster.

    Raises:
        SceneError: The file cannot be read, or names no scenes.
    """
    name = path.name.lower()
    if name.endswith(_RASTER_INDEXES):
        return None
    if name.endswith(_JSON):
        content = read_listing(str(path))
        if is_stac(content):  # whole paths, as links are resolved once: here
            return _list_stac(str(path.absolute()), content, asset, limits)
        if not _is_collection(path, content):
            return None
    elif not name.endswith(INDEX_SUFFIXES):
        return None
    rows = read_tile_index(path)
    if rows is None:
        return None
    if not rows:
        raise SceneError(f"{path} has no rows", hint="write an index with gdaltindex", path=path)
    return [(f"{path}, row {number}: ", location) for number, location in rows]


def names_scenes(path: Path) -> bool:
    """Whether a local file is an index of scenes or a STAC document, and not a raster itself."""
    name = path.name.lower()
    if name.endswith(_RASTER_INDEXES) or not name.endswith((*_JSON, *INDEX_SUFFIXES)):
        return False
    try:
        if not name.endswith(_JSON):
            return read_tile_index(path) is not None
        content = read_listing(str(path))
        return _is_collection(path, content) or (is_stac(content) and not _is_tiled(content))
    except SceneError:
        return False  # opening it reports what is wrong


def is_remote_document(text: str) -> bool:
    """Whether an argument is a document on a server, or a prefix of an object store.

    Example:
        >>> [is_remote_document(t) for t in ("s3://a/b/", "https://a/item.json", "s3://a/b.tif")]
        [True, True, False]
        >>> is_remote_document("https://host/stac/search?collections=naip&limit=100")
        True
    """
    plain = text.partition("?")[0].lower()
    if plain.endswith(_RASTER_INDEXES) or not is_remote_path(text):
        return False
    return plain.endswith(("/", "/**", *_JSON, *_REMOTE_INDEXES)) or _is_api(text)


def list_remote_scenes(
    text: str, *, asset: str | None, suffixes: tuple[str, ...], limits: ReadingConfig | None
) -> list[tuple[str, str]]:
    """List the scenes of a document on a server, or below a prefix of an object store.

    Args:
        text: An address for which :func:`is_remote_document` is true.
        asset: As for :func:`geodet.raster.stac.list_stac_scenes`.
        suffixes: Extensions of scenes.
        limits: How long its server may take.

    Returns:
        As by :func:`list_documented`, with addresses.

    Raises:
        SceneError: It cannot be read or listed, or names no scenes; or geodet is offline.
    """
    check_reach(text)
    plain = text.partition("?")[0].lower()
    if plain.endswith(_REMOTE_INDEXES) and not plain.endswith(_JSON):
        return _list_remote_index(text, plain, limits)
    if not text.endswith(("/", "/**")):
        content = read_listing(text, limits)
        if is_stac(content):
            return _list_stac(text, content, asset, limits) or [(f"{text}: ", text)]
        if _is_collection(text, content):
            return _list_remote_index(text, plain, limits)
        raise SceneError(f"{text} is not a STAC document", hint="check the address", path=text)
    folder, is_recursive = text.removesuffix("**"), text.endswith("**")
    found = list_remote_folder(folder, is_recursive=is_recursive, limits=limits)
    scenes = [path for path in found if path.lower().endswith(suffixes)]
    if not scenes:
        others = ", ".join(path.rpartition("/")[2] for path in found[:3])
        raise SceneError(
            f"no rasters in {folder}",
            hint=f"it has {others or 'no files'}; to include its subfolders, write {folder}**",
            path=text,
        )
    return [(f"{text}: ", scene) for scene in scenes]


def _is_collection(path: str | Path, content: Any) -> bool:
    """Whether a JSON document is a collection of features: with none it may be of any kind."""
    if not isinstance(content, dict) or content.get("type") != "FeatureCollection":
        return False
    if content.get("features") == []:
        raise _no_items(path)
    return True


def _no_items(path: str | Path) -> SceneError:
    hint = "check the file or address; a search may need another place or date"
    return SceneError(f"{path} has no items", hint=hint, path=path)


def _is_tiled(content: dict[str, object]) -> bool:
    extensions = content.get("stac_extensions")
    return isinstance(extensions, list) and any(_TILED in str(one) for one in extensions)


def _is_api(text: str) -> bool:
    """Whether an address is that of items in an API, as far as its path tells."""
    plain = text.partition("?")[0]
    return plain.startswith(("http://", "https://")) and bool(_API.search(plain))


def _list_remote_index(
    text: str, plain: str, limits: ReadingConfig | None
) -> list[tuple[str, str]]:
    """List the scenes of a tile index on a server; a GeoPackage without vectors is one itself."""
    content = read_remote_file(text, largest=_LARGEST_INDEX, limits=limits)
    with tempfile.TemporaryDirectory(prefix="geodet-") as folder:
        copy = Path(folder, "index").with_suffix(Path(plain).suffix)
        copy.write_bytes(content)
        try:
            rows = read_tile_index(copy)
        except SceneError as error:
            told = str(error).replace(str(copy), text)
            raise SceneError(told, hint=error.hint, path=text) from error
    if rows is None:
        return [(f"{text}: ", text)]
    if not rows:
        raise SceneError(f"{text} has no rows", hint="write an index with gdaltindex", path=text)
    return [(f"{text}, row {number}: ", resolve_link(text, place)) for number, place in rows]


def _list_stac(
    path: str, content: dict[str, object], asset: str | None, limits: ReadingConfig | None
) -> list[tuple[str, str]] | None:
    if _is_tiled(content):
        return None
    scenes = list_stac_scenes(path, content, asset=asset, limits=limits)
    if not scenes:
        raise _no_items(path)
    return [(f"{path}: ", scene) for scene in scenes]
