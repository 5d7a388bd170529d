"""The chunks of a PNG file, found without decoding it.

GDAL fills what is missing of a truncated PNG with black, or with what the memory held, and reports
nothing. A whole PNG ends with the chunk IEND.

Reference: Portable Network Graphics (PNG) Specification, third edition, section 5.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["is_truncated_png", "iter_png_chunks"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_BYTES = 2**24  # of a chunk that is wanted


def iter_png_chunks(path: Path, *, wanted: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG that are whole, each with its name and its data.

    Args:
        path: The file; nothing is yielded for one that is no PNG.
        wanted: Name of the chunks whose data is read; that of others is empty.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return
        while len(head := file.read(8)) == 8:
            length, name = int.from_bytes(head[:4], "big"), head[4:]
            end = file.tell() + length + 4  # the checksum follows the data
            if end > size:
                return
            yield name, file.read(length) if name == wanted and length < _MOST_BYTES else b""
            if name == b"IEND":
                return
            file.seek(end)


def is_truncated_png(path: Path) -> bool:
    """Whether a file is a PNG whose end is missing.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return False
    return all(name != b"IEND" for name, _ in iter_png_chunks(path))
