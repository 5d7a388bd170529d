"""The strip below a preview: name, scale bar and legend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from geodet.raster.scene import Scene
from geodet.vector.palette import Colour

__all__ = ["ClassCount", "ScaleBar", "with_footer"]

Entry = tuple[str, Colour | None]

_PAPER: Colour = (22, 25, 30)
_INK: Colour = (244, 245, 247)
_PALE: Colour = (166, 173, 184)
_NARROWEST = 560
"""Width below which a footer has no room; the image is centred above it."""


@dataclass(frozen=True, slots=True)
class ClassCount:
    """A class that occurs."""

    name: str
    count: int
    colour: Colour


@dataclass(frozen=True, slots=True)
class ScaleBar:
    """A round length and how long it is in the image."""

    text: str
    width_px: int

    @staticmethod
    def of(scene: Scene, scene_width: float, width: int) -> ScaleBar:
        """Choose a bar of at most a fifth of an image.

        Args:
            scene: What is shown.
            scene_width: Columns of the scene that the image shows.
            width: Columns of the image.
        """
        known = scene.resolution is not None
        unit = (scene.resolution or (1.0, 1.0))[0] * scene_width / width  # of one pixel
        longest = unit * width / 5
        power = 10.0 ** math.floor(math.log10(longest))
        length = next(step * power for step in (5, 2, 1, 0.5) if step * power <= longest)
        return ScaleBar(_length_text(length) if known else f"{length:g} px", round(length / unit))


def _length_text(metres: float) -> str:
    """Write a length in the unit that keeps it short."""
    if metres >= 1000:
        return f"{metres / 1000:g} km"
    return f"{metres:g} m" if metres >= 1 else f"{metres * 100:g} cm"


def with_footer(
    image: Image.Image,
    title: str,
    counts: Sequence[ClassCount],
    scale: ScaleBar,
    *,
    remark: str = "",
) -> Image.Image:
    """Put an image above a strip with a title, a scale bar, the number of objects and a legend.

    Args:
        image: Centred above the strip if it is too narrow for it.
        title: Shortened in its middle if it is too long.
        counts: The legend, in order.
        scale: The bar on the right.
        remark: Ends the legend.
    """
    width = max(image.width, _NARROWEST)
    em = min(max(width // 68, 14), 28)
    rows = list(_rows(_entries(counts, remark), width, em))
    picture = Image.new("RGB", (width, image.height + round(em * (2.5 + 1.7 * len(rows)))), _PAPER)
    picture.paste(image, ((width - image.width) // 2, 0))
    draw = ImageDraw.Draw(picture)
    y = image.height + 1.4 * em
    room = _draw_scale(draw, scale, (width - em, y), em) - 3 * em
    font = ImageFont.load_default(1.15 * em)
    draw.text((em, y), _fitted(title, font, room), _INK, font, anchor="lm")
    for row in rows:
        y += 1.7 * em
        for x, text, colour in row:
            _draw_entry(draw, (x, y), text, colour, em)
    return picture


def _entries(counts: Sequence[ClassCount], remark: str = "") -> list[Entry]:
    """Write the number of objects, then that of each class."""
    total = sum(kind.count for kind in counts)
    head = "1 object" if total == 1 else f"{total:,} objects" if total else "no objects"
    legend = [(f"{kind.name}  {kind.count:,}", kind.colour) for kind in counts]
    return [(head, None), *legend, *([(remark, None)] if remark else [])]


def _rows(
    entries: Sequence[Entry], width: int, em: int
) -> Iterator[list[tuple[float, str, Colour | None]]]:
    """Break entries into rows no wider than the picture, each entry with its x."""
    font = ImageFont.load_default(em)
    row: list[tuple[float, str, Colour | None]] = []
    x = float(em)
    for entry, colour in entries:
        text = _fitted(entry, font, width - 4 * em)
        length = font.getlength(text) + (1.4 * em if colour else 0)
        if row and x + length > width - em:
            yield row
            row, x = [], float(em)
        row.append((x, text, colour))
        x += length + 1.5 * em
    yield row


def _draw_entry(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, colour: Colour | None, em: int
) -> None:
    """Draw a text, after a square of the colour if it has one."""
    x, y = at
    if colour is not None:
        side = 0.8 * em
        square = (x, y - side / 2, x + side, y + side / 2)
        draw.rounded_rectangle(square, radius=0.15 * em, fill=colour)
        x += 1.4 * em
    draw.text((x, y), text, _PALE if colour is None else _INK, ImageFont.load_default(em), "lm")


def _draw_scale(
    draw: ImageDraw.ImageDraw, scale: ScaleBar, right: tuple[float, float], em: int
) -> float:
    """Draw the bar with its length; the result is where it starts."""
    x, y = right
    left, line = x - scale.width_px, max(2, em // 9)
    draw.line((left, y, x, y), _INK, line)
    for end in (left + line / 2, x - line / 2):
        draw.line((end, y - 0.35 * em, end, y + 0.35 * em), _INK, line)
    font = ImageFont.load_default(em)
    draw.text((left - 0.6 * em, y), scale.text, _INK, font, anchor="rm")
    return left - 0.6 * em - font.getlength(scale.text)


def _fitted(text: str, font: Any, room: float) -> str:
    """Shorten a text that is too long, in its middle."""
    kept = len(text)
    shown = text
    while font.getlength(shown) > room and kept > 2:
        kept -= 1
        shown = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
    return shown
