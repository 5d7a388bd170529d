"""Read a tileset: labelled images in any known format."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from geodet.config import DataConfig
from geodet.errors import TilesetError
from geodet.geometry.geobox import GeoBox, step_lengths
from geodet.raster.ground_grids import are_square
from geodet.tilesets.class_maps import map_classes
from geodet.tilesets.displayed_images import read_geoboxes
from geodet.tilesets.doubtful_labels import note_doubtful_boxes, note_doubtful_classes
from geodet.tilesets.duplicate_images import find_duplicates
from geodet.tilesets.label_boxes import check_in_pixels, to_oriented_boxes, to_pixel_boxes
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.tilesets.layouts import find_labels
from geodet.tilesets.parsed_labels import ParsedImage, ParsedLabels
from geodet.tilesets.splits import (
    Part,
    Split,
    choose_split,
    find_places,
    has_georeference,
    natural_key,
)
from geodet.tilesets.used_classes import choose_used_classes, number_classes

__all__ = ["read_tileset"]

_WITH_ATTRIBUTES = ("vector file", "VIA", "CSV")  # in the names of layouts

logger = logging.getLogger(__name__)


def read_tileset(
    path: Path,
    config: DataConfig,
    *,
    part: Part | None = None,
    other_classes: Collection[str] = (),
) -> Tileset:
    """Read the labels of a tileset and the headers of its images.

    :mod:`geodet.tilesets.layouts` lists the formats. Boxes are clipped to their image, and boxes
    without area are dropped with a warning. A box around a point is not clipped, since its centre
    must stay the point. The split is the tileset's own, else by ``config.val``, else by place. A
    split without validation images gets them from its training images, unless
    ``config.val_fraction`` is 0. The first message says which split it is and how many images each
    part has.

    Args:
        path: A folder, or one label file.
        config: Sides of boxes around points, ignored classes and the split.
        part: The only part that is used, if it is only one: the others may then be empty, and with
            ``test`` and ``all`` nothing is chosen for validation.
        other_classes: Classes of a model, which ``config.class_map`` may name as well.

    Raises:
        TilesetError: Files are missing or broken, or the training images have no objects.
    """
    root = path if path.is_dir() else path.parent
    field = config.label_field
    found = find_labels(path, allow_outside=config.allow_outside, label_field=field)
    if field is not None and not any(word in found.layout for word in _WITH_ATTRIBUTES):
        raise TilesetError(
            f"{found.source}: labels in {found.layout} have no attributes to choose from",
            hint="data.label_field is for a vector file beside chips, VIA and CSV; data.class_map"
            " renames",
            path=found.source,
        )
    found.notes += note_doubtful_classes(found)
    labels = map_classes(found, config, others=other_classes)
    _check_files(labels)
    check_in_pixels(labels.images, labels.source)
    items = sorted(labels.images, key=lambda item: natural_key(_relative(item.path, root)))
    classes = _choose_classes(labels, config)
    has_own_split = all(item.split for item in items)
    if has_own_split:
        _report_split(labels, [item.split for item in items if item.split], config, part)
    geoboxes = read_geoboxes(items)
    places, splits = _choose_folds(items, geoboxes, root, config, part)
    if not has_own_split:
        _report_split(labels, splits, config, part)
        _report_unplaced(items, geoboxes, splits, root, config, part)
    labels.notes += note_doubtful_boxes(items, geoboxes, labels.source)
    for note in labels.notes:
        logger.warning("%s", note)
    images = [
        _label_image(item, geobox, classes, config, place=place, split=split)
        for item, geobox, place, split in zip(items, geoboxes, places, splits, strict=True)
    ]
    tileset = Tileset(root, classes, tuple(images))
    _report_dropped(items, images)
    _report_oblong_pixels(tileset)
    if part in (None, "train", "val"):
        _check_folds(tileset, labels.source)
    return tileset


def _check_files(labels: ParsedLabels) -> None:
    """Check that there are images, that all exist, and that none is listed twice."""
    paths = [image.path for image in labels.images]
    if not paths:
        raise TilesetError(
            f"{labels.source}: no images",
            hint="give a folder of images with labels",
            path=labels.source,
        )
    missing = [image for image in labels.images if not image.path.is_file()]
    if missing:
        raise TilesetError(
            f"{len(missing)} of {len(paths)} images are missing, such as {missing[0].path}",
            hint=f"the labels are in {missing[0].source.rpartition(', ')[0]}",
            path=missing[0].path,
        )
    twice, times = Counter(paths).most_common(1)[0]
    if times > 1:
        raise TilesetError(
            f"{labels.source}: {twice} is listed twice",
            hint="list each image once",
            path=labels.source,
        )


def _choose_classes(labels: ParsedLabels, config: DataConfig) -> tuple[str, ...]:
    """Return the classes: declared ones in order, then others sorted, without ignored ones."""
    used = {name or config.class_name for image in labels.images for name in image.names}
    names = [*labels.classes, *sorted(used)]
    ignored = {name for image in labels.images for name in image.ignored_classes}
    return choose_used_classes(names, labels.source, config, ignored=ignored)


def _choose_folds(
    items: Sequence[ParsedImage],
    geoboxes: Sequence[GeoBox],
    root: Path,
    config: DataConfig,
    part: Part | None,
) -> tuple[list[str], list[Split]]:
    """Return the place and the part of the split of each image.

    Images without a part are split if there are none of training and validation.
    """
    names = [_relative(item.path, root) for item in items]
    found = find_places(names, geoboxes)
    places = [item.place or place for item, place in zip(items, found, strict=True)]
    chosen = {item.split for item in items}
    if None in chosen and chosen & {"train", "val"}:
        lost = [item for item in items if item.split is None]
        raise TilesetError(
            f"{len(lost)} of {len(items)} images have no fold, such as {lost[0].path}",
            hint="give every image a fold, or none",
            path=lost[0].path,
        )
    if config.val and None not in chosen:
        logger.warning("%s has its own split: data.val is not used", root)
    rest = [row for row, item in enumerate(items) if item.split is None]
    splits: list[Split] = [item.split or "train" for item in items]
    if rest and part not in ("test", "all"):
        parts = choose_split([names[r] for r in rest], [places[r] for r in rest], config)
        for row, split in zip(rest, parts, strict=True):
            splits[row] = split
    return [place or name for place, name in zip(places, names, strict=True)], splits


def _report_split(
    labels: ParsedLabels, splits: Sequence[Split], config: DataConfig, part: Part | None
) -> None:
    """Log which split is used, and how many images each part has."""
    if part == "all":
        logger.info("%s: all %d images", labels.source, len(splits))
        return
    counts = Counter(splits)
    how = f"split of {labels.split_source}" if labels.split_source else "no split of its own"
    if any(item.split is None for item in labels.images) and part != "test":
        by_place = (
            "validation chosen by location" if config.val_fraction else "data.val_fraction = 0"
        )
        how += ", " + ("validation chosen by data.val" if config.val else by_place)
    listed = ", ".join(f"{counts[split]} {split}" for split in ("train", "val", "test"))
    logger.info("%s: %s: %s images", labels.source, how, listed)


def _report_unplaced(
    items: Sequence[ParsedImage],
    geoboxes: Sequence[GeoBox],
    splits: Sequence[Split],
    root: Path,
    config: DataConfig,
    part: Part | None,
) -> None:
    """Warn of validation images that were chosen by their names alone."""
    if config.val or part in ("test", "all"):
        return
    names = [_relative(item.path, root) for item in items]
    unplaced = [
        row
        for row, (item, geobox) in enumerate(zip(items, geoboxes, strict=True))
        if item.split is None and not item.place and not has_georeference(geobox)
    ]
    val = [names[row] for row in unplaced if splits[row] == "val"]
    if val:
        logger.warning(
            "the location of %d images is unknown: the last %d by name, from %s on, are validation "
            "images; data.val chooses others",
            len(unplaced),
            len(val),
            val[0],
        )


def _label_image(
    item: ParsedImage,
    geobox: GeoBox,
    classes: tuple[str, ...],
    config: DataConfig,
    *,
    place: str,
    split: Split,
) -> LabelledImage:
    gsd = geobox.gsd or item.gsd or config.gsd
    elsewhere = None if gsd is None else (gsd, gsd)
    resolution = geobox.ground_resolution if geobox.gsd else elsewhere
    boxes = to_pixel_boxes(item, geobox, resolution, config)
    oriented = to_oriented_boxes(item, geobox, boxes)
    names = [name or config.class_name for name in item.names]
    labels = number_classes(names, classes, config)
    unused = np.array(item.ignored, bool) | (labels < 0)
    kept = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
    return LabelledImage(
        path=item.path,
        width=geobox.width,
        height=geobox.height,
        boxes=boxes[kept & ~unused],
        labels=labels[kept & ~unused],
        ignored=boxes[kept & unused],
        place=place,
        split=split,
        gsd=gsd,
        as_stored=item.as_stored,
        oriented=None if oriented is None else oriented[kept & ~unused],
        steps=geobox.centre_matrix if geobox.gsd else None,
    )


def _report_dropped(items: Sequence[ParsedImage], images: Sequence[LabelledImage]) -> None:
    for_each = [
        (len(item.boxes) - len(image.boxes) - len(image.ignored), item.source)
        for item, image in zip(items, images, strict=True)
    ]
    dropped = sum(count for count, _ in for_each)
    if dropped:
        source = next(source for count, source in for_each if count)
        logger.warning(
            "%d boxes have no area inside of their image and are dropped, the first in %s",
            dropped,
            source.rpartition(", ")[0],
        )


def _report_oblong_pixels(tileset: Tileset) -> None:
    """Warn of images in which objects are stretched, unlike in scenes that detect resamples."""
    sizes = [
        (image.path, step_lengths(image.steps))
        for image in tileset.images
        if image.steps is not None
    ]
    oblong = [(path, size) for path, size in sizes if not are_square(size)]
    if oblong:
        path, (width, height) = oblong[0]
        logger.warning(
            "%s: the pixels of %d of %d images are not square on the ground, such as %.3g x %.3g m"
            " in %s; detect makes them square: cut the chips with geodet tile, which does the "
            "same, or warp them to a projected CRS with gdalwarp -t_srs",
            tileset.root,
            len(oblong),
            len(tileset.images),
            width,
            height,
            _relative(path, tileset.root),
        )


def _check_folds(tileset: Tileset, source: Path) -> None:
    """Check that the training images have objects; warn of a validation that is not independent."""
    train, val = tileset.split("train"), tileset.split("val")
    if train and not sum(len(image.boxes) for image in train):
        raise TilesetError(
            f"{source} has no objects in its {len(train)} training images",
            hint="check that the labels belong to these images, and data.ignore_classes",
            path=source,
        )
    learnt = {label for image in train for label in image.labels.tolist()}
    unseen = {label for image in val for label in image.labels.tolist()} - learnt
    if learnt and unseen:
        logger.warning(
            "%s: no training image has an object of class %s, but validation images have: it is "
            "not learnt",
            source,
            ", ".join(repr(tileset.classes[label]) for label in sorted(unseen)),
        )
    if not val:
        logger.warning("%s has no validation images", source)
    elif not tileset.validating:
        logger.warning("%s has no objects in its %d validation images", source, len(val))
    test = tileset.split("test")
    for name, seen, images in (("val", train, val), ("test", (*train, *val), test)):
        shared = {image.place for image in seen} & {image.place for image in images}
        if shared:
            logger.warning(
                "%s: %d locations are in both %s and %s, such as %s: %s is too optimistic",
                source,
                len(shared),
                "train" if name == "val" else "train or val",
                name,
                min(shared),
                "validation" if name == "val" else "the test",
            )
        # Images of known places are compared by these; a blank one may be in both parts.
        twice = find_duplicates(*(_without_place(part, tileset.root) for part in (seen, images)))
        if twice:
            logger.warning(
                "%s: %d images of %s are in %s as well, such as %s, which is %s: keep one of each",
                source,
                len(twice),
                name,
                "train" if name == "val" else "train or val",
                *(_relative(path, tileset.root) for path in reversed(twice[0])),
            )


def _without_place(images: Sequence[LabelledImage], root: Path) -> list[LabelledImage]:
    """Return the images of which nothing says where they were taken."""
    return [image for image in images if image.place == _relative(image.path, root)]


def _relative(path: Path, root: Path) -> str:
    """Return the path of an image relative to the root, the same on every machine."""
    try:
        return Path(os.path.relpath(path, root)).as_posix()
    except ValueError:  # Windows, and an image on another drive
        return path.as_posix()
