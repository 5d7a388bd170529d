"""Keys of the configuration that take lists: how they are typed, and what is said of wrong ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from geodet.documents.text import DocumentError
from geodet.documents.toml_documents import parse_toml

__all__ = ["ListKey", "find_list_key", "toml_value", "value_or_text"]

_BRACKETED = re.compile(r"^\[([^\[\]]|\[[^\[\]]*\])*\]$")  # unlike the pattern [ab]*,c[12]
_KINDS = {
    (int,): "whole numbers",
    (float,): "numbers",
    (str,): "texts",
    (int, str): "whole numbers and names",
}
_EXAMPLES = {
    (int,): ("3,2,1", "[3, 2, 1]"),
    (float,): ("500,20000", "[500, 20000]"),
    (str,): ("one,other", '["one", "other"]'),
    (int, str): ("3,2,1", "[3, 2, 1]"),
}


def toml_value(text: str) -> Any:
    """Return the value of a TOML text, or the text itself where it is none."""
    try:
        return parse_toml(f"value = {text}")["value"]
    except DocumentError:
        return text


def value_or_text(field: FieldInfo, text: str) -> Any:
    """Return the value of a TOML text, or the text itself where the key takes texts alone.

    A class, an attribute or the name of the data may be a number or a date.

    Args:
        field: What the key takes, no list.
        text: As it is typed.
    """
    value, kinds = toml_value(text), {*_options(field.annotation)} - {type(None)}
    if kinds == {str}:
        return value if isinstance(value, str) else text
    if kinds == {dict[str, str]} and isinstance(value, dict):
        return value if not _has_bare(value.values()) else text
    return value


@dataclass(frozen=True, slots=True)
class ListKey:
    """A key whose value is a list."""

    kinds: tuple[type, ...]
    """Types that an item may have."""
    count: int | None
    """Number of items; None: any."""
    most: int | None
    """Largest number of items; None: any."""
    words: tuple[str, ...]
    """A word allowed instead of a list."""
    default: tuple[Any, ...]
    """Value that is not set; empty if there is none."""

    def read(self, text: str) -> Any:
        """Read a list as it is typed: one bare value, several with commas, or a TOML list.

        Example:
            >>> names = ListKey((str,), None, None, (), ())
            >>> names.read("red"), names.read("[red, blue]"), names.read('["a, b"]')
            (['red'], ['red', 'blue'], ['a, b'])
            >>> ListKey((int, str), None, None, (), ()).read("3,nir")
            [3, 'nir']
        """
        value, is_text = toml_value(text), self.kinds == (str,)
        if self.words and not re.search(r"[,\[]", text):
            return value
        if isinstance(value, list) and not (is_text and _has_bare(value)):
            return value
        if isinstance(value, str) and value != text:  # in quotes
            return [value] if value else []
        inner = text[1:-1] if _BRACKETED.match(text) else text
        parts = [part.strip() for part in inner.split(",")]
        return [part.strip("\"'") if is_text else toml_value(part) for part in parts if part]

    @property
    def what(self) -> str:
        """Describe the allowed values, for a message."""
        number = f"{self.count} " if self.count else f"at most {self.most} " if self.most else ""
        return f"a list of {number}{_KINDS[self.kinds]}"

    def hint(self, path: str) -> str:
        """Show how the value of a key is written.

        Args:
            path: The key, with its section.
        """
        typed, listed = _EXAMPLES[self.kinds]
        if self.default:
            typed = ",".join(f"{item:.4g}" for item in self.default)
            listed = f"[{typed.replace(',', ', ')}]"
        words = "".join(f", or {path}={word}" for word in self.words)
        name = path.rpartition(".")[2]
        return f"write it as {path}={typed}{words}; in a recipe: {name} = {listed}"


def _has_bare(values: Iterable[Any]) -> bool:
    """Whether there are items that TOML takes for something else than text, such as 2022."""
    return not all(isinstance(value, str) for value in values)


def find_list_key(field: FieldInfo) -> ListKey | None:
    """Return what a key takes, None if that is no list."""
    options = _options(field.annotation)
    lists = [get_args(option) for option in options if get_origin(option) is tuple]
    if not lists:
        return None
    items = [item for item in lists[0] if item is not Ellipsis]
    return ListKey(
        kinds=_options(items[0]),
        count=None if Ellipsis in lists[0] else len(items),
        most=next((m.max_length for m in field.metadata if hasattr(m, "max_length")), None),
        words=tuple(w for o in options if get_origin(o) is Literal for w in get_args(o)),
        default=field.default if isinstance(field.default, tuple) else (),
    )


def _options(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type itself."""
    is_union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if is_union else (annotation,)
