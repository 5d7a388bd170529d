"""Write small files so that a power failure leaves the old content or the new one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["write_synced"]


def write_synced(path: Path, content: bytes) -> None:
    """Write a file that is there as a whole or not at all, also after a power failure.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f"{path.name}.new")
    temporary.touch(mode=0o600)
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    with contextlib.suppress(OSError, AttributeError):  # Windows cannot open a folder
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
