"""SQLite databases, such as GeoPackages, that other programs may have open."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from geodet.errors import OutputError
from geodet.files.open_files import programs_using

__all__ = [
    "check_replaceable",
    "connect_database",
    "is_database",
    "replacing_database",
    "run_when_free",
]

_logger = logging.getLogger(__name__)

_WAIT_S = 30.0
"""For a program that is writing."""
_POLL_S = 0.05
_MAGIC = b"SQLite format 3\0"
_SIDECARS = ("-wal", "-shm", "-journal")
"""Beside a database that is open, or was when its program died."""


def connect_database(path: Path) -> sqlite3.Connection:
    """Connect to an existing database; statements that others block fail at once.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    # not created, unlike by default; the waiting is ours, since SQLite's cannot be interrupted
    address = f"{path.resolve().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=0, isolation_level=None)


def run_when_free(
    database: sqlite3.Connection, statement: str, path: Path, *, wait_s: float | None = None
) -> None:
    """Run a statement that others may keep from being run, and wait for them a while.

    Args:
        database: A connection of :func:`connect_database`.
        statement: SQL.
        path: The database, for messages.
        wait_s: Seconds; None: 30.

    Raises:
        OutputError: They do not end.
        sqlite3.Error: The statement fails for another reason.
    """
    wait_s, is_told = _WAIT_S if wait_s is None else wait_s, False
    ends = time.monotonic() + wait_s
    while True:
        try:
            database.execute(statement).fetchall()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            if time.monotonic() >= ends:
                raise _locked_error(path, wait_s) from error
        if not is_told:
            _logger.warning("waiting for another program that has locked %s", path)
            is_told = True
        time.sleep(_POLL_S)


def check_replaceable(path: Path) -> None:
    """Check that no other program works with a file that is to be replaced, if it is a database.

    Raises:
        OutputError: One is writing to it, or has it open in WAL mode.
    """
    with _holding(path, wait_s=0):
        pass


@contextmanager
def replacing_database(path: Path) -> Iterator[None]:
    """Keep others from writing to a file while a ``with`` block replaces it, if it is a database.

    What SQLite has beside it is removed before: SQLite would replay an old ``-wal`` into the new
    file. Programs that only read a database without WAL are not in the way; they keep the old file.

    Raises:
        OutputError: Another program is writing to it, or has it open in WAL mode, and does not end.
    """
    with _holding(path, wait_s=None) as database:
        if database is not None and sys.platform == "win32":  # which replaces no open file
            database.close()
        for suffix in _SIDECARS:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        yield


@contextmanager
def _holding(path: Path, *, wait_s: float | None) -> Iterator[sqlite3.Connection | None]:
    """Lock a database for a block; yield None where there is none, or none that can be locked."""
    if not is_database(path):
        yield None
        return
    with contextlib.ExitStack() as stack:
        database = None
        try:
            database = stack.enter_context(closing(connect_database(path)))
            _lock(database, path, wait_s)
        except sqlite3.Error as error:  # it is damaged, read-only, or on a drive without locks
            if programs_using(path):
                raise _locked_error(path, 0) from error
            _logger.debug("%s cannot be locked: %s", path, error)
        yield database


def _lock(database: sqlite3.Connection, path: Path, wait_s: float | None) -> None:
    """Keep others from writing; in WAL mode, wait until no other program has it open."""
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    run_when_free(database, "SELECT count(*) FROM sqlite_master", path, wait_s=wait_s)
    if database.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what the -wal holds is the file's
    run_when_free(database, "BEGIN IMMEDIATE", path, wait_s=wait_s)


def is_database(path: Path) -> bool:
    """Whether a file is a database of SQLite, or has beside it what one in use has."""
    if any(path.with_name(path.name + suffix).exists() for suffix in _SIDECARS):
        return path.is_file()
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _locked_error(path: Path, waited_s: float) -> OutputError:
    programs = ", ".join(programs_using(path)) or "another program"
    what = f"has not released it in {waited_s:g} s" if waited_s else "is working with it"
    return OutputError(
        f"{path} is locked: {programs} {what}",
        hint="save the edits and close it there, for example in QGIS, and run the command again",
        path=path,
    )
