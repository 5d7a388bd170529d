"""Recognise a scene that has changed since an earlier run, by size, time and header of files."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from geodet.raster.linked_files import links_of
from geodet.raster.scene_lists import is_gdal_path
from geodet.raster.source import quietly

__all__ = ["identify_scene"]

_HEADER_BYTES = 65_536


def identify_scene(path: str) -> str:
    """Return a text that differs when a scene is another one, or has been edited.

    The text has the size, the time of the last change and a hash of the first 64 KiB of the file
    and of those that belong to it: the members of a VRT, masks, overviews, world files.

    Args:
        path: As GDAL opens it.

    Returns:
        The text; empty for what is no local file, of which only the path is known.
    """
    if is_gdal_path(path) or not Path(path).is_file():
        return ""
    # GDAL lists the files of a mosaic, but not those of the mosaics in it.
    linked = map(str, links_of(path).files)
    files = dict.fromkeys([path, *sorted({*_list_files(path), *linked})])
    texts = [_identify_file(Path(file)) for file in files]
    if len(texts) == 1:
        return texts[0]
    others = hashlib.sha256("\n".join(texts[1:]).encode()).hexdigest()
    return f"{texts[0]}, with {len(texts) - 1} other files {others[:16]}"


def _list_files(path: str) -> list[str]:
    try:
        with quietly(path), rasterio.open(path) as dataset:
            return [str(file) for file in dataset.files]
    except RasterioError:  # reading the scene raises what is wrong with it
        return []


def _identify_file(path: Path) -> str:
    try:
        about = path.stat()
        with path.open("rb") as file:
            header = hashlib.sha256(file.read(_HEADER_BYTES)).hexdigest()
    except OSError:
        return f"{path} is missing"
    changed = datetime.fromtimestamp(about.st_mtime_ns / 1e9, UTC).isoformat()
    return f"{about.st_size} bytes of {changed}, header {header[:16]}"
