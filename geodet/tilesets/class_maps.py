"""Rename classes by ``data.class_map``."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable

from geodet.config import DataConfig
from geodet.config.section import name_hint
from geodet.documents.values import check_class_name
from geodet.errors import TilesetError
from geodet.tilesets.parsed_labels import ParsedImage, ParsedLabels

__all__ = ["map_classes", "map_names"]

logger = logging.getLogger(__name__)


def map_classes(
    labels: ParsedLabels, config: DataConfig, *, others: Iterable[str] = ()
) -> ParsedLabels:
    """Rename the classes of the objects, and those that a file declares.

    Images that ``geodet tile`` cut with the same map have the new names already, and keep them.

    Args:
        labels: The labels of a tileset; they are changed.
        config: ``class_map``.
        others: Classes of other objects, which the map may name as well.

    Returns:
        The same labels.

    Raises:
        TilesetError: The map names a class that the labels lack, or renames again what another map
            has renamed, or a name is one that files cannot hold.
    """
    for image in labels.images:
        image.names = [None if name is None else _composed(name) for name in image.names]
    labels.classes = tuple(dict.fromkeys(map(_composed, labels.classes)))
    used = {name for image in labels.images for name in image.names if name is not None}
    _check_names({*used, *labels.classes}, labels.source)
    if not config.class_map:
        return labels
    to_rename = [image for image in labels.images if image.class_map != config.class_map]
    if not to_rename:
        logger.info(
            "%s: geodet tile has applied this data.class_map: it is not applied again",
            labels.source,
        )
        return labels
    _check_keys({*used, *labels.classes, *others}, labels.source, config)
    _check_not_repeated(to_rename, {*used, *labels.classes}, labels.source, config)
    for image in to_rename:
        image.names = [
            None if name is None else config.class_map.get(name, name) for name in image.names
        ]
    declared = (config.class_map.get(name, name) for name in labels.classes)
    labels.classes = tuple(dict.fromkeys(declared))
    return labels


def _composed(name: str) -> str:
    """Return a name with its accents as part of the letters, as most programs write them."""
    return unicodedata.normalize("NFC", name)


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
        TilesetError: The map names a class that no object has, or a name is one that files cannot
            hold.
    """
    listed = tuple(map(_composed, names))
    if listed:
        _check_names({*listed, *others}, source)
        _check_keys({*listed, *others}, source, config)
    return tuple(config.class_map.get(name, name) for name in listed)


def _check_names(names: Iterable[str], source: object) -> None:
    for name in names:
        try:
            check_class_name(name)
        except ValueError as error:
            raise TilesetError(
                f"{source}: {error}", hint="rename the class in the labels"
            ) from error


def _check_keys(known: set[str], source: object, config: DataConfig) -> None:
    for name in config.class_map:
        if name not in known:
            raise TilesetError(
                f"{source} has no class {name!r}, which data.class_map renames",
                hint=name_hint(name, sorted(known), "classes"),
            )


def _check_not_repeated(
    images: Iterable[ParsedImage], known: set[str], source: object, config: DataConfig
) -> None:
    """Check that no class is renamed again as the map of ``geodet tile`` renamed another.

    After ``{a=b,b=a}`` the tiles have a class ``a``, which was ``b``: a longer map with ``a=b`` may
    mean either.
    """
    for image in images:
        for old, new in sorted(image.class_map.items() & config.class_map.items()):
            if old in known:
                raise TilesetError(
                    f"{source}: geodet tile has renamed {old!r} to {new!r} in these tiles, which"
                    " another data.class_map renames again",
                    hint="give the map that they were cut with, or cut them with the new one",
                )
