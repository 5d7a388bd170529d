"""Letters of any text: in Pillow's own font, or in one of the machine's where that lacks some."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import category, normalize

from PIL import ImageFont

__all__ = ["Lettering", "letter", "width_of"]

# Matplotlib's own comes before these, which Pillow looks for in the folders of the system.
_NAMES = (
    *("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "NotoSans-Regular.ttf"),
    *("Arial.ttf", "arial.ttf", "Arial Unicode.ttf", "malgun.ttf"),
    *("NotoSansCJK-Regular.ttc", "msyh.ttc"),
)
_PLAIN = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l"}
_PLAIN_KINDS = {"Pd": "-", "Pi": "'", "Pf": "'"}  # dashes and quotation marks
_NO_LETTER = "\uffff"
_SIZE = 20  # in which letters are compared


class Lettering(NamedTuple):
    """A text as it can be written, and the font that has its letters."""

    text: str
    """The text; letters that no font has are reduced to ASCII."""
    file: str
    """File of the font; "" stands for Pillow's own, in which all plain texts are written."""

    def font(self, size: float) -> Any:
        """Return the font in a size."""
        return _font(self.file, size)


@lru_cache(maxsize=1024)
def letter(text: str, *, is_embedded: bool = False) -> Lettering:
    """Choose the font of a text: the first that has all of its letters.

    A text that Pillow's own font can write looks the same on every machine.

    Args:
        text: A line of text.
        is_embedded: Whether the font becomes part of a file, which collections of fonts cannot.

    Example:
        >>> letter("Trees in May")
        Lettering(text='Trees in May', file='')
    """
    text = "".join(map(_without_control, normalize("NFC", text)))
    letters, best, fewest = set(text), "", len(text) + 1
    for file in _iter_files():
        lacking = sum(not _has(file, one) for one in letters)
        if lacking < fewest and not (is_embedded and file.endswith(".ttc")):
            best, fewest = file, lacking
        if not fewest:
            break
    return Lettering("".join(one if _has(best, one) else _plain(one) for one in text), best)


def width_of(text: str, size: float) -> float:
    """Return how wide a text is in pixels.

    Args:
        text: A line of text.
        size: Height of the font.
    """
    lettering = letter(text)
    return float(lettering.font(size).getlength(lettering.text))


def _without_control(char: str) -> str:
    """Return a space for any kind of it, and nothing for what is no letter."""
    return " " if char.isspace() else char if char.isprintable() else ""


def _plain(char: str) -> str:
    """Return what stands for a letter in ASCII."""
    known = _PLAIN.get(char) or _PLAIN_KINDS.get(category(char))
    return known or normalize("NFKD", char).encode("ascii", "ignore").decode() or "?"


def _iter_files() -> Iterator[str]:
    """Yield the fonts that there are, each looked for only if those before it do not suffice."""
    yield ""
    for name in (_matplotlib_font(), *_NAMES):
        if file := _find(name):
            yield file


@lru_cache
def _matplotlib_font() -> str:
    """Return where Matplotlib would have its font; it is not loaded."""
    found = find_spec("matplotlib")
    folder = Path(found.origin).parent if found and found.origin else Path()
    return str(folder / "mpl-data" / "fonts" / "ttf" / _NAMES[0])


@lru_cache
def _find(name: str) -> str:
    """Return the file of a font; "" where there is none."""
    try:
        return str(ImageFont.truetype(name, _SIZE).path)
    except OSError:
        return ""


@lru_cache(maxsize=64)
def _font(file: str, size: float) -> Any:
    return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def _has(file: str, char: str) -> bool:
    return char == " " or _drawn(file, char) != _drawn(file, _NO_LETTER)


def _drawn(file: str, char: str) -> tuple[Any, bytes]:
    mask = _font(file, _SIZE).getmask(char)
    return mask.size, bytes(mask)
