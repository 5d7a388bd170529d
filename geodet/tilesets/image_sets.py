"""Read which images belong to which part of a split: lists such as ImageSets/Main/train.txt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from geodet.errors import TilesetError
from geodet.tilesets.label_documents import read_text
from geodet.tilesets.parsed_labels import ParsedImage, ParsedLabels
from geodet.tilesets.split_files import set_parts
from geodet.tilesets.splits import PART_WORDS, Split

__all__ = ["with_image_sets"]


def with_image_sets(labels: ParsedLabels, folder: Path) -> ParsedLabels:
    """Set the split from lists of images, if they exist.

    They are ``train.txt``, ``val.txt`` and so on in ``ImageSets/Main``, in another folder of
    ``ImageSets``, or beside the labels, where both must exist and name images.

    Raises:
        TilesetError: A name stands for no image or for several, or is in two parts.
    """
    if any(image.split for image in labels.images):
        return labels
    found = _find_image_sets(folder)
    files = found or _find_plain_lists(folder)
    if not files:
        return labels
    known = _by_ends(labels.images, folder)
    lost = [] if found else [file for file in files.values() if not _names_an_image(file, known)]
    if lost:
        others = [file.name for file in files.values() if file != lost[0]]
        labels.notes.append(
            f"{folder}: {lost[0].name} names none of the images, so it and {', '.join(others)} are"
            " not used"
        )
        return labels
    parts: dict[Path, Split] = {}
    for split, file in files.items():
        _read_image_set(file, split, known, parts, labels.notes)
    place = next(iter(files.values())).parent.relative_to(folder).as_posix()
    source = place if found else ", ".join(file.name for file in files.values())
    return set_parts(labels, parts, source)


def _by_ends(images: Sequence[ParsedImage], folder: Path) -> dict[str, list[Path]]:
    """Return the images that each end of a path may mean: ``b/1.png``, ``b/1``, ``1.png``, ``1``.

    The whole path from the folder means one image, though it may be the end of another.
    """
    ends: dict[str, list[Path]] = {}
    whole: dict[str, list[Path]] = {}
    for path in dict.fromkeys(image.path for image in images):
        inner = path.relative_to(folder) if path.is_relative_to(folder) else path
        for parts in {inner.parts, inner.with_suffix("").parts}:
            for first in range(len(parts)):
                ends.setdefault("/".join(parts[first:]), []).append(path)
        whole[inner.as_posix()] = [path]
    return ends | whole


def _read_image_set(
    file: Path,
    split: Split,
    known: Mapping[str, list[Path]],
    parts: dict[Path, Split],
    notes: list[str],
) -> None:
    """Add the images of a list to their part."""
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        images = _find_of_line(line, known)
        name = line.strip()
        if not images and split == "test":
            notes.append(f"{file}, line {number}: there is no image {name}")
        elif len(images) != 1 or parts.setdefault(images[0], split) != split:
            what = "there is no image" if not images else f"{len(images)} images are called"
            what = f"{parts[images[0]]} already has" if len(images) == 1 else what
            raise TilesetError(
                f"{file}, line {number}: {what} {name}",
                hint="a line is the name of one image, with its folders if others have that name,"
                " too; an image belongs to one part",
                path=file,
            )


def _find_of_line(line: str, known: Mapping[str, list[Path]]) -> list[Path]:
    """Return the images that a line may mean: a name, which may have spaces, or one and a flag."""
    words = line.split()
    names = (line.strip(), line.rstrip().removesuffix(words[-1]).strip(), words[0])
    found = (_find_listed(name, known) for name in names if name)
    return next((images for images in found if images), [])


def _find_listed(name: str, known: Mapping[str, list[Path]]) -> list[Path]:
    """Return the images that share the longest end with a path."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    ends = ("/".join(parts[first:]) for first in range(len(parts)))
    return next((known[end] for end in ends if end in known), [])


def _find_image_sets(folder: Path) -> dict[Split, Path]:
    """Find the lists in ImageSets: those in Main first, whatever the case of the names."""
    roots = [one for one in sorted(folder.iterdir()) if one.name.lower() == "imagesets"]
    for root in filter(Path.is_dir, roots):
        inner = sorted(filter(Path.is_dir, root.iterdir()), key=lambda p: p.name.lower() != "main")
        for place in (*inner, root):
            if found := _find_parts(place):
                return found
    return {}


def _find_parts(place: Path) -> dict[Split, Path]:
    files = {file.stem.lower(): file for file in sorted(place.glob("*.txt"))}
    found: dict[Split, Path] = {}
    for word, split in PART_WORDS.items():
        if word in files:
            found.setdefault(split, files[word])
    if "trainval" in files and not found.keys() & {"train", "val"}:
        found["train"] = files["trainval"]
    return found


def _find_plain_lists(folder: Path) -> dict[Split, Path]:
    """Find the lists beside the labels, as older versions of YOLO and other programs have them."""
    found = _find_parts(folder)
    return found if {"train", "val"} <= found.keys() else {}


def _names_an_image(file: Path, known: Mapping[str, list[Path]]) -> bool:
    """Whether a line of a list stands for images."""
    lines = read_text(file).splitlines()
    return any(_find_of_line(line, known) for line in lines if line.strip())
