"""Write files so that a power failure leaves the old content or the new one."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from pathlib import Path

__all__ = ["sync_file", "write_synced"]


def sync_file(path: Path) -> None:
    """Wait until a complete file is on the disk, before it is renamed to its place.

    Raises:
        OSError: It is not there, or cannot be written.
    """
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def write_synced(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all, also if the power fails.

    Several processes may write one file: each has a temporary file of its own.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        temporary.touch(mode=0o600)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sys.platform != "win32":  # which cannot open a folder
        with contextlib.suppress(OSError):
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
