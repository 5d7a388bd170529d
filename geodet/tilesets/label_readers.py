"""Read the labels of a folder that is not divided, or one label file, in whatever format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from geodet.documents.values import cut_short
from geodet.errors import TilesetError
from geodet.tilesets.boundary import check_inside
from geodet.tilesets.coco import read_coco
from geodet.tilesets.csv_tables import read_csv
from geodet.tilesets.dota_xview import is_dota, read_dota, read_xview
from geodet.tilesets.image_lists import (
    LabelPair,
    annotation_folders,
    check_label_files,
    find_label_file,
    image_folders,
    list_images,
    list_with_ending,
)
from geodet.tilesets.image_sets import with_image_sets
from geodet.tilesets.label_documents import read_text
from geodet.tilesets.labelme import read_labelme
from geodet.tilesets.outlines import read_outline_table
from geodet.tilesets.parsed_labels import ParsedLabels
from geodet.tilesets.split_files import ListedImages, find_listed_images, set_parts
from geodet.tilesets.splits import PART_WORDS, Split
from geodet.tilesets.vector_chips import find_vector_file, read_vector_chips
from geodet.tilesets.via import is_via, read_via, read_via_table
from geodet.tilesets.via_3 import is_via_3, read_via_3
from geodet.tilesets.xml_labels import read_cvat, read_voc
from geodet.tilesets.yolo import read_key_points, read_names, read_yolo

__all__ = ["find_undivided", "read_label_file", "unlabelled_list"]

_HINT = (
    "a tileset has train.json and val.json (COCO), or images with YOLO or Pascal VOC labels, or a"
    " CSV with the columns image,x,y or image_path,xmin,ymin,xmax,ymax,label"
)
_ENCODINGS = ("ascii", "utf-16-le", "utf-16-be")  # how the characters of a tag are stored
_VIA_3 = "VIA 3"
_VOC_FOLDERS = ("annotations", "Annotations")
_YEAR = "0123456789_-"  # train2017
_LABELME_FOLDERS = ("annotations", "labels", "json")
_TEXT_FOLDERS = ("labels", "labelTxt", "labelTxt-v1.0", "labelTxt-v1.5", "annfiles")


def find_undivided(folder: Path, root: Path, label_field: str | None = None) -> ParsedLabels:
    """Read a folder that has no files or sub-folders for the parts of a split.

    Args:
        folder: The folder.
        root: That of the tileset, which may contain the names of classes.
        label_field: Attribute with the class, see :func:`find_labels`.

    Raises:
        TilesetError: No format is recognised, or a label file is broken.
    """
    labels = _find_one_file(folder, label_field) or _find_file_for_each(folder, root, label_field)
    if labels is None:
        raise _unknown_layout(folder)
    return with_image_sets(_with_folder_splits(labels, folder), folder)


def read_label_file(file: Path, label_field: str | None = None) -> ParsedLabels:
    """Read one file that labels several images.

    Args:
        file: The file.
        label_field: Attribute with the class, see :func:`find_labels`.

    Raises:
        TilesetError: The format is unknown, or the file is broken.
    """
    kind = _kind_of(file)
    if kind is None and file.suffix.lower() == ".json":
        kind = "COCO"  # its errors say what is missing
    if kind is not None:
        return _read_as(kind, file, label_field)
    header = read_text(file).partition("\n")[0].strip()
    raise TilesetError(f"{file}: unknown columns {header}", hint=_HINT, path=file)


def _kind_of(file: Path) -> str | None:
    """Recognise a label file by its contents, without parsing it: it may be large or broken."""
    suffix = file.suffix.lower()
    if suffix == ".csv":
        return "CSV"
    if suffix == ".xml":
        check_inside(file)
        head = file.read_bytes()
        return "CVAT" if any("<annotations".encode(one) in head for one in _ENCODINGS) else None
    text = read_text(file) if suffix in {".json", ".geojson"} else ""
    if '"images"' in text and '"annotations"' in text:
        return "COCO"
    if '"bounds_imcoords"' in text:
        return "xView"
    if is_via_3(text):
        return _VIA_3
    return "VIA" if is_via(text) else None


def _read_as(kind: str, file: Path, label_field: str | None) -> ParsedLabels:
    folders = image_folders(file)
    if kind == "CSV":
        return _read_table(file, folders, label_field)
    readers: dict[str, Callable[[Path, Sequence[Path]], ParsedLabels]] = {
        "COCO": read_coco,
        "CVAT": read_cvat,
        "VIA": partial(read_via, label_field=label_field),
        _VIA_3: partial(read_via_3, label_field=label_field),
        "xView": read_xview,
    }
    labels = readers[kind](file, folders)
    labels.layout = kind
    return labels


def _read_table(file: Path, folders: Sequence[Path], label_field: str | None) -> ParsedLabels:
    labels = _try_table(file, folders, label_field)
    if labels is None:
        header = read_text(file).partition("\n")[0].strip()
        raise TilesetError(f"{file}: unknown columns {header}", hint=_HINT, path=file)
    return labels


def _try_table(file: Path, folders: Sequence[Path], label_field: str | None) -> ParsedLabels | None:
    labels = read_via_table(file, folders, label_field)
    layout = "VIA" if labels else "CSV"
    labels = labels or read_csv(file, folders, label_field)
    labels = labels or read_outline_table(file, folders, label_field)
    if labels:
        labels.layout = layout
    return labels


def _list_label_files(folder: Path) -> list[tuple[str, Path]]:
    """List the JSON and XML files that label several images each, with their formats."""
    places = (folder, *annotation_folders(folder))
    files = sorted(f for place in places for f in list_with_ending(place, ".json", ".geojson"))
    found = [(kind, file) for file in files if (kind := _kind_of(file))]
    found = [(kind, file) for kind, file in found if kind != _VIA_3] or found  # it was converted
    if len(found) > 1:  # other files of COCO have key points and captions
        found = [(kind, file) for kind, file in found if file.name.startswith("instances_")]
    found += [(kind, file) for file in list_with_ending(folder, ".xml") if (kind := _kind_of(file))]
    return found


def _find_one_file(folder: Path, label_field: str | None) -> ParsedLabels | None:
    """Read the one file that labels all images; None if there is none."""
    found = _list_label_files(folder)
    if len(found) == 1:
        return _read_as(*found[0], label_field)
    read = (_try_table(file, image_folders(file), label_field) for file in _tables(folder))
    tables = [labels for labels in read if labels]
    if len(tables) > 1:
        names = ", ".join(labels.source.name for labels in tables)
        raise TilesetError(
            f"{folder}: several label files: {names}", hint="give one of them", path=folder
        )
    return tables[0] if tables else None


def _tables(folder: Path) -> list[Path]:
    return [file for file in list_with_ending(folder, ".csv") if file.name != "images.csv"]


def _find_file_for_each(folder: Path, root: Path, label_field: str | None) -> ParsedLabels | None:
    """Read images with a label file each, or one vector file; None if there is none."""
    images = list_images(folder)
    for name, pairs in _iter_pairs(images, folder):
        if not any(file.is_file() for _, file in pairs):
            continue
        notes = check_label_files(pairs, folder)
        labels = _read_pairs(name, pairs, folder, root)
        labels.layout = name
        labels.notes = notes + labels.notes
        return labels
    if images and (file := find_vector_file(folder)):
        check_inside(file)
        labels = read_vector_chips(file, images, label_field)
        labels.layout = "vector file and chips"
        return labels
    return None


def _iter_pairs(images: Sequence[Path], folder: Path) -> Iterator[tuple[str, list[LabelPair]]]:
    """Yield the formats with a file for each image, and the files where they are expected."""
    for name, folders, suffix in (
        ("Pascal VOC", _VOC_FOLDERS, ".xml"),
        ("labelme", _LABELME_FOLDERS, ".json"),
        ("", _TEXT_FOLDERS, ".txt"),
        ("Pascal VOC", ("labels",), ".xml"),
    ):
        pairs = [(image, find_label_file(image, folder, folders, suffix)) for image in images]
        yield name or _text_format(pairs), pairs


def _text_format(pairs: Sequence[LabelPair]) -> str:
    """Return the format of text files, by the first that is not empty."""
    there = (file for _, file in pairs if file.is_file() and file.stat().st_size)
    filled = (file for file in there if read_text(file).strip())
    first = next(filled, None)
    return "DOTA" if first is not None and is_dota(first) else "YOLO"


def _read_pairs(name: str, pairs: Sequence[LabelPair], folder: Path, root: Path) -> ParsedLabels:
    if name == "YOLO":
        places = dict.fromkeys([pairs[0][1].parent, folder, folder.parent, root])
        beside = dict.fromkeys([*(file.parent for _, file in pairs), folder, root])
        names, file = read_names(places, root, agreeing=beside)
        labels = read_yolo(pairs, names, file, read_key_points(file, places))
    else:
        labels = {"Pascal VOC": read_voc, "labelme": read_labelme, "DOTA": read_dota}[name](pairs)
    labels.source = folder
    return labels


def _unknown_layout(folder: Path) -> TilesetError:
    """Return the error that lists what a folder contains."""
    if len(files := _list_label_files(folder)) > 1:
        names = ", ".join(f"{file.name} ({kind})" for kind, file in files)
        return TilesetError(
            f"{folder}: several label files: {names}",
            hint="give one of them, or name those of a split train.json and val.json",
            path=folder,
        )
    images = list_images(folder)
    if not images and (listed := find_listed_images(folder)):
        return unlabelled_list(listed)
    places = (folder, *annotation_folders(folder))
    jsons = [file for place in places for file in list_with_ending(place, ".json")]
    found = f"{len(images)} images without labels" if images else "no images"
    if jsons:
        found = f"{len(jsons)} JSON files, none of them train.json and val.json"
    elif tables := _tables(folder):
        header = read_text(tables[0]).partition("\n")[0].strip()
        found = f"{tables[0].name} with the columns {cut_short(header)}"
    return TilesetError(f"{folder}: no labels recognised: {found}", hint=_HINT, path=folder)


def unlabelled_list(listed: ListedImages) -> TilesetError:
    """Return the error that none of the images that data.yaml lists has a label file."""
    return TilesetError(
        f"{listed.file} lists {len(listed.parts)} images, none of which has a label file, such as "
        f"{next(iter(listed.parts))}",
        hint="labels of images/a.jpg are read from labels/a.txt, those of images in other folders"
        " from beside them",
        path=listed.file,
    )


def _with_folder_splits(labels: ParsedLabels, folder: Path) -> ParsedLabels:
    """Set the split from folders below ``images/``, such as images/train and images/val."""
    if any(image.split for image in labels.images):
        return labels
    parts: dict[Path, Split] = {}
    for image in labels.images:
        inner = image.path.relative_to(folder).parts[:-1] if _is_below(image.path, folder) else ()
        if len(inner) > 1 and (split := PART_WORDS.get(inner[1].lower().rstrip(_YEAR))):
            parts[image.path] = split
    if {"train", "val"} <= set(parts.values()) or (parts and len(parts) == len(labels.images)):
        names = dict.fromkeys(path.relative_to(folder).parts[1] for path in parts)
        return set_parts(labels, parts, "the folders " + ", ".join(names), others=str(folder))
    return labels


def _is_below(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder)
