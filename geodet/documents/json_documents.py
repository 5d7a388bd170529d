"""Parse JSON within limits of size and depth."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from geodet.documents.text import DocumentError, read_document, to_text, too_large_for_memory

__all__ = ["DEEPEST_JSON", "parse_json", "read_json"]

DEEPEST_JSON = 100
"""Levels of lists and objects within each other; COCO has five."""

_CHUNK = 16 << 20
_OTHERS = bytes(set(range(256)) - set(b'"[]{}'))
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
_ESCAPE = re.compile(rb"\\*[^\\]?")
_HINT = "export the file again"


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DocumentError: It cannot be read, or is broken, too large or nested too deeply.
    """
    content = read_document(path)
    try:
        return _parse(content if _is_utf8(content) else to_text(content).encode())
    except MemoryError as error:
        raise too_large_for_memory() from error


def parse_json(text: str) -> Any:
    """Parse JSON.

    Raises:
        DocumentError: It is broken, or nested too deeply.
    """
    return _parse(text.encode(errors="surrogatepass"))


def _parse(content: bytes) -> Any:
    """Parse JSON in UTF-8. The depth is known first, since the parser recurses."""
    depth = _depth(content)
    if depth > DEEPEST_JSON:
        raise DocumentError(
            f"broken JSON: it is nested {depth:,} levels deep, and at most {DEEPEST_JSON} are read",
            hint=_HINT,
        )
    try:
        return json.loads(to_text(content))
    except DocumentError:
        raise
    except json.JSONDecodeError as error:
        raise DocumentError(f"broken JSON: {error}", hint=_HINT) from error
    except ValueError as error:  # Python's own limit for whole numbers
        raise DocumentError(
            "broken JSON: a whole number has thousands of digits", hint=_HINT
        ) from error


def _is_utf8(content: bytes) -> bool:
    return not content.startswith((b"\xff\xfe", b"\xfe\xff"))


def _depth(content: bytes) -> int:
    """Return the depth of lists and objects, without parsing: at memory speed, and exactly.

    Only quotes and brackets are kept. Two quotes side by side are a string without brackets, or the
    end of one string and the begin of the next; either way the strings around stay what they are.
    """
    deepest, level, inside = 0, 0, 0
    for chunk in _iter_chunks(content):
        plain = chunk.replace(b"\\\\", b"").replace(b'\\"', b"")
        marks = np.frombuffer(plain.translate(None, _OTHERS).replace(b'""', b""), np.uint8)
        if not len(marks):
            continue
        quotes = inside + np.cumsum(marks == ord('"'), dtype=np.int32)
        steps = np.where(quotes % 2 == 1, np.int8(0), _STEPS[marks])
        levels = level + np.cumsum(steps, dtype=np.int64)
        deepest = max(deepest, int(levels.max()))
        level, inside = int(levels[-1]), int(quotes[-1]) % 2
    return deepest


def _iter_chunks(content: bytes) -> Iterator[bytes]:
    """Yield pieces that do not end within an escape."""
    start = 0
    while start < len(content):
        end = start + _CHUNK
        if end < len(content) and content[end - 1 : end] == b"\\":
            found = _ESCAPE.match(content, end)
            end = found.end() if found else end
        yield content[start:end]
        start = end
