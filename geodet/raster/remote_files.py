"""Read and list files on servers through GDAL, with its credentials.

rasterio opens rasters alone, so GDAL's functions for files are called directly.
"""

from __future__ import annotations

import ctypes
import logging
import re
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from geodet.config.reading_config import ReadingConfig
from geodet.errors import SceneError
from geodet.raster.gdal_messages import GdalListener
from geodet.raster.gdal_options import forget_remote_files, gdal_library, gdal_options
from geodet.raster.remote import RemoteCalls, ServerError, find_server_error

__all__ = ["list_remote_folder", "read_remote_file"]

_T = TypeVar("_T")

_SYSTEMS = {"s3": "vsis3", "gs": "vsigs", "az": "vsiaz", "oss": "vsioss", "swift": "vsiswift"}
_ADDRESS = re.compile(r"(?P<scheme>[a-z0-9]+)://", re.IGNORECASE)
_AT_ONCE = 1 << 20  # bytes


def read_remote_file(path: str, *, largest: int, limits: ReadingConfig | None = None) -> bytes:
    """Read a whole file.

    Args:
        path: An address, such as ``https://...`` or ``s3://...``, or a path such as ``/vsis3/...``.
        largest: Bytes that it may have.
        limits: How long its server may take.

    Raises:
        SceneError: There is no such file, it is too large, or its server failed.
    """

    def read() -> bytes | None:
        gdal = _gdal()
        file = gdal.VSIFOpenL(_to_gdal(path, web="vsicurl_streaming"), b"rb")
        if not file:
            _ask_why(gdal, path)
            return None
        try:
            return _read_all(gdal, file, largest)
        finally:
            gdal.VSIFCloseL(file)

    content = _call(path, read, f"read {path}", limits)
    if len(content) > largest:
        raise SceneError(
            f"{path} has more than {largest:,} bytes, too many for a list of scenes",
            hint="check that it is an index, a STAC document or a list of scenes",
            path=path,
        )
    return content


def list_remote_folder(
    path: str, *, is_recursive: bool, limits: ReadingConfig | None = None
) -> list[str]:
    """List the files below a prefix of an object store.

    Args:
        path: An address that ends in a slash, such as ``s3://bucket/prefix/``.
        is_recursive: Whether those in folders of it count as well.
        limits: How long the server may take.

    Returns:
        Addresses, in the order of their names.

    Raises:
        SceneError: It cannot be listed.
    """
    folder = path.rstrip("/")

    def read() -> list[str] | None:
        gdal = _gdal()
        depth = -1 if is_recursive else 0
        opened = gdal.VSIOpenDir(_to_gdal(folder), depth, None)
        if not opened:
            _ask_why(gdal, f"{folder}/-")  # of any name
            return None
        try:
            names = []
            while entry := gdal.VSIGetNextDirEntry(opened):
                name, mode = entry.contents.name, entry.contents.mode
                if name and mode & _FOLDER_MODE != _FOLDER_MODE:
                    names.append(name.decode("utf-8", "surrogateescape"))
            return names
        finally:
            gdal.VSICloseDir(opened)

    return [f"{folder}/{name}" for name in sorted(_call(path, read, f"list {path}", limits))]


class _Entry(ctypes.Structure):
    """The first fields of GDAL's ``VSIDIREntry``."""

    _fields_ = (("name", ctypes.c_char_p), ("mode", ctypes.c_int))


_FOLDER_MODE = 0o040000


@cache
def _gdal() -> Any:
    """Return the functions of the GDAL that rasterio has loaded."""
    try:
        gdal = ctypes.CDLL(gdal_library())
        text, handle, size = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t
        for name, result, arguments in (
            ("VSIFOpenL", handle, (text, text)),
            ("VSIFReadL", size, (handle, size, size, handle)),
            ("VSIFCloseL", ctypes.c_int, (handle,)),
            ("VSIOpenDir", handle, (text, ctypes.c_int, handle)),
            ("VSIGetNextDirEntry", ctypes.POINTER(_Entry), (handle,)),
            ("VSICloseDir", None, (handle,)),
        ):
            function = getattr(gdal, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise SceneError(
            f"rasterio's GDAL cannot list or read files on servers on this machine: {error}",
            hint="download the file that lists the scenes, and name the copy",
        ) from error
    return gdal


def _ask_why(gdal: Any, path: str) -> None:
    """Query a server again: GDAL gives no reason why a file is not streamed or a folder not listed.

    Raises:
        ServerError: This time it answers.
    """
    file = gdal.VSIFOpenL(_to_gdal(path), b"rb")
    if file:
        gdal.VSIFCloseL(file)
        forget_remote_files()
        raise ServerError(0, "it failed temporarily")


def _read_all(gdal: Any, file: Any, largest: int) -> bytes:
    """Read a file to its end, or to one byte more than it may have."""
    buffer, parts, count = ctypes.create_string_buffer(_AT_ONCE), list[bytes](), 0
    while count <= largest:
        found = gdal.VSIFReadL(buffer, 1, _AT_ONCE, file)
        if not found:
            break
        parts.append(buffer.raw[:found])
        count += found
    return b"".join(parts)


def _call(
    path: str, function: Callable[[], _T | None], what: str, limits: ReadingConfig | None
) -> _T:
    """Call a function of GDAL's, and repeat it after temporary failures of the server."""
    import rasterio  # loads GDAL, which most scenes are listed without

    limits = limits or ReadingConfig()
    options = gdal_options(path, limits)
    with GdalListener(logging.DEBUG) as listener:

        def attempt() -> _T:
            with rasterio.Env(**options), listener.collect() as records:
                result = function()
            failure = find_server_error(records)
            if result is not None and (failure is None or not failure.is_transient):
                return result
            forget_remote_files()
            raise failure or ServerError(404, "")

        return RemoteCalls(path, limits).call(attempt, what)


def _to_gdal(path: str, *, web: str = "vsicurl") -> bytes:
    """Return an address as GDAL's path.

    Args:
        path: The address.
        web: The system for ``https://``; a program that answers there, such as a STAC API, may know
            neither the length of its answer nor parts of it, which streaming does not ask for.
    """
    found = _ADDRESS.match(path)
    if found is None:
        return path.encode("utf-8", "surrogateescape")
    scheme = found["scheme"].lower()
    system = _SYSTEMS.get(scheme)
    text = f"/{web}/{path}" if system is None else f"/{system}/{path[found.end() :]}"
    return text.encode("utf-8", "surrogateescape")
