"""Values of parsed documents: check them, and show them in messages of a bounded length."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable
from typing import Any

from geodet.documents.text import DocumentError

__all__ = [
    "check_class_name",
    "check_name",
    "check_plain_values",
    "counted",
    "cut_short",
    "finite_number",
    "member",
    "plain_word",
    "shown",
    "whole_number",
]

# Bytes: on every file system of Linux, and half of what a path may have, for the folders before it.
_LONGEST_NAME, _LONGEST_PATH = 255, 2047
_LONGEST_WORD = 1000  # characters
_BITS = 1023  # of the largest whole number that a float holds
_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}


class _Short(reprlib.Repr):
    """Shows what Python itself refuses to show: numbers of thousands of digits."""

    def repr_int(self, x: int, level: int) -> str:
        if x.bit_length() > _BITS:
            return f"a number of about {round(x.bit_length() * math.log10(2)):,} digits"
        return super().repr_int(x, level)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s unless the number is 1.

    Example:
        >>> counted(1, "scene"), counted(0, "scene"), counted(12_000, "object")
        ('1 scene', '0 scenes', '12,000 objects')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def member(entry: Any, key: str, kind: type) -> Any:
    """Return the value of a key of a JSON object.

    Args:
        entry: What should be an object.
        key: The key that it should have.
        kind: What the value should be: dict, list or str.

    Raises:
        ValueError: It is no object, has no such key, or the value is of another kind.

    Example:
        >>> member({"points": [[1, 2]]}, "points", list)
        [[1, 2]]
    """
    if not isinstance(entry, dict):
        raise ValueError(f"it is {shown(entry)}, not an object")
    if key not in entry:
        raise ValueError(f"it has no {key}")
    if not isinstance(entry[key], kind):
        raise ValueError(f"its {key} is {shown(entry[key])}, not {_KINDS[kind]}")
    return entry[key]


def plain_word(value: Any) -> str:
    """Return a text or a number as text, without spaces around; 1, 1.0 and "1" are the same.

    Raises:
        ValueError: It is another kind of value, not finite, or longer than 1,000 characters.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number and not isinstance(value, str):
        raise ValueError(f"{shown(value)} is neither a text nor a number")
    if is_number:
        number = finite_number(value)
        # Of a whole number the digits stay as they are: a float has 16 of them.
        word = str(value) if isinstance(value, int) else f"{number:.0f}"
        word = word if number.is_integer() else str(value)
    else:
        word = value.strip()
    if len(word) > _LONGEST_WORD:
        raise ValueError(f"{shown(word)} has {len(word):,} characters")
    return word


def shown(value: Any, *, longest: int = 80) -> str:
    """Return a value for a message, shortened, however long, deep or large it is.

    Example:
        >>> shown([1, "two"]), shown("x" * 1000, longest=12)
        ("[1, 'two']", "'xxx...xxx'")
    """
    short = _Short()
    short.maxstring = short.maxother = short.maxlong = longest
    short.maxlist = short.maxdict = short.maxtuple = 8
    return cut_short(short.repr(value), longest=longest)


def cut_short(text: str, *, longest: int = 80) -> str:
    r"""Return a text for a message without quotes around it, in one line of a bounded length.

    Example:
        >>> cut_short("x,y,\nlabel"), cut_short("a" * 1000, longest=8)
        ('x,y,?label', 'aaaaa...')
    """
    text = _one_line(text)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _one_line(text: str) -> str:
    """Replace what a terminal would obey, and halves of characters, which no encoding has."""
    return "".join(c if c.isprintable() else "?" for c in text)


def finite_number(value: Any) -> float:
    """Return a number, or the number that a text says.

    Raises:
        ValueError: It is neither, or it is infinite, not a number, or too large for a float.

    Example:
        >>> finite_number("2.5"), finite_number(3)
        (2.5, 3.0)
    """
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{shown(value)} is not a finite number")
    return number


def whole_number(value: Any) -> int:
    """Return a whole number; 3.0 and "3" are whole.

    Raises:
        ValueError: It is none.

    Example:
        >>> whole_number(3.0)
        3
    """
    number = finite_number(value)
    if not number.is_integer():
        raise ValueError(f"{shown(value)} is not a whole number")
    return int(number)


def check_name(name: str) -> str:
    """Return a name or path of a file, after checking that there can be such a file.

    Raises:
        ValueError: It has NUL or an incomplete character, or is longer than any file system allows.
    """
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{shown(name)} is not a file name: it has an incomplete character"
        ) from error
    if b"\0" in encoded:
        raise ValueError(f"{shown(name)} is not a file name: it has the character NUL")
    longest = max(map(len, encoded.replace(b"\\", b"/").split(b"/")))
    if len(encoded) > _LONGEST_PATH or longest > _LONGEST_NAME:
        raise ValueError(
            f"{shown(name)} is not a file name: it has {len(name):,} characters, and a name has at"
            f" most {_LONGEST_NAME}"
        )
    return name


def check_class_name(name: str) -> str:
    """Return the name of a class, after checking that files can hold it.

    Raises:
        ValueError: It has NUL, at which many programs end a text, or an incomplete character.

    Example:
        >>> check_class_name("chêne")
        'chêne'
    """
    if "\0" in name:
        raise ValueError(f"the class {shown(name)} has the character NUL")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the class {shown(name)} has an incomplete character") from error
    return name


def check_plain_values(content: Any, *, deepest: int) -> None:
    """Check the depth and the whole numbers of lists and mappings that were parsed.

    Args:
        content: What a parser has built, of a size that the document bounds.
        deepest: Most levels.

    Raises:
        DocumentError: It is nested more deeply, or has a number that no float holds.
    """
    level = [content]
    for _ in range(deepest + 1):
        for value in level:
            if isinstance(value, int) and value.bit_length() > _BITS:
                raise DocumentError(f"it has {shown(value)}", hint="correct the number")
        level = [one for value in level for one in _inner(value)]
        if not level:
            return
    raise DocumentError(f"it is nested more than {deepest} levels deep", hint="correct the file")


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list | tuple | set) else ()
