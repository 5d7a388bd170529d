"""Read which images belong to which part of a split: data.yaml and obj.data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from geodet.documents.text import DocumentError
from geodet.documents.values import check_name, shown
from geodet.documents.yaml_documents import parse_yaml
from geodet.errors import TilesetError
from geodet.tilesets.boundary import check_inside, is_inside
from geodet.tilesets.image_lists import IMAGE_SUFFIXES, list_images_below
from geodet.tilesets.label_documents import join_path, read_text
from geodet.tilesets.parsed_labels import ParsedImage, ParsedLabels
from geodet.tilesets.splits import PART_WORDS, Split

__all__ = ["ListedImages", "find_listed_images", "set_parts", "split_by_column"]

_YAMLS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_GLOB = frozenset("*?[")
_COLUMNS = ("split", "subset", "set", "fold")


@dataclass(slots=True)
class ListedImages:
    """The images that a file assigns to the parts of a split."""

    file: Path
    """data.yaml or obj.data."""
    parts: dict[Path, Split]
    """Part of each image, in the order of the file."""
    names: Path | None = None
    """The file of class names that obj.data gives, if it exists."""
    notes: list[str] = field(default_factory=list)
    """Possible mistakes."""


def find_listed_images(path: Path) -> ListedImages | None:
    """Read the split of a data.yaml of Ultralytics, or of an obj.data of Darknet and CVAT.

    The entries ``train``, ``val`` and ``test`` are lists of files (``.txt``), images, folders,
    patterns, or several of these. They are relative to the entry ``path``, to the file itself, or
    to a folder above: exported files often name paths of the machine that exported them.

    Args:
        path: The folder of the file, or the file.

    Returns:
        The images, or None if there is no such file, it has no split, or nothing of it is found.

    Raises:
        TilesetError: Some of the split is found and some is not, or an image is in two parts.
    """
    for file in [path] if path.is_file() else _list_candidates(path):
        entries = _read_entries(file)
        listed = _resolve_all(file, entries) if entries else None
        if listed is not None:
            return listed
    return None


def _list_candidates(folder: Path) -> Iterator[Path]:
    for name in (*_YAMLS, "obj.data"):
        if (folder / name).is_file():
            yield folder / name
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        if file.name not in _YAMLS:
            yield file


def _read_entries(file: Path) -> dict[str, Any]:
    """Read the keys of a file; empty if it is of another kind or broken."""
    text = read_text(file)
    if file.suffix == ".data":
        pairs = [line.partition("=") for line in text.splitlines() if "=" in line]
        return {key.strip(): value.strip() for key, _, value in pairs}
    try:
        content = parse_yaml(text)
    except DocumentError:
        return {}  # where its names are needed, the error is raised there
    return content if isinstance(content, dict) else {}


def _resolve_all(file: Path, entries: Mapping[str, Any]) -> ListedImages | None:
    found, lost = _find_entries(file, entries)
    if not any(found.values()):
        return None
    listed = ListedImages(file, {}, _find_names(file, entries))
    for split, entry in lost.items():
        if split != "test":
            raise TilesetError(
                f"{file}: {split}: {entry} does not exist",
                hint="correct the entry; paths are relative to this file, or to its entry path",
                path=file,
            )
        listed.notes.append(f"{file}: {split}: {entry} does not exist and is left out")
    same: tuple[tuple[Split, Split], ...] = (("val", "test"), ("train", "val"), ("train", "test"))
    for kept, dropped in same:
        if found.get(kept) and found.get(kept) == found.get(dropped):
            listed.notes.append(f"{file}: {dropped} has the images of {kept}, and is not used")
            del found[dropped]
    for split, images in found.items():
        for image in images:
            if listed.parts.setdefault(image, split) != split:
                raise TilesetError(
                    f"{file}: {image} is in {listed.parts[image]} and in {split}",
                    hint="list each image in one part",
                    path=file,
                )
    return listed


def _find_entries(
    file: Path, entries: Mapping[str, Any]
) -> tuple[dict[Split, list[Path]], dict[Split, str]]:
    """List the images of each part, and the entries that do not exist."""
    bases = [file.parent]
    if entries.get("path"):
        bases.insert(0, join_path(file.parent, str(entries["path"])))
    found: dict[Split, list[Path]] = {}
    lost: dict[Split, str] = {}
    for key, value in entries.items():
        split = PART_WORDS.get(str(key).lower())
        if split is None or not value:
            continue
        images: list[Path] = []
        for entry in value if isinstance(value, list) else [value]:
            part = _resolve(str(entry), bases)
            if part is None:
                lost[split] = shown(entry)
            images += part or []
        found[split] = list(dict.fromkeys(images))
    return found, lost


def _find_names(file: Path, entries: Mapping[str, Any]) -> Path | None:
    """Find the file of class names that obj.data gives; a YAML file has the names themselves."""
    if file.suffix != ".data" or not entries.get("names"):
        return None
    return next((p for p in _iter_places(entries["names"], [file.parent]) if p.is_file()), None)


def _resolve(entry: str, bases: Sequence[Path]) -> list[Path] | None:
    """List the images of an entry; None if it does not exist."""
    for place in _iter_places(entry, bases):
        if _GLOB & set(str(place)) and not place.exists():
            if images := _match_pattern(place):
                check_inside(place)
                return images
        elif place.exists():
            check_inside(place)
            if place.is_dir():
                return list_images_below(place)
            return _read_list(place, bases) if place.suffix.lower() == ".txt" else [place]
    return None


def _match_pattern(place: Path) -> list[Path]:
    first = next(n for n, part in enumerate(place.parts) if _GLOB & set(part))
    try:
        files = sorted(Path(*place.parts[:first]).glob("/".join(place.parts[first:])))
    except (ValueError, OSError):  # ** that is not a whole folder, or a name that is too long
        return []
    images: list[Path] = []
    for file in files:
        if file.is_dir():
            images += list_images_below(file)
        elif file.suffix.lower() in IMAGE_SUFFIXES:
            images.append(file)
    return images


def _read_list(file: Path, bases: Sequence[Path]) -> list[Path]:
    images = []
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        image = next((p for p in _iter_places(line, [file.parent, *bases]) if p.is_file()), None)
        if image is None:
            raise TilesetError(
                f"{file}, line {number}: there is no image {shown(line.strip())}",
                hint="correct the path; it is relative to this file or to its tileset",
                path=file,
            )
        check_inside(image)
        images.append(image)
    return images


def _iter_places(text: str, bases: Sequence[Path]) -> Iterator[Path]:
    """Yield the paths that an entry may mean, the likeliest first.

    Those outside of the tileset that is being read come last, and the caller refuses them. Leading
    folders are left out one by one. The name alone must be that of a file or of a part:
    ``/content/set/train/images`` is not the folder ``images`` of all parts.
    """
    try:
        path = PurePosixPath(check_name(text.strip().replace("\\", "/")))
    except ValueError:
        return  # there can be no such file
    parts = [part for part in path.parts if part not in ("/", ".")]
    places = [join_path(base, path) for base in bases]
    parts = parts[next((n for n, part in enumerate(parts) if part != ".."), 0) :]
    for skipped in range(len(parts)):
        rest = parts[skipped:]
        if len(rest) == 1 and not PurePosixPath(rest[0]).suffix and rest[0] not in PART_WORDS:
            break
        places += [base.joinpath(*rest) for base in bases]
    places = [place for place in places if _is_possible(place)]
    yield from sorted(places, key=is_inside, reverse=True)  # stable, so otherwise in this order


def _is_possible(place: Path) -> bool:
    try:
        return bool(check_name(str(place)))
    except ValueError:
        return False


def set_parts(
    labels: ParsedLabels, parts: Mapping[Path, Split], source: str, *, others: str = ""
) -> ParsedLabels:
    """Set the part of each image, and leave out the images that are in none.

    If no image is in training or in validation, training images stay without a part: some of them
    will be chosen to validate.

    Args:
        labels: The labels of all images; they are changed.
        parts: Part of each image.
        source: Where the parts are from, for messages.
        others: Where images without a part are, for the warning.
    """
    has_val = "val" in parts.values()
    known = [image for image in labels.images if image.path in parts]
    if len(known) < len(labels.images):
        labels.notes.append(
            f"{others or labels.source}: {len(labels.images) - len(known)} images are in no part of"
            f" {source} and are left out"
        )
    for image in known:
        split = parts[image.path]
        image.split = None if split == "train" and not has_val else split
    labels.images, labels.split_source = known, source
    return labels


def split_by_column(
    labels: ParsedLabels,
    header: Sequence[str],
    rows: Sequence[tuple[int, Sequence[str]]],
    images: Sequence[ParsedImage],
) -> ParsedLabels:
    """Set the part of each image from a column of a table, if one holds words such as ``train``.

    Args:
        labels: The labels of the table; they are changed.
        header: Its columns, in lower case.
        rows: The line number and the cells of each row.
        images: The image of each row.

    Raises:
        TilesetError: An image is in two parts.
    """
    column = next((header.index(name) for name in _COLUMNS if name in header), None)
    parts: dict[Path, Split] = {}
    for (number, row), image in zip(rows, images, strict=True):
        split = None if column is None else PART_WORDS.get(row[column].strip().lower())
        if split and parts.setdefault(image.path, split) != split:
            raise TilesetError(
                f"{labels.source}, line {number}: {image.path.name} is in {parts[image.path]} and"
                f" in {split}",
                hint="list each image in one part",
                path=labels.source,
            )
    if column is None or not parts:
        return labels
    return set_parts(labels, parts, f"the column {header[column]} of {labels.source.name}")
