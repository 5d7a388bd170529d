"""Read the labels of DOTA (text) and xView (GeoJSON)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from geodet.documents.values import member, plain_word, shown
from geodet.errors import TilesetError
from geodet.tilesets.image_lists import LabelPair
from geodet.tilesets.label_documents import find_image, read_json_labels, read_text
from geodet.tilesets.outlines import bounds_of
from geodet.tilesets.parsed_labels import ParsedImage, ParsedLabels, parse_box

__all__ = ["is_dota", "read_dota", "read_xview"]

_HEAD = ("imagesource", "gsd", "acquisition")


def is_dota(file: Path) -> bool:
    """Whether a text file has lines of eight coordinates and a class that is no number.

    A header such as ``imagesource:GoogleEarth`` alone is DOTA's, too.
    """
    if not file.is_file():
        return False
    lines = [line.split() for line in read_text(file).splitlines() if line.strip()]
    filled = [words for words in lines if not words[0].lower().startswith(_HEAD)]
    if not filled:
        return bool(lines)
    first = filled[0]
    return len(first) >= 9 and all(map(_is_number, first[:8])) and not _is_number(first[8])


def read_dota(pairs: Iterable[LabelPair]) -> ParsedLabels:
    """Read the text files of DOTA: four corners of each object, in pixels, class and difficulty.

    A class may have several words, and the difficulty may be missing. Objects marked as difficult
    become ignored regions. Lines ``imagesource:`` and ``gsd:`` may come first; the metres per pixel
    are used where the image has no georeference.

    Args:
        pairs: Each image and its text file. An image without a file has no objects.

    Raises:
        TilesetError: A line is broken.
    """
    return ParsedLabels(Path(), [_read_image(path, file) for path, file in pairs])


def _read_image(path: Path, file: Path) -> ParsedImage:
    image = ParsedImage(path, f"{file}, line ")
    lines = read_text(file).splitlines() if file.is_file() else []
    for number, line in enumerate(lines, start=1):
        if line.lower().startswith(_HEAD):
            key, _, value = line.partition(":")
            if key.strip().lower() == "gsd" and _is_number(value) and float(value) > 0:
                image.gsd = float(value)
        elif line.strip():
            _add_line(image, line, number, file)
    return image


def _add_line(image: ParsedImage, line: str, number: int, file: Path) -> None:
    words = line.split()
    if len(words) < 9 or not all(map(_is_number, words[:8])):
        raise TilesetError(
            f"{file}, line {number}: {shown(line.strip())} is not eight numbers and a class",
            hint="a line is x1 y1 x2 y2 x3 y3 x4 y4 class difficult, in pixels",
            path=file,
        )
    corners = [float(word) for word in words[:8]]
    first, *others = words[8:]
    # A larger number, such as that of a Boeing 737, is part of the class.
    has_difficulty = bool(others) and _is_number(others[-1]) and abs(float(others[-1])) < 10
    is_difficult = has_difficulty and float(others.pop()) == 1
    points = list(zip(corners[::2], corners[1::2], strict=True))
    name = " ".join([first, *others])
    image.add(bounds_of(points), name, number, ignored=is_difficult, outline=points)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


_NAMES = "xview_class_labels.txt"
_XVIEW_HINT = "an object of xView needs image_id, type_id and bounds_imcoords"


def read_xview(path: Path, folders: Sequence[Path]) -> ParsedLabels:
    """Read the GeoJSON of xView: ``bounds_imcoords``, ``image_id`` and ``type_id`` of each object.

    Class names are in ``xview_class_labels.txt`` beside it; without one, the numbers are the names.
    Images that the file names but that do not exist, such as 1395.tif, are left out with a warning.

    Args:
        path: The GeoJSON.
        folders: Folders that may contain the images; the first that does is used.

    Raises:
        TilesetError: The file is broken, or none of its images exists.
    """
    names = _read_names(path.with_name(_NAMES))
    images: dict[str, ParsedImage] = {}
    for number, feature in enumerate(_read_features(path), start=1):
        try:
            about = member(feature, "properties", dict)
            name, kind = plain_word(about.get("image_id")), plain_word(about.get("type_id"))
            words = member(about, "bounds_imcoords", str).split(",")
        except ValueError as error:
            raise TilesetError(
                f"{path}, feature {number}: {error}", hint=_XVIEW_HINT, path=path
            ) from error
        if name not in images:
            images[name] = ParsedImage(find_image(name, folders), f"{path}, feature ")
        box = parse_box(words, f"{path}, feature {number}")
        images[name].add(box, names.get(kind, kind), number)
    present = [image for image in images.values() if image.path.is_file()]
    labels = ParsedLabels(path, present or list(images.values()))
    if present and len(present) < len(images):
        lost = next(name for name, image in images.items() if not image.path.is_file())
        labels.notes.append(
            f"{path}: {len(images) - len(present)} of {len(images)} images do not exist and are"
            f" left out, such as {lost}"
        )
    return labels


def _read_features(path: Path) -> list[Any]:
    try:
        features: list[Any] = member(read_json_labels(path), "features", list)
    except TilesetError:
        raise
    except ValueError as error:
        raise TilesetError(f"{path}: {error}", hint=_XVIEW_HINT, path=path) from error
    return features


def _read_names(file: Path) -> dict[str, str]:
    lines = read_text(file).splitlines() if file.is_file() else []
    pairs = [line.partition(":") for line in lines if ":" in line]
    return {number.strip(): name.strip() for number, _, name in pairs}
