"""Parse XML in any encoding, without entities."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from xml.etree import ElementTree

from geodet.documents.text import DocumentError, read_document

__all__ = ["parse_xml_root", "read_xml_root"]

_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_ENTITY = re.compile(r"<!ENTITY")
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LARGEST = 2 << 30


def read_xml_root(path: Path) -> ElementTree.Element:
    """Read the root of an XML file.

    The parser itself knows encodings of one byte a character and UTF alone. Programs of East Asia
    also write GBK, Big5, Shift_JIS and EUC-KR. It does not recurse, so that depth needs no limit.

    Raises:
        DocumentError: The file is no XML, its text is not in the encoding that it declares, or it
            declares entities, with which a few lines can stand for gigabytes.
    """
    return parse_xml_root(read_document(path, largest=_LARGEST))


def parse_xml_root(content: bytes) -> ElementTree.Element:
    """Parse the bytes of an XML document, as :func:`read_xml_root` does.

    Raises:
        DocumentError: As there.
    """
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    declared = _ENCODING.match(content)
    encoding = encoding or (declared.group(1).decode("ascii") if declared else "utf-8")
    why = "which it declares" if declared else "as XML is unless it declares another encoding"
    text = _DECLARATION.sub("", _decoded(content, encoding, why), count=1)
    if _ENTITY.search(text):
        raise DocumentError(
            "broken XML: it declares entities, which labels do not need",
            hint="remove the lines <!ENTITY ...>, or export the labels again",
        )
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise DocumentError(f"broken XML: {error}", hint="export the labels again") from error


def _decoded(content: bytes, encoding: str, why: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"broken XML: it is not in {encoding}, {why}: {error.reason} at byte {error.start}",
            hint="correct the encoding in its first line, or save the file in UTF-8",
        ) from error
    except (LookupError, ValueError) as error:  # an unknown codec, or one of bytes such as zip
        raise DocumentError(f"broken XML: {error}", hint="save the file in UTF-8") from error
