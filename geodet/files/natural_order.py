"""The order in which people expect names with numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["sort_naturally"]


def sort_naturally(paths: Iterable[Path]) -> list[str]:
    """Sort paths folder by folder, 2 before 10, whatever the case.

    Example:
        >>> sort_naturally([Path("b10.tif"), Path("B2.tif")])
        ['B2.tif', 'b10.tif']
    """
    return [str(path) for path in sorted(paths, key=_natural)]


def _natural(path: Path) -> list[tuple[list[tuple[int, int, str]], str]]:
    return [(_digits_apart(part), part) for part in path.parts]


def _digits_apart(text: str) -> list[tuple[int, int, str]]:
    pieces = re.split(r"([0-9]+)", text.casefold())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces if p]
