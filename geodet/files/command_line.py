"""The command line of a run as a report shows it, without what should stay secret."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

__all__ = ["hide_secrets", "join_command"]

_USER = re.compile(r"(?<=://)[^/@\s'\"]+(?=@)")
_QUERY = re.compile(r"(\w+://[^\s'\"?]*)\?[^\s'\"]+")


def join_command(words: Sequence[str]) -> str:
    """Return a command line that a shell reads as these words, with secrets hidden.

    Example:
        >>> join_command(["geodet", "detect", "my scene.tif"])
        "geodet detect 'my scene.tif'"
        >>> join_command(["geodet", "info", "https://me:word@example.org/a.tif?token=x"])
        "geodet info 'https://***@example.org/a.tif?***'"
    """
    return shlex.join([hide_secrets(word) for word in words])


def hide_secrets(text: str) -> str:
    """Replace user names, passwords and query strings of addresses: reports are passed on."""
    return _QUERY.sub(r"\1?***", _USER.sub("***", text))
