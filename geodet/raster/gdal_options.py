"""GDAL's options for reading a raster."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
from pathlib import Path
from typing import Any

from geodet.config.reading_config import ReadingConfig
from geodet.raster.linked_files import is_remote

__all__ = ["forget_remote_files", "gdal_library", "gdal_options"]

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


def gdal_options(path: str, limits: ReadingConfig | None = None) -> dict[str, Any]:
    """Return GDAL options for reading a raster, but none that environment variables set.

    Args:
        path: The raster.
        limits: How long a server may take.
    """
    options = _LOCAL | (_REMOTE | _to_options(limits or ReadingConfig()) if is_remote(path) else {})
    return {name: value for name, value in options.items() if name not in os.environ}


def forget_remote_files() -> None:
    """Clear what GDAL has cached of files on servers, as it takes a failure for an answer.

    A file whose server did not answer is otherwise missing from then on. GDAL's function has no
    counterpart in rasterio; where it cannot be found, the retries of an opening fail as well.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(gdal_library()).VSICurlClearCache()


def gdal_library() -> str:
    """Return the library that has the functions of the GDAL that rasterio has loaded.

    It is a module of rasterio's, through which the functions are found. On Windows, where a module
    does not pass on those of other libraries, it is the one in rasterio's wheel, or else the one
    that is installed as ``gdal.dll``, as by conda.
    """
    import rasterio._env

    library = Path(rasterio._env.__file__)
    if sys.platform == "win32":
        library = next(library.parents[1].glob("rasterio.libs/gdal*.dll"), Path("gdal.dll"))
    return str(library)


def _to_options(limits: ReadingConfig) -> dict[str, Any]:
    return {
        "GDAL_HTTP_CONNECTTIMEOUT": math.ceil(limits.connect_timeout),
        "GDAL_HTTP_LOW_SPEED_TIME": math.ceil(limits.stall_timeout),
        "GDAL_HTTP_TIMEOUT": math.ceil(limits.request_timeout),
    }
