"""The rasters that STAC documents name: items, collections of items, catalogues, and APIs.

Reference:
    https://github.com/radiantearth/stac-spec, version 1.1.0, and
    https://github.com/radiantearth/stac-api-spec, version 1.0.0: links with the relations ``items``
    and ``next``
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from geodet.config.reading_config import ReadingConfig
from geodet.documents.json_documents import parse_json, read_json
from geodet.documents.text import DocumentError
from geodet.errors import SceneError
from geodet.files.network import is_remote_path
from geodet.raster.reach import check_list_reach, check_reach
from geodet.raster.remote_files import read_remote_file

__all__ = ["is_stac", "list_stac_scenes", "read_listing", "resolve_link"]

_Reader = Callable[[str], Any]  # of a document

_LARGEST = 256 << 20  # bytes of a document on a server
_DEEPEST = 20  # catalogues within each other
_READERS = 8  # of items, which a static catalogue keeps in a file each
_TYPES = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2")
_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt")
_AWAY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|/")


def read_listing(path: str, limits: ReadingConfig | None = None) -> Any:
    """Read a JSON document, local or remote.

    Args:
        path: Where it is.
        limits: How long its server may take.

    Raises:
        SceneError: It cannot be read; or it is remote, and geodet is offline.
    """
    if is_remote_path(path):
        check_reach(path)
    try:
        if not is_remote_path(path):
            return read_json(Path(path))
        return parse_json(
            read_remote_file(path, largest=_LARGEST, limits=limits).decode("utf-8-sig")
        )
    except DocumentError as error:
        raise SceneError(f"cannot read {path}: {error}", hint=error.hint, path=path) from error
    except UnicodeDecodeError as error:
        raise SceneError(
            f"cannot read {path}: it is not in UTF-8", hint="check the address", path=path
        ) from error


def is_stac(content: Any) -> bool:
    """Whether a JSON document is of STAC."""
    if not isinstance(content, dict):
        return False
    features = content.get("features")
    first = features[0] if isinstance(features, list) and features else None
    return "stac_version" in content or (isinstance(first, dict) and "stac_version" in first)


def list_stac_scenes(
    path: str, content: Any, *, asset: str | None = None, limits: ReadingConfig | None = None
) -> list[str]:
    """List the rasters of a STAC document.

    Args:
        path: Where it is.
        content: What :func:`read_listing` reads.
        asset: The asset of each item; None: the only raster with the role ``data``, or else the
            only raster that is not a thumbnail or an overview.
        limits: How long the servers of documents that it links to may take.

    Raises:
        SceneError: A document that it links to cannot be read, or an item does not tell which of
            its assets is meant.
    """
    read = partial(read_listing, limits=limits)
    return [
        _choose_asset(place, item, asset)
        for place, item in _iter_items(path, content, read, {os.path.normpath(path)}, 0)
    ]


def _iter_items(
    path: str, content: Any, read: _Reader, seen: set[str], depth: int
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the items of a document, each with where it is."""
    if not isinstance(content, dict) or depth > _DEEPEST:
        deep = f"its catalogues are nested more than {_DEEPEST} deep"
        what = deep if depth > _DEEPEST else "it is not a JSON object"
        raise SceneError(f"cannot read {path}: {what}", hint="check that it is STAC", path=path)
    kind = content.get("type")
    if kind == "Feature":
        yield path, content
    elif kind == "FeatureCollection":
        yield from _iter_pages(path, content, read, seen)
    else:
        items = _fresh_links(path, content, "item", seen)
        with ThreadPoolExecutor(_READERS) as pool:
            yield from zip(items, pool.map(read, items), strict=True)
        # An API has pages of items in place of a link to each.
        pages = [] if items else _fresh_links(path, content, "items", seen)
        for below in [*pages, *_fresh_links(path, content, "child", seen)]:
            yield from _iter_items(below, read(below), read, seen, depth + 1)


def _iter_pages(
    path: str, content: Mapping[str, Any], read: _Reader, seen: set[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the items of a page and of those that follow it."""
    while True:
        items = _list_of(content, "features")
        for item in items:
            yield path, item
        following = _fresh_links(path, content, "next", seen) if items else []
        if not following:
            return
        _check_method(path, content)
        path = following[0]
        content = read(path)


def _check_method(path: str, content: Mapping[str, Any]) -> None:
    for link in _list_of(content, "links"):
        if isinstance(link, dict) and link.get("rel") == "next" and link.get("method") == "POST":
            raise SceneError(
                f"{path} is one page of a search whose next page needs a POST request",
                hint="give the search as an address, such as .../search?collections=NAME&bbox=...",
                path=path,
            )


def _fresh_links(path: str, content: Mapping[str, Any], kind: str, seen: set[str]) -> list[str]:
    """Return the targets of links of a kind that were not followed yet, and mark them as followed.

    Args:
        path: The document.
        content: Content of the document.
        kind: The relation of the links, such as ``child``.
        seen: Targets that were followed; extended.
    """
    linked = dict.fromkeys(resolve_link(path, href) for rel, href in _links(content) if rel == kind)
    fresh = [one for one in linked if os.path.normpath(one) not in seen]
    if not is_remote_path(path):
        check_list_reach(Path(path), fresh)
    seen.update(map(os.path.normpath, fresh))
    return fresh


def _choose_asset(path: str, item: Any, name: str | None) -> str:
    """Return the path or address of an item's raster."""
    named = item.get("id") if isinstance(item, dict) else None
    place = f"{path}, item {named}"
    assets = item.get("assets") if isinstance(item, dict) else None
    known = {
        key: one
        for key, one in (assets.items() if isinstance(assets, dict) else ())
        if isinstance(one, dict) and isinstance(one.get("href"), str)
    }
    if name is not None:
        fitting = [name] if name in known else []
    else:
        rasters = [key for key, one in known.items() if _is_raster(one)]
        data = [key for key in rasters if "data" in _list_of(known[key], "roles")]
        fitting = data or [key for key in rasters if not _is_picture(known[key])]
    if len(fitting) != 1:
        what = f"no asset {name}" if name else f"{len(fitting) or 'no'} rasters with data"
        raise SceneError(
            f"{place}: it has {what}",
            hint=f"choose one with asset (--asset): it has {', '.join(known) or 'none'}",
            path=path,
        )
    return resolve_link(path, known[fitting[0]]["href"])


def _is_raster(asset: Mapping[str, Any]) -> bool:
    kind = asset.get("type")
    if isinstance(kind, str):
        return kind.lower().startswith(_TYPES)
    return str(asset["href"]).partition("?")[0].lower().endswith(_SUFFIXES)


def _is_picture(asset: Mapping[str, Any]) -> bool:
    return bool({"thumbnail", "overview", "metadata"}.intersection(_list_of(asset, "roles")))


def _links(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for link in _list_of(content, "links"):
        if isinstance(link, dict) and isinstance(link.get("href"), str):
            yield str(link.get("rel")), link["href"]


def _list_of(content: Mapping[str, Any], key: str) -> list[Any]:
    found = content.get(key)
    return [one for one in found if not isinstance(one, list)] if isinstance(found, list) else []


def resolve_link(base: str, href: str) -> str:
    """Return the target of a link in a document.

    Args:
        base: The path or address of the document.
        href: The link, absolute or relative to it.

    Example:
        >>> resolve_link("https://host/a/catalog.json", "../b/item.json")
        'https://host/b/item.json'
        >>> resolve_link("s3://bucket/a/item.json", "./a.tif")
        's3://bucket/a/a.tif'
    """
    href = href.removeprefix("file://")
    away = _AWAY.match(href)
    if away is not None and away[0] != "/":
        return href
    if not is_remote_path(base):
        return _decoded(str(Path(base).parent / href))
    scheme, _, rest = base.partition("://")
    host, _, folder = rest.partition("/")
    if href.startswith("/"):
        return f"{scheme}://{host}{href}"
    inside = posixpath.normpath(posixpath.join("/", posixpath.dirname(folder), href))
    return f"{scheme}://{host}{inside}"


def _decoded(path: str) -> str:
    """Read ``%20`` and the like in a link to a local file, unless a file has that very name."""
    if "%" not in path or Path(path).exists() or not Path(unquote(path)).exists():
        return path
    return unquote(path)
