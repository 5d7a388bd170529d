"""Read XML in whatever encoding it declares."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from xml.etree import ElementTree

from geodet.errors import TilesetError

__all__ = ["read_xml"]

_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_xml(path: Path) -> ElementTree.Element:
    """Read the root of an XML file.

    The parser itself knows encodings of one byte a character and UTF alone. Programs of East Asia
    also write GBK, Big5, Shift_JIS and EUC-KR.

    Raises:
        TilesetError: The file is no XML, or its text is not in the encoding that it declares.
    """
    try:
        content = path.read_bytes()
        encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
        declared = _ENCODING.match(content)
        encoding = encoding or (declared.group(1).decode("ascii") if declared else "utf-8")
        return ElementTree.fromstring(_DECLARATION.sub("", content.decode(encoding), count=1))
    except LookupError as error:
        raise TilesetError(
            f"{path}: broken XML: {error}", hint="save the file in UTF-8", path=path
        ) from error
    except UnicodeDecodeError as error:
        raise TilesetError(
            f"{path}: broken XML: it is not in {encoding}, which it declares: {error.reason} at "
            f"byte {error.start}",
            hint="correct the encoding in its first line, or save the file in UTF-8",
            path=path,
        ) from error
    except (ElementTree.ParseError, OSError) as error:
        raise TilesetError(
            f"{path}: broken XML: {error}", hint="export the labels again", path=path
        ) from error
