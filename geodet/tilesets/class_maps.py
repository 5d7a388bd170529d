"""Rename and join the classes of labels, as ``data.class_map`` says."""

from __future__ import annotations

from collections.abc import Iterable

from geodet.config import DataConfig
from geodet.config.section import name_hint
from geodet.errors import TilesetError
from geodet.tilesets.labels import ParsedLabels

__all__ = ["map_classes", "map_names"]


def map_classes(labels: ParsedLabels, config: DataConfig) -> ParsedLabels:
    """Rename the classes of the objects, and those that a file declares.

    Args:
        labels: The labels of a tileset; they are changed.
        config: ``class_map``.

    Returns:
        The same labels.

    Raises:
        TilesetError: The map names a class that the labels lack.
    """
    if not config.class_map:
        return labels
    used = {name for image in labels.images for name in image.names if name is not None}
    _check_keys({*used, *labels.classes}, labels.source, config)
    for image in labels.images:
        image.names = [
            None if name is None else config.class_map.get(name, name) for name in image.names
        ]
    declared = (config.class_map.get(name, name) for name in labels.classes)
    labels.classes = tuple(dict.fromkeys(declared))
    return labels


def map_names(
    names: Iterable[str], source: object, config: DataConfig, *, others: Iterable[str] = ()
) -> tuple[str, ...]:
    """Rename classes.

    Args:
        names: The class of each object.
        source: The file, for the error message.
        config: ``class_map``.
        others: Classes of other objects, which the map may name as well.

    Raises:
        TilesetError: The map names a class that no object has.
    """
    listed = tuple(names)
    if listed:
        _check_keys({*listed, *others}, source, config)
    return tuple(config.class_map.get(name, name) for name in listed)


def _check_keys(known: set[str], source: object, config: DataConfig) -> None:
    for name in config.class_map:
        if name not in known:
            raise TilesetError(
                f"{source} has no class {name!r}, which data.class_map renames",
                hint=name_hint(name, sorted(known), "classes"),
            )
