"""Summarise a folder of labelled images, for ``geodet info FOLDER``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geodet.config import DataConfig
from geodet.documents.values import counted
from geodet.geometry.arrays import Floats
from geodet.tilesets.labels import Tileset
from geodet.tilesets.layouts import find_labels
from geodet.tilesets.pixel_types import describe_mixed_types, find_types
from geodet.tilesets.splits import Part
from geodet.tilesets.tileset import read_tileset

__all__ = ["TilesetSummary", "summarise_tileset"]

_TINY = 3.0  # pixels; a detector on strides of 8 or more hardly learns objects below that
_FEW = 20  # objects of a class


@dataclass(frozen=True, slots=True)
class TilesetSummary:
    """The contents of a tileset, and possible mistakes in it.

    Example:
        >>> geodet.info(tiles).layout
        'COCO'
    """

    layout: str
    """Name of the format."""
    images: dict[Part, int]
    """Number of images of each part of the split; of ``all`` if the tileset has no split."""
    objects: dict[Part, int]
    """Number of objects, likewise."""
    split: str
    """The source of the split; empty if the tileset has none of its own."""
    classes: dict[str, int]
    """Number of objects of each class."""
    ignored: int
    """Number of regions that are neither object nor background."""
    empty: int
    """Number of images without objects."""
    are_points: bool
    """Whether objects are labelled by points."""
    image_sizes: tuple[tuple[int, int], tuple[int, int]]
    """Width and height of the smallest and of the largest image, by their area."""
    sides_px: tuple[float, float, float] | None
    """The 10 %, 50 % and 90 % quantiles of the objects' sides, the roots of their areas, in pixels:
    neither the smallest nor the largest."""
    sides_m: tuple[float, float, float] | None
    """The same in metres; None if the metres per pixel are unknown."""
    gsd: tuple[float, float] | None
    """Smallest and largest metres per pixel; None if they are unknown."""
    warnings: tuple[str, ...]
    """Possible mistakes."""


def summarise_tileset(path: Path, *, allow_outside: bool = False) -> TilesetSummary:
    """Read a tileset as training does, and count what it contains.

    Args:
        path: A folder, or one label file.
        allow_outside: Whether its files may name, or link to, what is outside of its folder.

    Raises:
        TilesetError: No format is recognised, or files are missing or broken.
    """
    with _recorded():  # read_tileset logs the same
        labels = find_labels(path, allow_outside=allow_outside)
    are_points = any(image.frame == "centres" for image in labels.images)
    config = DataConfig(box_size_px=1.0 if are_points else None, allow_outside=allow_outside)
    is_divided = any(image.split for image in labels.images)
    with _recorded() as messages:
        tileset = read_tileset(path, config, part=None if is_divided else "all")
    images = tileset.images
    parts: tuple[Part, ...] = ("train", "val", "test") if is_divided else ("all",)
    counted = {part: tileset.split(part) for part in parts}
    sizes = sorted(((i.width, i.height) for i in images), key=lambda size: size[0] * size[1])
    gsds = [image.gsd for image in images if image.gsd]
    classes = Counter(tileset.classes[n] for image in images for n in image.labels.tolist())
    sides = [np.sqrt(np.prod(i.boxes[:, 2:] - i.boxes[:, :2], axis=1)) for i in images]
    sides_m = [side * image.gsd for side, image in zip(sides, images, strict=True) if image.gsd]
    quantiles = None if are_points else _quantiles(sides)
    return TilesetSummary(
        layout=labels.layout,
        images={part: len(found) for part, found in counted.items()},
        objects={part: sum(len(i.boxes) for i in found) for part, found in counted.items()},
        split=labels.split_source,
        classes={name: classes[name] for name in tileset.classes},
        ignored=sum(len(image.ignored) for image in images),
        empty=sum(not len(image.boxes) for image in images),
        are_points=are_points,
        image_sizes=(sizes[0], sizes[-1]),
        sides_px=quantiles,
        sides_m=_quantiles(sides_m) if len(gsds) == len(images) and quantiles else None,
        gsd=(min(gsds), max(gsds)) if len(gsds) == len(images) else None,
        warnings=(*messages, *_find_oddities(tileset, sides, classes, are_points=are_points)),
    )


def _quantiles(sides: Sequence[Floats]) -> tuple[float, float, float] | None:
    """Return the 10 %, 50 % and 90 % quantiles; None without objects."""
    every = np.concatenate(sides) if sides else np.zeros(0)
    if not len(every):
        return None
    low, middle, high = np.quantile(every, [0.1, 0.5, 0.9]).tolist()
    return low, middle, high


def _find_oddities(
    tileset: Tileset, sides: Sequence[Floats], classes: Counter[str], *, are_points: bool
) -> Iterator[str]:
    """Yield what a reader of the labels does not refuse, but training will suffer from."""
    every = np.concatenate(sides)
    tiny = 0 if are_points else int((every < _TINY).sum())
    if tiny:
        yield f"{tiny} of {len(every)} objects are smaller than {_TINY:g} px"
    twice = sum(len(i.boxes) - len(np.unique(i.boxes, axis=0)) for i in tileset.images)
    if twice:
        yield f"objects that have the box of another object of their image: {twice}"
    for name in tileset.classes:
        if not classes[name]:
            yield f"no object is of the class {name!r}"
        elif classes[name] < _FEW:
            yield f"the class {name!r} has only {counted(classes[name], 'object')}"
    gsds = [image.gsd for image in tileset.images if image.gsd]
    if gsds and len(gsds) < len(tileset.images):
        yield f"{len(tileset.images) - len(gsds)} images have no georeference, others have one"
    elif gsds and max(gsds) > 1.5 * min(gsds):
        yield f"the images have {min(gsds):.3g} to {max(gsds):.3g} metres per pixel"
    if mixed := describe_mixed_types(find_types(tileset.images)):
        yield mixed


@contextmanager
def _recorded() -> Iterator[list[str]]:
    """Collect the warnings of reading a tileset, in place of logging them."""
    logger = logging.getLogger("geodet.tilesets")
    handler = _Recorder()
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield handler.messages
    finally:
        logger.propagate = before
        logger.removeHandler(handler)


class _Recorder(logging.Handler):
    """Keeps the texts of warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text of a message."""
        self.messages.append(record.getMessage())
