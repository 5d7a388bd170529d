"""Parse TOML within limits of size and depth."""

from __future__ import annotations

import tomllib
from typing import Any

from geodet.documents.text import DocumentError
from geodet.documents.values import check_plain_values

__all__ = ["parse_toml"]

_LONGEST = 128 << 10  # characters; the parser takes the square of the length of a key
_DEEPEST = 20
_HINT = "`geodet config` prints such a file"


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        DocumentError: It is broken, too long or nested too deeply.
    """
    if len(text) > _LONGEST:
        raise DocumentError(
            f"it has {len(text):,} characters of TOML, and at most {_LONGEST:,} are read",
            hint=_HINT,
        )
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise DocumentError("it is nested too deeply", hint=_HINT) from error
    except tomllib.TOMLDecodeError as error:
        raise DocumentError(str(error), hint=_HINT) from error
    except ValueError as error:  # Python's own limit for whole numbers
        raise DocumentError("a whole number has thousands of digits", hint=_HINT) from error
    check_plain_values(content, deepest=_DEEPEST)
    return content
