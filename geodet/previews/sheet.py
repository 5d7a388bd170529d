"""A picture before it is drawn: the image of a scene, and lines and words on and around it.

Lengths are pixels of the sheet, with (0, 0) at its upper left corner. The same sheet is painted
with Pillow, or written as a PDF or SVG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from PIL import Image, ImageDraw

from geodet.previews.lettering import letter
from geodet.vector.palette import DARK, Colour

__all__ = ["Line", "Sheet", "Words", "paint", "paint_shapes"]

_Point = tuple[float, float]
_FINER = 2  # times, of lines on an image before they are made smooth
_HALO_PX = 2.0


class Line(NamedTuple):
    """A line, a ring or a filled area."""

    points: Sequence[_Point]
    """Corners, in order."""
    colour: Colour
    """Colour of the line, or of the area."""
    width: float
    """Width of the line; 0: the points enclose a filled area."""
    is_ring: bool = False
    """Whether the last point is joined to the first."""


class Words(NamedTuple):
    """A line of text."""

    text: str
    """The text."""
    at: _Point
    """The position of its anchor."""
    size: float
    """Height of the font."""
    colour: Colour
    """Colour of the letters."""
    anchor: Literal["lm", "mm", "rm"] = "lm"
    """Left, middle or right, and the middle of its height."""
    has_halo: bool = False
    """Whether a dark rim keeps it readable over an image."""


_Shape = Line | Words


@dataclass(frozen=True, slots=True)
class Sheet:
    """An image with what is written around it."""

    width: int
    """Width of the whole."""
    height: int
    """Height of the whole."""
    paper: Colour
    """Colour around the image."""
    image_at: tuple[int, int]
    """The position of the image's upper left corner."""
    shapes: Sequence[_Shape]
    """Header and footer, in order."""


def paint(sheet: Sheet, image: Image.Image) -> Image.Image:
    """Paint a sheet with its image."""
    picture = Image.new("RGB", (sheet.width, sheet.height), sheet.paper)
    picture.paste(image, sheet.image_at)
    draw = ImageDraw.Draw(picture)
    for shape in sheet.shapes:
        _draw(draw, shape)
    return picture


def paint_shapes(image: Image.Image, shapes: Sequence[_Shape]) -> None:
    """Draw lines and words over an image in place, with smooth lines."""
    lines = [shape for shape in shapes if isinstance(shape, Line)]
    if lines:
        overlay = Image.new("RGBA", (image.width * _FINER, image.height * _FINER))
        draw = ImageDraw.Draw(overlay)
        for line in lines:
            _draw(draw, _enlarged(line))
        overlay = overlay.resize(image.size, Image.Resampling.BOX)
        image.paste(overlay, mask=overlay)
    words = ImageDraw.Draw(image)
    for shape in shapes:
        if isinstance(shape, Words):
            _draw(words, shape)


def _enlarged(line: Line) -> Line:
    points = [(x * _FINER, y * _FINER) for x, y in line.points]
    return line._replace(points=points, width=line.width * _FINER)


def _draw(draw: ImageDraw.ImageDraw, shape: _Shape) -> None:
    if isinstance(shape, Words):
        lettering, halo = letter(shape.text), round(_HALO_PX) if shape.has_halo else 0
        draw.text(
            shape.at,
            lettering.text,
            shape.colour,
            lettering.font(shape.size),
            shape.anchor,
            stroke_width=halo,
            stroke_fill=DARK,
        )
        return
    points = [*shape.points, *(shape.points[:2] if shape.is_ring else ())]
    if not shape.width:
        draw.polygon(points, fill=shape.colour)
    else:
        joint = "curve" if len(points) > 2 else None
        draw.line(points, shape.colour, max(round(shape.width), 1), joint)
