"""The strip below a preview: name, scale bar and legend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from geodet.raster.scene import Scene
from geodet.vector.palette import Colour

__all__ = ["ClassCount", "ScaleBar", "density_text", "with_footer"]

Entry = tuple[str, Colour | None]

_PAPER: Colour = (22, 25, 30)
_INK: Colour = (244, 245, 247)
_PALE: Colour = (166, 173, 184)
_NARROWEST = 560
"""Narrowest footer in pixels; a narrower image is centred above it."""


@dataclass(frozen=True, slots=True)
class ClassCount:
    """A class in the legend."""

    name: str
    """Name of the class."""
    count: int
    """Number of its objects."""
    colour: Colour
    """Colour of its objects."""


@dataclass(frozen=True, slots=True)
class ScaleBar:
    """A bar that stands for a round length."""

    text: str
    """The length and its unit."""
    width_px: int
    """Length of the bar in pixels of the image."""

    @staticmethod
    def of(scene: Scene, scene_width: float, width: int) -> ScaleBar:
        """Choose the longest round length of at most a fifth of the image's width.

        Args:
            scene: The scene, for the metres per pixel; if they are unknown, the unit is its pixel.
            scene_width: Columns of the scene that the image shows.
            width: Columns of the image.
        """
        return ScaleBar.fitting(scene.resolution, scene_width, width)

    @staticmethod
    def fitting(
        resolution: tuple[float, float] | None, scene_width: float, width: int
    ) -> ScaleBar:
        """Choose a bar for metres per pixel along x and y, otherwise as :meth:`of`."""
        known = resolution is not None
        unit = (resolution or (1.0, 1.0))[0] * scene_width / width  # of one pixel
        longest = unit * width / 5
        power = 10.0 ** math.floor(math.log10(longest))
        length = next(step * power for step in (5, 2, 1, 0.5) if step * power <= longest)
        return ScaleBar(_length_text(length) if known else f"{length:g} px", round(length / unit))


def _length_text(metres: float) -> str:
    """Write a length in km, m or cm."""
    if metres >= 1000:
        return f"{metres / 1000:g} km"
    return f"{metres:g} m" if metres >= 1 else f"{metres * 100:g} cm"


def density_text(per_pixel: float, resolution: tuple[float, float] | None) -> str:
    """Write a density of objects per hectare or km², whichever is the more familiar number.

    Args:
        per_pixel: Objects per pixel of the scene.
        resolution: Metres per pixel along x and y; None: the density is per 100 x 100 px.

    Example:
        >>> density_text(0.01, (0.5, 0.5))
        '400 per ha'
    """
    if resolution is None:
        return f"{_two_digits(per_pixel * 1e4)} in 100 x 100 px"
    per_m2 = per_pixel / (resolution[0] * resolution[1])
    is_sparse = per_m2 < 2e-4  # fewer than two per hectare
    if is_sparse:
        return f"{_two_digits(per_m2 * 1e6)} per km²"
    return f"{_two_digits(per_m2 * 1e4)} per ha"


def _two_digits(number: float) -> str:
    """Round to two digits, with commas for the thousands."""
    rounded = float(f"{number:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def with_footer(
    image: Image.Image,
    title: str,
    counts: Sequence[ClassCount],
    scale: ScaleBar,
    *,
    remark: str = "",
) -> Image.Image:
    """Add a strip with a title, a scale bar, the number of objects and a legend below an image.

    Args:
        image: Centred above the strip if it is narrower than 560 px.
        title: Shortened in its middle if it is too long.
        counts: Entries of the legend, in order.
        scale: The bar on the right.
        remark: Last entry of the legend.
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
    """Return the entries of the legend: the total, each class, then the remark."""
    total = sum(kind.count for kind in counts)
    head = "1 object" if total == 1 else f"{total:,} objects" if total else "no objects"
    legend = [(f"{kind.name}  {kind.count:,}", kind.colour) for kind in counts]
    return [(head, None), *legend, *([(remark, None)] if remark else [])]


def _rows(
    entries: Sequence[Entry], width: int, em: int
) -> Iterator[list[tuple[float, str, Colour | None]]]:
    """Yield rows of entries no wider than the picture, each entry with its x."""
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
    """Draw a text, and before it a square of its colour, if it has one."""
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
    """Draw the bar with its length to the left of a point; return the x where it starts."""
    x, y = right
    left, line = x - scale.width_px, max(2, em // 9)
    draw.line((left, y, x, y), _INK, line)
    for end in (left + line / 2, x - line / 2):
        draw.line((end, y - 0.35 * em, end, y + 0.35 * em), _INK, line)
    font = ImageFont.load_default(em)
    draw.text((left - 0.6 * em, y), scale.text, _INK, font, anchor="rm")
    return left - 0.6 * em - font.getlength(scale.text)


def _fitted(text: str, font: Any, room: float) -> str:
    """Return a text, shortened in its middle until it fits into ``room`` pixels."""
    kept = len(text)
    shown = text
    while font.getlength(shown) > room and kept > 2:
        kept -= 1
        shown = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
    return shown
