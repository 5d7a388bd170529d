"""Join the class names of two sources: files, or a file and a model."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

__all__ = ["join_names"]


def join_names(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Find which of other class names each name stands for.

    Names that differ only in case, in blanks around them or in how accents are stored stand for one
    class. Where one side has several such names, each is joined with the same name only.

    Args:
        names: Classes of one source; a name may be repeated.
        others: Those of the other.

    Returns:
        The other name of each name that has one; no two have the same.

    Example:
        >>> join_names(["Car", "van"], ["car", "bus"])
        {'Car': 'car'}
        >>> join_names(["Car", "car"], ["car"])
        {'car': 'car'}
    """
    ours, theirs = _alike(names), _alike(others)
    joined = {}
    for key, own in ours.items():
        there = theirs.get(key, [])
        if len(own) == len(there) == 1:
            joined[own[0]] = there[0]
        else:
            joined |= {name: name for name in own if name in there}
    return joined


def _alike(names: Iterable[str]) -> dict[str, list[str]]:
    """Group distinct names by what is the same for all that may stand for one class."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        key = unicodedata.normalize("NFC", name).strip().casefold()
        groups.setdefault(key, []).append(name)
    return groups
