"""Distinguish scenes of one name and place by their files, such as one tile of two years."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

__all__ = ["SCENES_TABLE", "is_other_file", "note_file", "read_files"]

SCENES_TABLE = "scenes"
"""Table of the scenes that were opened with a file, with the place of each."""

_SAMPLE = 65_536  # bytes at the beginning, in the middle and at the end


def read_files(database: sqlite3.Connection) -> dict[str, str | None]:
    """Read the paths of scenes, by name, from the folder of a file of reviews.

    None for a scene that was no local file.
    """
    if "path" not in _columns(database):  # no table, or one of an earlier version
        return {}
    return dict(database.execute(f"SELECT scene, path FROM {SCENES_TABLE}").fetchall())


def note_file(database: sqlite3.Connection, name: str, scene: str) -> None:
    """Write down where the file of a scene is.

    Args:
        database: The file of reviews, in a transaction.
        name: Name of the scene, which the table of scenes has.
        scene: Path of the scene, its folders joined by slashes.

    Raises:
        sqlite3.Error: The file cannot be written.
    """
    if "path" not in _columns(database):
        database.execute(f"ALTER TABLE {SCENES_TABLE} ADD COLUMN path TEXT")
    row = _relative(_local(scene), _folder(database)), name
    database.execute(f"UPDATE {SCENES_TABLE} SET path = ? WHERE scene = ?", row)


def is_other_file(database: sqlite3.Connection, noted: str | None, scene: str) -> bool:
    """Whether a scene is not the file that was noted, nor a copy of it.

    A file that is no longer there may have been moved, so no other file is another scene.

    Args:
        database: The file of reviews.
        noted: From :func:`read_files`.
        scene: Path of the scene, its folders joined by slashes.
    """
    if noted is None:
        return False
    known, file = _folder(database) / noted, _local(scene)
    try:
        if not (known.is_file() and file.is_file()) or known.samefile(file):
            return False
        return _sampled(known) != _sampled(file)
    except OSError:
        return False


def _columns(database: sqlite3.Connection) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA table_info({SCENES_TABLE})")}


def _relative(file: Path, folder: Path) -> str | None:
    """Return a path from a folder, which holds where both are moved; None for no local file."""
    if not file.is_file():
        return None
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # on another drive
        return str(file)


def _folder(database: sqlite3.Connection) -> Path:
    return Path(database.execute("PRAGMA database_list").fetchone()[2]).parent


def _local(scene: str) -> Path:
    return Path(scene) if Path(scene).drive else Path("/", scene)


def _sampled(path: Path) -> tuple[int, list[bytes]]:
    """Return the size of a file and some of its bytes: all of a scene may take minutes to read."""
    size, samples = path.stat().st_size, []
    with path.open("rb") as file:
        for start in (0, size // 2, max(size - _SAMPLE, 0)):
            file.seek(start)
            samples.append(file.read(_SAMPLE))
    return size, samples
