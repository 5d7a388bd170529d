"""Read text files of a bounded size."""

from __future__ import annotations

import codecs
from pathlib import Path

__all__ = [
    "LARGEST_TEXT",
    "DocumentError",
    "as_utf8",
    "read_document",
    "to_text",
    "too_large_for_memory",
]

LARGEST_TEXT = 4 << 30
"""Bytes of a text file that may be read: twice the largest label files in use."""


class DocumentError(ValueError):
    """A document cannot be parsed, or it is beyond a limit.

    A reader raises it again as an error of its own, with the file in front.

    Args:
        message: What is wrong, and where in the document.
        hint: What to do about it.
    """

    hint: str
    """The way out, for the user."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def read_document(path: Path, *, largest: int = LARGEST_TEXT) -> bytes:
    """Read a file, unless it is too large to be what it should be.

    Args:
        path: The file.
        largest: Most bytes that are read.

    Raises:
        DocumentError: It cannot be read, or is larger.
    """
    try:
        size = path.stat().st_size
        if size > largest:
            raise DocumentError(
                f"it has {size:,} bytes, and at most {largest:,} are read",
                hint="check that it is the right file, or divide it",
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a path with NUL is a ValueError
        if isinstance(error, DocumentError):
            raise
        raise DocumentError(
            f"it cannot be read: {error}", hint="check that it is a file that you may read"
        ) from error
    except MemoryError as error:
        raise too_large_for_memory() from error


def too_large_for_memory() -> DocumentError:
    """Return the error of a document that does not fit in the memory."""
    return DocumentError(
        "it does not fit in the memory", hint="divide it, or use a machine with more memory"
    )


def to_text(content: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark, or UTF-16 with one.

    Raises:
        DocumentError: It is neither.
    """
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"it cannot be read: {error.reason} at byte {error.start}",
            hint="it must be a text file in UTF-8",
        ) from error
    except MemoryError as error:
        raise too_large_for_memory() from error


def as_utf8(text: str) -> str:
    r"""Write what UTF-8 cannot hold as escapes: bytes of a file name in another encoding.

    Example:
        >>> as_utf8("caf\udce9.tif")
        'caf\\udce9.tif'
    """
    return text.encode(errors="backslashreplace").decode()
