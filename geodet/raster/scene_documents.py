"""Documents that name scenes: tile indexes, STAC, and the listing of an object store."""

from __future__ import annotations

from pathlib import Path

from geodet.errors import SceneError
from geodet.files.network import is_remote_path
from geodet.raster.reach import check_reach
from geodet.raster.remote_files import list_remote_folder
from geodet.raster.stac import is_stac, list_stac_scenes, read_listing
from geodet.raster.tile_indexes import read_tile_index

__all__ = ["INDEX_SUFFIXES", "is_remote_document", "list_documented", "list_remote_scenes"]

INDEX_SUFFIXES = (".gpkg", ".parquet", ".geoparquet", ".geojson", ".fgb", ".shp")
"""Extensions of tile indexes; a ``.gpkg`` may be a raster as well."""

_JSON = (".json", ".geojson")
_TILED = "tiled-assets"  # a STAC item that GDAL opens as one raster
_RASTER_INDEXES = (".gti.gpkg", ".gti.fgb")  # that GDAL opens as one raster, too


def list_documented(path: Path, *, asset: str | None) -> list[tuple[str, str]] | None:
    """List the scenes that a local file names.

    Args:
        path: A file.
        asset: As for :func:`geodet.raster.stac.list_stac_scenes`.

    Returns:
        Where each is named, for messages, and its path or address, relative to the folder of the
        file; None where the file is a raster.

    Raises:
        SceneError: The file cannot be read, or names no scenes.
    """
    name = path.name.lower()
    if name.endswith(_RASTER_INDEXES):
        return None
    if name.endswith(_JSON):
        content = read_listing(str(path))
        if is_stac(content):
            return _list_stac(str(path), content, asset)
        if not isinstance(content, dict) or content.get("type") != "FeatureCollection":
            return None
    elif not name.endswith(INDEX_SUFFIXES):
        return None
    rows = read_tile_index(path)
    if rows is None:
        return None
    if not rows:
        raise SceneError(f"{path} has no rows", hint="write an index with gdaltindex", path=path)
    return [(f"{path}, row {number}: ", location) for number, location in rows]


def is_remote_document(text: str) -> bool:
    """Whether an argument is a document on a server, or a prefix of an object store.

    Example:
        >>> [is_remote_document(t) for t in ("s3://a/b/", "https://a/item.json", "s3://a/b.tif")]
        [True, True, False]
    """
    plain = text.partition("?")[0].lower()
    return is_remote_path(text) and plain.endswith(("/", "/**", *_JSON))


def list_remote_scenes(
    text: str, *, asset: str | None, suffixes: tuple[str, ...]
) -> list[tuple[str, str]]:
    """List the scenes of a document on a server, or below a prefix of an object store.

    Args:
        text: What :func:`is_remote_document` says yes to.
        asset: As for :func:`geodet.raster.stac.list_stac_scenes`.
        suffixes: Extensions of scenes.

    Returns:
        As by :func:`list_documented`, with addresses.

    Raises:
        SceneError: It cannot be read or listed, or names no scenes; or geodet is offline.
    """
    check_reach(text)
    if not text.endswith(("/", "/**")):
        content = read_listing(text)
        if is_stac(content):
            return _list_stac(text, content, asset) or [(f"{text}: ", text)]
        raise SceneError(f"{text} is no STAC document", hint="check the address", path=text)
    folder, is_recursive = text.removesuffix("**"), text.endswith("**")
    found = list_remote_folder(folder, is_recursive=is_recursive)
    scenes = [path for path in found if path.lower().endswith(suffixes)]
    if not scenes:
        others = ", ".join(path.rpartition("/")[2] for path in found[:3])
        raise SceneError(
            f"no rasters in {folder}",
            hint=f"it has {others or 'no files'}; for what is below it write {folder}**",
            path=text,
        )
    return [(f"{text}: ", scene) for scene in scenes]


def _list_stac(
    path: str, content: dict[str, object], asset: str | None
) -> list[tuple[str, str]] | None:
    extensions = content.get("stac_extensions")
    if isinstance(extensions, list) and any(_TILED in str(one) for one in extensions):
        return None
    scenes = list_stac_scenes(path, content, asset=asset)
    if not scenes:
        raise SceneError(f"{path} has no items", hint="check that it is the right one", path=path)
    return [(f"{path}: ", scene) for scene in scenes]
