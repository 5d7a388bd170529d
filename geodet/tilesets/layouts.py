"""Find the labels of a tileset, and read them in whatever format they are.

A folder is compared with these layouts, and the first that fits is used:

1. ``data.yaml`` or ``obj.data`` with the images of each part of the split, and YOLO text files;
2. a file for each part: ``train.json``, ``val.json`` and ``test.json``, ``instances_train*.json``
   and so on (COCO), or ``train.csv`` and so on, here or in ``annotations/``;
3. sub-folders ``train``, ``val`` (or ``valid``, ``validation``) and ``test``, each with a layout of
   its own;
4. one file: COCO, CVAT for images, VIA, xView, or a CSV of points, corners or outlines;
5. images, here or below ``images/``, with a Pascal VOC, labelme, DOTA or YOLO file for each, beside
   them or in a folder such as ``annotations/`` or ``labels/``;
6. georeferenced images with one vector file for all.

``ImageSets/Main`` and folders such as ``images/train`` split any of these. A file ``images.csv``
beside them adds places, folds and images without objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from geodet.errors import TilesetError
from geodet.files.output_folders import check_tileset_exists
from geodet.tilesets.boundary import check_images_inside, staying_inside, tileset_root
from geodet.tilesets.csv_tables import read_image_table
from geodet.tilesets.image_lists import (
    IMAGE_SUFFIXES,
    LabelPair,
    annotation_folders,
    check_one_image_each,
    find_label_file,
    image_folders,
    list_lone_labels,
)
from geodet.tilesets.label_readers import find_undivided, read_label_file, unlabelled_list
from geodet.tilesets.parsed_labels import ParsedImage, ParsedLabels
from geodet.tilesets.split_files import find_listed_images, set_parts
from geodet.tilesets.splits import PART_WORDS, Split
from geodet.tilesets.yolo import read_key_points, read_names, read_yolo

__all__ = ["find_labels"]

_PARTS: tuple[Split, ...] = ("train", "val", "test")


def find_labels(
    path: Path, *, allow_outside: bool = False, label_field: str | None = None
) -> ParsedLabels:
    """Read the labels of a tileset in any known format.

    Args:
        path: A folder, or one label file.
        allow_outside: Whether its files may name, or link to, what is outside of its folder.
        label_field: Attribute of a vector file, of VIA or of a CSV with the class; None: ``label``,
            ``class`` or ``name``, if any; empty: all objects are of one class.

    Raises:
        TilesetError: The path does not exist, no format is recognised, a label file is broken, or
            something is outside of the folder.
    """
    check_tileset_exists(path)
    with staying_inside(tileset_root(path), is_open=allow_outside):
        labels = _read_labels(path, label_field)
        check_images_inside(image.path for image in labels.images)
    return labels


def _read_labels(path: Path, label_field: str | None) -> ParsedLabels:
    if path.is_dir():
        return _read_folder(path, path, label_field)
    if path.suffix.lower() not in {".yaml", ".yml", ".data"}:
        return _with_table(read_label_file(path, label_field), path.parent)
    labels = _read_listed(path)
    if labels is None and (listed := find_listed_images(path)):
        raise unlabelled_list(listed)
    return _with_table(labels or read_label_file(path, label_field), path.parent)


def _read_folder(folder: Path, root: Path, label_field: str | None) -> ParsedLabels:
    """Read one folder; ``root`` is that of the tileset, which may contain data.yaml for all."""
    if listed := _read_listed(folder):
        return _with_table(listed, folder)
    files = {split: file for split in _PARTS if (file := _find_file(folder, split))}
    folders = {split: place for split in _PARTS if (place := _find_subfolder(folder, split))}
    if len(files) > 1 or (files and not {"train", "val"} <= folders.keys()):
        parts = {split: read_label_file(file, label_field) for split, file in files.items()}
        return _joined(folder, parts, ", ".join(file.name for file in files.values()))
    source = ("the folder " if len(folders) == 1 else "the folders ") + ", ".join(
        place.name for place in folders.values()
    )
    if {"train", "val"} <= folders.keys():
        read = {split: _read_folder(place, root, label_field) for split, place in folders.items()}
        return _joined(folder, read, source)
    try:
        return _with_table(find_undivided(folder, root, label_field), folder)
    except TilesetError as error:
        if not folders:
            raise
        unknown = error
    try:
        read = {split: _read_folder(place, root, label_field) for split, place in folders.items()}
    except TilesetError as error:
        raise error from unknown
    return _joined(folder, read, source)


def _read_listed(path: Path) -> ParsedLabels | None:
    """Read the images that data.yaml or obj.data lists; None if they have no YOLO labels."""
    listed = find_listed_images(path)
    if listed is None:
        return None
    folder = listed.file.parent
    pairs = [(image, find_label_file(image, folder, ("labels",), ".txt")) for image in listed.parts]
    if not any(file.is_file() for _, file in pairs):
        return None
    check_one_image_each(pairs)
    beside = dict.fromkeys([*(file.parent for _, file in pairs), folder])
    names, file = read_names([folder], folder, first=listed.names or listed.file, agreeing=beside)
    labels = read_yolo(pairs, names, file, read_key_points(listed.file))
    labels.source, labels.layout = folder, "YOLO"
    labels.notes += listed.notes
    bare = [image for image, label in pairs if not label.is_file()]
    if bare:
        labels.notes.append(
            f"{folder}: {len(bare)} of {len(pairs)} images have no label file and count as empty,"
            f" such as {bare[0].name}"
        )
    labels.notes += _note_unlisted(pairs, listed.file)
    return set_parts(labels, listed.parts, listed.file.name)


def _note_unlisted(pairs: Sequence[LabelPair], file: Path) -> list[str]:
    """Return warnings of labelled images and of label files beside those that a file lists."""
    others = _pair_unlisted([image for image, _ in pairs], file.parent)
    lone = list_lone_labels({label for _, label in (*pairs, *others)}, ".txt")
    notes = []
    if others:
        notes.append(
            f"{file}: labelled images beside those that it lists are in none of its parts "
            f"and are not used: {len(others)}, such as {others[0][0].name}"
        )
    if lone:
        notes.append(
            f"{file}: label files beside those of the images that it lists have no image and are "
            f"not used: {len(lone)}, such as {lone[0]}; images with unusual endings are found if a "
            "list names each of them"
        )
    return notes


def _pair_unlisted(listed: Sequence[Path], folder: Path) -> list[LabelPair]:
    """Pair other images beside listed ones with their label files, those that have any."""
    folders = {image.parent for image in listed if image.parent.is_dir()}
    beside = {file for place in folders for file in place.iterdir()}
    others = sorted(file for file in beside - set(listed) if file.suffix.lower() in IMAGE_SUFFIXES)
    pairs = [(image, find_label_file(image, folder, ("labels",), ".txt")) for image in others]
    return [(image, label) for image, label in pairs if label.is_file()]


def _joined(folder: Path, parts: dict[Split, ParsedLabels], source: str) -> ParsedLabels:
    """Join the labels of the parts of a split."""
    images: list[ParsedImage] = [image for part in parts.values() for image in part.images]
    classes = dict.fromkeys(name for part in parts.values() for name in part.classes)
    layouts = dict.fromkeys(part.layout for part in parts.values())
    labels = ParsedLabels(folder, images, tuple(classes), layout=" and ".join(layouts))
    labels.notes = [note for part in parts.values() for note in part.notes]
    labels.split_source = source
    for split, part in parts.items():
        for image in part.images:
            # Without a part for validation, some training images are chosen for it.
            image.split = None if split == "train" and "val" not in parts else split
    return _with_table(labels, folder)


def _with_table(labels: ParsedLabels, folder: Path) -> ParsedLabels:
    """Add the places, folds and images of ``images.csv``, if it exists."""
    file = folder / "images.csv"
    if not file.is_file():
        return labels
    known = {image.path: image for image in labels.images}
    folds: dict[Path, Split] = {}
    for entry in read_image_table(file, image_folders(file)):
        image = known.setdefault(entry.path, entry)
        image.place = entry.place or image.place
        if entry.split and folds.setdefault(image.path, entry.split) != entry.split:
            raise TilesetError(
                f"{file}: {image.path} is in {folds[image.path]} and in {entry.split}",
                hint="list each image in one fold",
                path=file,
            )
    labels.images = list(known.values())
    if folds:
        labels.split_source = file.name
        _set_folds(labels.images, folds)
    return labels


def _set_folds(images: Sequence[ParsedImage], folds: Mapping[Path, Split]) -> None:
    """Set the part of each image that has a fold.

    If all have a part and none is for validation, some of the training images will be chosen, as in
    :func:`set_parts`. If some have no part, they are refused later.
    """
    for image in images:
        image.split = folds.get(image.path, image.split)
    if not {image.split for image in images} & {"val", None}:
        for image in images:
            image.split = None if image.split == "train" else image.split


def _find_file(folder: Path, split: Split) -> Path | None:
    """Find the label file of one part of the split, None if there is none."""
    for place in (folder, *annotation_folders(folder)):
        files = sorted(place.iterdir())
        names = {file.name.lower(): file for file in files if file.is_file()}
        for word in _words(split):
            instances = [name for name in names if _is_instances(name, word)]
            for name in (f"{word}.json", *instances, f"{word}.csv"):
                if name in names:
                    return names[name]
    return None


def _is_instances(name: str, word: str) -> bool:
    return name.startswith(f"instances_{word}") and name.endswith(".json")


def _find_subfolder(folder: Path, split: Split) -> Path | None:
    places = {place.name.lower(): place for place in sorted(folder.iterdir()) if place.is_dir()}
    return next((places[word] for word in _words(split) if word in places), None)


def _words(split: Split) -> Sequence[str]:
    return [word for word, part in PART_WORDS.items() if part == split]
