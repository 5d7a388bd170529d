"""The errors of GDAL, when it cannot write a file, as ``OSError``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from geodet.vector.lazy_modules import pyogrio

__all__ = ["raising_gdal_errors"]

_LONGEST_MESSAGE = 160  # characters


@contextlib.contextmanager
def raising_gdal_errors() -> Iterator[None]:
    """Turn the errors of GDAL within a ``with`` block into ``OSError``."""
    try:
        yield
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise OSError(_shortened(str(error))) from error


def _shortened(message: str) -> str:
    """Keep the cause: GDAL puts it after the statement of SQL that failed, which may take pages."""
    if "sqlite3_exec(" in message:
        message = message.rpartition(") failed: ")[2]
    if len(message) <= _LONGEST_MESSAGE:
        return message
    return f"... {message[-_LONGEST_MESSAGE:].lstrip()}"
