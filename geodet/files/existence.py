"""Check whether a path exists, also one that no file can have, or one under a similar name."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

__all__ = ["find_alike", "is_there"]


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


def find_alike(places: Sequence[Path]) -> Path | None:
    """Return the first file that alone in its folder has a name like that of a place.

    Names are alike that differ by case, or by how accents are stored: on Windows and macOS they are
    one. macOS stores accents apart from their letters, and so do archives that were made there.

    Args:
        places: Where the file may be, under the name that the labels give it.

    Returns:
        The path of the file; None if there is none, or only several that are alike.
    """
    for place in places:
        folder = place.parent
        if folder.is_dir():
            names = _list_names(folder, folder.stat().st_mtime_ns).get(_key(place.name), ())
            if len(names) == 1 and (folder / names[0]).is_file():
                return folder / names[0]
    return None


@lru_cache(maxsize=32)
def _list_names(folder: Path, _changed: int) -> Mapping[str, Sequence[str]]:
    """List the names in a folder that are alike; its time keeps the list from being too old."""
    names: dict[str, list[str]] = {}
    for one in folder.iterdir():
        names.setdefault(_key(one.name), []).append(one.name)
    return names


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
