"""What all sections of settings share, and suggestions for misspelt names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

__all__ = ["Section", "did_you_mean", "name_hint", "parse_map"]

_LONGEST = 200  # characters of a word that are compared; the time grows with their square


class Section(BaseModel):
    """A section of the configuration: immutable, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
        ValueError: It is written otherwise.
    """
    pairs = [p for p in re.sub(r"^\s*\{|\}\s*$", "", text).split(",") if p.strip()]
    parts = [[word.strip().strip("\"'") for word in re.split("[=:]", pair)] for pair in pairs]
    if not all(len(words) == 2 and all(words) for words in parts):
        raise ValueError(f"a map of classes is written {form}")
    return dict(parts)
