"""Set the dates in a GeoPackage to a fixed one, as reproducible builds need it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from geodet.errors import OutputError

__all__ = ["read_date", "set_dates"]

_VARIABLE = "SOURCE_DATE_EPOCH"
_DATES = (
    ("gpkg_contents", "last_change"),
    ("gpkg_metadata_reference", "timestamp"),
    ("layer_styles", "update_time"),
)


def set_dates(path: Path) -> None:
    """Set all dates in a GeoPackage to ``SOURCE_DATE_EPOCH``, if that environment variable is set.

    The bytes of the file then depend only on the detections.

    Raises:
        OutputError: The variable is not a number of seconds since 1970.
        sqlite3.Error: The file cannot be written.

    Reference:
        https://reproducible-builds.org/specs/source-date-epoch/
    """
    date = read_date()
    if date is None:
        return
    text = date.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        tables = {str(name) for (name,) in database.execute("SELECT name FROM sqlite_master")}
        for table, column in _DATES:
            if table in tables:
                database.execute(f"UPDATE {table} SET {column} = ?", (text,))


def read_date() -> datetime | None:
    """Return the date that ``SOURCE_DATE_EPOCH`` holds; None if it is not set.

    Raises:
        OutputError: It is not a number of seconds since 1970.
    """
    if not (given := os.environ.get(_VARIABLE)):
        return None
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise OutputError(
            f"{_VARIABLE} is {given!r}, not a whole number of seconds since 1970",
            hint="unset it, or set it to a number such as `date +%s` prints",
        ) from error
