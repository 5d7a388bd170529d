"""Read the text files of DOTA: four corners, class and difficulty of each object."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from geodet.errors import TilesetError
from geodet.tilesets.image_lists import LabelPair
from geodet.tilesets.labels import ParsedImage, ParsedLabels, read_text
from geodet.tilesets.outlines import bounds_of

__all__ = ["is_dota", "read_dota"]

_HEAD = ("imagesource", "gsd", "acquisition")


def is_dota(file: Path) -> bool:
    """Whether a text file has lines of eight coordinates and a class that is no number."""
    if not file.is_file():
        return False
    lines = (line.split() for line in read_text(file).splitlines() if line.strip())
    words = next((line for line in lines if not line[0].lower().startswith(_HEAD)), [])
    return len(words) >= 9 and all(map(_is_number, words[:8])) and not _is_number(words[8])


def read_dota(pairs: Iterable[LabelPair]) -> ParsedLabels:
    """Read the text files of DOTA. The four corners become their bounds, in pixels.

    Objects marked as difficult become ignored regions. Lines ``imagesource:`` and ``gsd:`` may
    come first; the metres per pixel are used where the image has no georeference.

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
            f"{file}, line {number}: {line.strip()[:80]!r} is not eight numbers and a class",
            hint="a line is x1 y1 x2 y2 x3 y3 x4 y4 class difficult, in pixels",
            path=file,
        )
    corners = [float(word) for word in words[:8]]
    is_difficult = len(words) > 9 and words[9] == "1"
    points = list(zip(corners[::2], corners[1::2], strict=True))
    image.add(bounds_of(points), words[8], number, ignored=is_difficult)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
