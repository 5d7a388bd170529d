"""The parts of a report: figures, tables, pictures and texts. The template says how they look."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

__all__ = [
    "Gallery",
    "GroundMap",
    "KeyFigure",
    "KeyFigures",
    "MappedShape",
    "MarkedBox",
    "Picture",
    "Remarks",
    "ReportTable",
    "TextBlock",
]


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One number that matters."""

    name: str
    """The quantity."""
    value: str
    """The number, with its unit."""
    note: str = ""
    """A note on it, in a few words."""


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """The numbers to read first."""

    kind: ClassVar = "figures"
    figures: tuple[KeyFigure, ...]
    """In the order of their weight."""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Rows of texts."""

    kind: ClassVar = "table"
    columns: tuple[str, ...]
    """Their titles."""
    rows: tuple[tuple[str, ...], ...]
    """A text for each column."""
    texts: int = 1
    """Number of the first columns that hold words; the others hold numbers."""
    shades: tuple[tuple[float, ...], ...] = ()
    """From 0 to 1, how strongly each number is shaded: a row for each row; empty: not at all."""
    note: str = ""
    """A note on the numbers."""


@dataclass(frozen=True, slots=True)
class MarkedBox:
    """A box drawn over a picture."""

    x: float
    """Left edge, in pixels of the picture."""
    y: float
    """Top edge."""
    width: float
    """Width."""
    height: float
    """Height."""
    style: str
    """``right``, ``wrong``, ``missed``, or ``class`` and a number from 0 to 6."""
    is_subject: bool = False
    """Whether the picture shows this one, and others by the way."""
    angle: float = 0.0
    """Degrees by which it is turned clockwise about its centre."""

    @property
    def turn(self) -> str:
        """How SVG turns it; empty for a box that is not turned."""
        x, y = self.x + self.width / 2, self.y + self.height / 2
        return f"rotate({self.angle:.2f} {x:.2f} {y:.2f})" if self.angle else ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A part of an image, with boxes over it."""

    data: bytes
    """A JPEG or PNG file."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    caption: str
    """A description of the picture."""
    boxes: tuple[MarkedBox, ...] = ()
    """The shapes drawn over it."""
    note: str = ""
    """More, in small letters."""

    @property
    def uri(self) -> str:
        """Return the file as a ``data:`` address."""
        kind = "png" if self.data.startswith(b"\x89PNG") else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(self.data).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures side by side."""

    kind: ClassVar = "gallery"
    title: str
    """Their common title."""
    pictures: tuple[Picture, ...]
    """May be empty."""
    note: str = ""
    """The rule by which they were chosen."""
    size: Literal["small", "large"] = "small"
    """Their width on the page."""


@dataclass(frozen=True, slots=True)
class MappedShape:
    """An area on a map."""

    points: tuple[tuple[float, float], ...]
    """Corners on the ground, y upwards."""
    name: str
    """Its tooltip."""
    shade: float
    """From 0 to 1, how strongly it is filled."""


@dataclass(frozen=True, slots=True)
class GroundMap:
    """Areas where they lie on the ground."""

    kind: ClassVar = "map"
    shapes: tuple[MappedShape, ...]
    """At least one."""
    note: str = ""
    """The meaning of the shading."""

    @property
    def view_box(self) -> str:
        """Return the extent of all shapes as SVG writes it."""
        left, top, width, height = _extent(self.shapes)
        margin = 0.02 * max(width, height)
        numbers = left - margin, top - margin, width + 2 * margin, height + 2 * margin
        return " ".join(f"{number:.10g}" for number in numbers)

    def path(self, shape: MappedShape) -> str:
        """Return the outline of a shape as SVG writes it."""
        x0, y0 = _origin(self.shapes)
        return "M" + "L".join(f"{x - x0:.8g},{y0 - y:.8g}" for x, y in shape.points) + "Z"


@dataclass(frozen=True, slots=True)
class Remarks:
    """Texts that deserve attention, such as warnings."""

    kind: ClassVar = "remarks"
    texts: tuple[str, ...]
    """One for each item."""
    none: str = "None."
    """The text instead of an empty list."""


@dataclass(frozen=True, slots=True)
class TextBlock:
    """A text whose lines stay as they are, such as settings."""

    kind: ClassVar = "text"
    text: str
    """The lines."""
    title: str = ""
    """Shown in place of a text that is folded; empty: the text is not folded."""


def _extent(shapes: Sequence[MappedShape]) -> tuple[float, float, float, float]:
    """Return the left, top, width and height of all shapes, from their origin, y downwards."""
    x0, y0 = _origin(shapes)
    xs = [x - x0 for shape in shapes for x, _ in shape.points]
    ys = [y0 - y for shape in shapes for _, y in shape.points]
    return min(xs), min(ys), max(xs) - min(xs) or 1.0, max(ys) - min(ys) or 1.0


def _origin(shapes: Sequence[MappedShape]) -> tuple[float, float]:
    """Return a point close to all shapes: coordinates in metres have too many digits for SVG."""
    return shapes[0].points[0]
