"""Find the programs that have a file open, for messages."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

__all__ = ["programs_using"]


def programs_using(path: Path) -> list[str]:
    """Return the other programs that have a file open, where the system lists them.

    Example:
        >>> programs_using(Path("missing.gpkg"))
        []
    """
    wanted, found = str(path.resolve()), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and _has_open(process, wanted):
                found.append(f"{process.name()} (process {process.pid})")
    return found


def _has_open(process: psutil.Process, path: str) -> bool:
    return any(one.path == path for one in process.open_files())
