"""Temporary files of geodet: named after their process, and removed when it has died."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import re
import secrets
import shutil
from functools import cache
from pathlib import Path

import psutil

__all__ = [
    "is_temporary",
    "make_private_folder",
    "name_temporary",
    "remove_leftovers",
    "without_temporary",
]

logger = logging.getLogger(__name__)

_NAME = re.compile(r"\.geodet-(?P<pid>[0-9]+)-(?P<host>[0-9a-f]{8})-[0-9a-f]{12}(\..*)?")
_CLOCK = 2.0  # seconds by which the clock of a file server may be wrong


def name_temporary(path: Path) -> Path:
    """Name a temporary file or folder beside an output, with its suffix, which GDAL looks at.

    The first name in a folder also removes what dead processes have left there.
    """
    _remove_once(path.parent)
    name = f".geodet-{os.getpid()}-{_host()}-{secrets.token_hex(6)}{path.suffix.lower()}"
    return path.with_name(name)


def make_private_folder(path: Path) -> Path:
    """Make a temporary folder beside an output, which no other user can look into.

    What is written in it gets the rights that new files have, and keeps them when it is moved to
    its place.

    Raises:
        OSError: It cannot be made.
    """
    folder = name_temporary(path.with_suffix(""))
    folder.mkdir(mode=0o700)
    return folder


def is_temporary(path: Path) -> bool:
    """Whether a name is one that :func:`name_temporary` gives."""
    return _NAME.fullmatch(path.name) is not None


def without_temporary(path: str) -> str:
    """Return the name of a file in an output that is written in a temporary folder.

    Returns:
        The path from the output, empty for the output itself; another path as it is.

    Example:
        >>> without_temporary("a/.geodet-12-3d5cc89e-81f5ff2b29d5/new/images/b.tif")
        'images/b.tif'
    """
    parts = Path(path).parts
    first = next((row for row, part in enumerate(parts) if _NAME.fullmatch(part)), None)
    return path if first is None else "/".join(parts[first + 2 :])


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove the temporary files of processes of this machine that are no more.

    A name has the process and a hash of the machine. Files of other machines and containers are
    left alone, since nothing tells whether their processes live.

    Args:
        folder: A folder with outputs.

    Returns:
        What was removed.
    """
    removed = []
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            name = _NAME.fullmatch(entry.name)
            if name and name["host"] == _host() and not _is_alive(int(name["pid"]), entry):
                logger.info("removed %s, which a run that died left behind", entry)
                _remove(entry)
                removed.append(entry)
    return removed


@cache
def _remove_once(folder: Path) -> None:
    remove_leftovers(folder)


def _remove(entry: Path) -> None:
    with contextlib.suppress(OSError):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _is_alive(pid: int, entry: Path) -> bool:
    """Whether the process that made a file is running; a later one may have its number."""
    with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
        try:
            return psutil.Process(pid).create_time() <= entry.stat().st_mtime + _CLOCK
        except psutil.AccessDenied:
            return True
    return False


@cache
def _host() -> str:
    """Hash the name of the machine, and of the container: it numbers processes by itself."""
    text = platform.node()
    with contextlib.suppress(OSError):
        text += str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(text.encode()).hexdigest()[:8]
