"""GDAL's options for reading a raster, and whether it is read over a network."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import re
from pathlib import Path
from typing import Any

import rasterio._env

from geodet.config.reading_config import ReadingConfig
from geodet.files.network import is_remote_path

__all__ = ["forget_remote_files", "gdal_options", "is_remote"]

# Scenes keep decoded blocks for all their threads; GDAL's own cache serves the files of a VRT.
_LOCAL = {"GDAL_CACHEMAX": 32 * 2**20, "GDAL_NUM_THREADS": 1}
_REMOTE = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # a server's listing is slow, and often refused
    "GDAL_INGESTED_BYTES_AT_OPEN": 32_768,  # a COG's header in one request
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1000,  # bytes per second
    "GDAL_HTTP_MAX_RETRY": 0,  # a window is read again as a whole: GDAL repeats no cut-off answer
    "CPL_DEBUG": "VSICURL",  # the status of an answer stands nowhere else
    "CPL_VSIL_CURL_CACHE_SIZE": 64 * 2**20,  # shared by the handles of all threads
}
_XML_BYTES = 4 * 2**20  # of a description that are searched for addresses


def gdal_options(path: str, limits: ReadingConfig | None = None) -> dict[str, Any]:
    """Return GDAL options for reading a raster, but none that environment variables set.

    Args:
        path: The raster.
        limits: How long a server may take.
    """
    options = _LOCAL | (_REMOTE | _to_options(limits or ReadingConfig()) if is_remote(path) else {})
    return {name: value for name, value in options.items() if name not in os.environ}


def is_remote(path: str) -> bool:
    """Whether a raster is read over a network; local archives are not.

    A local file in XML, such as a VRT, is remote if it has an address in it.
    """
    return is_remote_path(path) or _names_remote(path)


def _names_remote(path: str) -> bool:
    """Whether a local file is a description of a raster, such as a VRT, with addresses in it."""
    if not path.lower().endswith((".vrt", ".xml", ".wms")):
        return False
    try:
        with Path(path).open("rb") as file:
            text = file.read(_XML_BYTES).decode("utf-8", "replace")
    except OSError:
        return False  # opening it says what is wrong
    names = re.findall(r">\s*([^<>\s][^<>]*?)\s*<", text)
    return any(map(is_remote_path, names))


def forget_remote_files() -> None:
    """Clear what GDAL has cached of files on servers, as it takes a failure for an answer.

    A file whose server did not answer is otherwise missing from then on. GDAL's function has no
    counterpart in rasterio; where it cannot be found, the retries of an opening fail as well.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(rasterio._env.__file__).VSICurlClearCache()


def _to_options(limits: ReadingConfig) -> dict[str, Any]:
    return {
        "GDAL_HTTP_CONNECTTIMEOUT": math.ceil(limits.connect_timeout),
        "GDAL_HTTP_LOW_SPEED_TIME": math.ceil(limits.stall_timeout),
        "GDAL_HTTP_TIMEOUT": math.ceil(limits.request_timeout),
    }
