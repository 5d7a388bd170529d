"""The base class of all sections of settings, and suggestions for misspelt names."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from geodet.documents.values import shown
from geodet.errors import ConfigError

__all__ = ["Section", "did_you_mean", "name_hint", "parse_map", "to_config_error"]

_EVERY_KEY = "`geodet config` prints every key and what it means"

_LONGEST = 200  # characters of a word that are compared; the time grows with their square


class Section(BaseModel):
    """A section of the configuration: immutable, and without unknown keys.

    Raises:
        ConfigError: A key is unknown, or a value does not fit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as failure:
            raise to_config_error(failure, type(self)) from None

    # pydantic then does not call it for a section in a section, or in the description of a model:
    # it collects the mistakes of both itself.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth_values(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where numbers are due: Python takes them for 1 and 0."""
        kinds = _innermost(cls.model_fields[str(info.field_name)].annotation)
        if bool not in kinds and kinds & {int, float} and _has_truth_value(value):
            raise ValueError("true and false are no numbers")
        return value


def _innermost(annotation: Any) -> set[Any]:
    """Return the types that an annotation consists of: int and None for tuple[int, ...] | None."""
    inner = get_args(annotation)
    return set().union(*map(_innermost, inner)) if inner else {annotation}


def _has_truth_value(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_truth_value, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_truth_value, value))
    return isinstance(value, bool)


def to_config_error(failure: ValidationError, section: type[BaseModel]) -> ConfigError:
    """Turn the first of pydantic's mistakes into an error that names the key and the nearest one.

    Args:
        failure: What pydantic found.
        section: What was to be made.
    """
    error = failure.errors()[0]
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return ConfigError(f"unknown key {shown(path)}", hint=_nearest(path, section), key=path)
    message = error["msg"].removeprefix("Value error, ")
    value = "" if isinstance(error["input"], dict) else f" = {shown(error['input'])}"
    where = f"{path}{value}: " if path else ""  # a rule of several keys has no path
    return ConfigError(f"{where}{message}", hint=_EVERY_KEY, key=path or None)


def _nearest(path: str, section: type[BaseModel]) -> str:
    kinds = {name: field.annotation for name, field in section.model_fields.items()}
    inner = [
        f"{name}.{key}"
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, BaseModel)
        for key in kind.model_fields
    ]
    return did_you_mean(path, inner if "." in path else [*kinds, *inner]) or _EVERY_KEY


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the question whether the nearest known name was meant.

    Args:
        word: What was given.
        known: The names that exist.

    Returns:
        A question, or an empty text where no name is near.

    Example:
        >>> did_you_mean("urban-tree", ["urban-trees", "vehicles"])
        "did you mean 'urban-trees'?"
        >>> did_you_mean("train.lr", ["train.prior", "train.learning_rate"])
        "did you mean 'train.learning_rate'?"
    """
    names, near = list(known), word[:_LONGEST]
    short = [name for name in names if near == _shortened(name)]
    close = short or difflib.get_close_matches(near, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else ""


def _shortened(name: str) -> str:
    """Return a key with the first letters of its words alone: train.lr for train.learning_rate."""
    section, dot, key = name.rpartition(".")
    return f"{section}{dot}{''.join(part[:1] for part in key.split('_'))}"


def name_hint(word: str, known: Iterable[str], title: str) -> str:
    """Suggest the nearest name, and list all names.

    Args:
        word: What was given.
        known: The names that exist.
        title: What they name, in the plural.

    Example:
        >>> name_hint("urban-tree", ["urban-trees", "vehicles"], "bundled models")
        "did you mean 'urban-trees'? The bundled models are urban-trees, vehicles"
    """
    names = list(known)
    question = did_you_mean(word, names)
    if not names:
        return f"there are no {title}"
    listed = f"he {title} are {', '.join(names)}"
    return f"{question} T{listed}" if question else f"t{listed}"


def parse_map(text: str, form: str) -> dict[str, str]:
    """Parse ``{a=b,c=d}``; braces and quotes may be left out.

    Args:
        text: As it is typed after ``--set``.
        form: How it is written, for the message.

    Raises:
        ValueError: It is written otherwise, or lists a name twice.
    """
    pairs = [p for p in re.sub(r"^\s*\{|\}\s*$", "", text).split(",") if p.strip()]
    parts = [[word.strip().strip("\"'") for word in re.split("[=:]", pair)] for pair in pairs]
    if not all(len(words) == 2 and all(words) for words in parts):
        raise ValueError(f"a map of classes is written {form}")
    for name, times in Counter(name for name, _ in parts).most_common(1):
        if times > 1:
            raise ValueError(f"{name!r} is listed twice")
    return dict(parts)
