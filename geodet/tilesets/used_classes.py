"""Choose the classes that are learnt: without ignored ones, or one for all objects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.geometry.arrays import Ints

__all__ = ["choose_used_classes", "number_classes"]


def choose_used_classes(
    names: Iterable[str], source: object, config: DataConfig, *, ignored: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the classes that are learnt, in the order in which they are first named.

    Args:
        names: The classes of the labels, as ``config.class_map`` renames them.
        source: The file, for the error message.
        config: ``ignore_classes`` and ``one_class``.
        ignored: Classes that the labels had, and that ``geodet tile`` ignored.

    Raises:
        TilesetError: A class to ignore is none of the labels.
    """
    known = dict.fromkeys(names)
    for name in config.ignore_classes:
        if name not in known and name not in ignored:
            raise TilesetError(
                f"{source} has no class {name!r} to ignore",
                hint=f"data.ignore_classes may name {', '.join(known)}",
            )
    kept = tuple(name for name in known if name not in config.ignore_classes)
    return (config.one_class,) if kept and config.one_class else kept


def number_classes(names: Sequence[str], classes: Sequence[str], config: DataConfig) -> Ints:
    """Return the index of the class of each object: (N,) int64, -1 for an ignored one.

    Args:
        names: The class of each object.
        classes: As :func:`choose_used_classes` returns them.
        config: ``ignore_classes`` and ``one_class``.
    """
    index = {name: row for row, name in enumerate(classes)}
    if config.one_class:
        index = dict.fromkeys(names, 0)
    index |= dict.fromkeys(config.ignore_classes, -1)
    return np.array([index[name] for name in names], np.int64)
