"""Paths of vector files for pyogrio, which takes them for addresses.

It reads what follows ``//`` as a host, what follows ``;`` as parameters, and what follows ``!`` as
the name of a file in an archive, also in paths of local files.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePath, PureWindowsPath

from geodet.errors import OutputError, VectorError

__all__ = ["PARQUET_SUFFIXES", "check_gdal_output", "gdal_path", "path_text"]

PARQUET_SUFFIXES = (".parquet", ".geoparquet")
"""Extensions of GeoParquet, which PyArrow reads in the place of GDAL."""

_HINT = "rename the folder or the file without !, or run in that folder and name the file alone"


def gdal_path(path: str | Path) -> str:
    """Return a path that pyogrio passes on to GDAL as the same path.

    Paths of GDAL's own file systems and addresses are returned as they are.

    Raises:
        VectorError: The path has a ``!``, which no form of it protects.

    Example:
        >>> gdal_path("trees;1.gpkg").startswith("file:///")
        True
        >>> gdal_path("trees.gpkg")
        'trees.gpkg'
    """
    text = path_text(path)
    if _is_taken_literally(text):
        return text
    if "!" in text:
        raise VectorError(f"{text}: {_reason(text)}", hint=_HINT, path=path)
    if ";" in text or text.startswith("//"):
        return f"file://{Path.cwd() / text}"
    return text


def path_text(path: str | PurePath) -> str:
    """Return a path as the text that GDAL opens.

    GDAL's own file systems have slashes on Windows too, where a ``Path`` has turned them.

    Example:
        >>> path_text(PureWindowsPath("/vsizip/C:/data/zones.zip/zones.shp"))
        '/vsizip/C:/data/zones.zip/zones.shp'
    """
    text = str(path)
    is_of_windows = os.name == "nt" or isinstance(path, PureWindowsPath)
    return text.replace("\\", "/") if is_of_windows and text.startswith("\\vsi") else text


def check_gdal_output(path: Path) -> None:
    """Check that GDAL can write to a path.

    Raises:
        OutputError: It has a ``!``.
    """
    text = str(path)
    if "!" in text and not _is_taken_literally(text):
        raise OutputError(f"cannot write {text}: {_reason(text)}", hint=_HINT, path=path)


def _is_taken_literally(text: str) -> bool:
    is_drive = os.name == "nt" and text[1:2] == ":"
    return is_drive or text.startswith("/vsi") or "://" in text


def _reason(text: str) -> str:
    return (
        f"because of its !, GDAL would take it for the file {text.rpartition('!')[2]} in an archive"
    )
