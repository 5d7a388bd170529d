"""Whether a path exists, also where there can be no such path."""

from __future__ import annotations

from pathlib import Path

__all__ = ["is_there"]


def is_there(path: str | Path) -> bool:
    """Whether there is a file or folder; there is none of a name that the system refuses.

    Addresses of a server may be longer than any name of a file, and texts may hold the character
    NUL: :meth:`pathlib.Path.exists` raises for these.

    Example:
        >>> is_there("https://host/a.tif?signature=" + "0" * 300), is_there("/")
        (False, True)
    """
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False
