"""Write a report as one HTML file that needs no other file and no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from geodet.files.outputs import replacing
from geodet.files.version import __version__
from geodet.reports.chart_parts import BarChart, LineChart
from geodet.reports.parts import Gallery, GroundMap, KeyFigures, Remarks, ReportTable, TextBlock

__all__ = ["PagePart", "PageSection", "render_page", "write_page"]

PagePart = (
    KeyFigures | ReportTable | LineChart | BarChart | Gallery | GroundMap | Remarks | TextBlock
)


@dataclass(frozen=True, slots=True)
class PageSection:
    """A section of a report."""

    title: str
    """Its heading."""
    parts: Sequence[PagePart]
    """Its parts, from top to bottom; charts that follow each other stand side by side."""
    note: str = ""
    """A sentence below the heading."""


def write_page(path: Path, title: str, lead: str, sections: Sequence[PageSection]) -> None:
    """Write a report.

    The page loads nothing and runs nothing: pictures are in it, and its content policy forbids the
    rest. It follows the light or dark scheme of the reader and prints in black on white.

    Args:
        path: Ends in ``.html``; appears when it is complete.
        title: What the report is of.
        lead: A sentence below it.
        sections: In their order. Every text may hold anything: all of it is escaped.

    Raises:
        OutputError: The file cannot be written.
    """
    page = render_page(title, lead, sections)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render_page(title: str, lead: str, sections: Sequence[PageSection]) -> str:
    """Return the page that :func:`write_page` writes."""
    return _read_template().render(
        title=title,
        lead=lead,
        sections=sections,
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


@cache
def _read_template() -> Template:
    environment = Environment(
        loader=PackageLoader("geodet.reports", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    return environment.get_template("report.html")


def _printable(value: Any) -> Any:
    """Replace control characters and half surrogates, which no HTML file can hold."""
    if type(value) is not str:
        return value
    return "".join(
        character if character in "\t\n" or character.isprintable() else _of_control(character)
        for character in value
    )


def _of_control(character: str) -> str:
    is_broken = ord(character) < 0xA0 or 0xD800 <= ord(character) <= 0xDFFF
    is_none = ord(character) & 0xFFFE == 0xFFFE
    return "\ufffd" if is_broken or is_none else character
