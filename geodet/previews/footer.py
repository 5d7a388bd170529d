"""The strip below a preview: name, scale bar and legend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from geodet.documents.values import counted
from geodet.previews.lettering import width_of
from geodet.previews.sheet import Line, Sheet, Words, paint
from geodet.raster.scene import Scene
from geodet.vector.palette import Colour

__all__ = [
    "ClassCount",
    "Margin",
    "OutlineMark",
    "ScaleBar",
    "density_text",
    "lay_out",
    "with_footer",
]

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
class OutlineMark:
    """A line in the legend that stands for outlines."""

    colour: Colour
    """Its colour."""


_Mark = Colour | OutlineMark | None
_Entry = tuple[str, _Mark]


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
    def fitting(resolution: tuple[float, float] | None, scene_width: float, width: int) -> ScaleBar:
        """Choose a bar for metres per pixel along x and y, otherwise as :meth:`of`."""
        known = resolution is not None
        unit = (resolution or (1.0, 1.0))[0] * scene_width / width  # of one pixel
        longest = unit * width / 5
        power = 10.0 ** math.floor(math.log10(longest))
        length = next(step * power for step in (5, 2, 1, 0.5) if step * power <= longest)
        return ScaleBar(_length_text(length) if known else f"{length:g} px", round(length / unit))


@dataclass(frozen=True, slots=True)
class Margin:
    """The texts around an image."""

    name: str
    """Name of the scene, shortened in its middle if it is too long."""
    counts: Sequence[ClassCount]
    """Classes in the legend, in order."""
    scale: ScaleBar
    """The bar on the right."""
    remark: str = ""
    """Last entry of the legend."""
    heading: str = ""
    """Title above the image; empty: none."""
    north: float | None = None
    """Degrees from upwards to true north, clockwise; None: unknown, and no arrow."""
    outlines: Sequence[ClassCount] = ()
    """Layers of outlines in the legend, in order."""
    has_objects: bool = True
    """Whether detections are shown, of which there may be none."""


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
) -> Image.Image:
    """Add a strip with a title, a scale bar, the number of objects and a legend below an image.

    Args:
        image: Centred above the strip if it is narrower than 560 px.
        title: Shortened in its middle if it is too long.
        counts: Entries of the legend, in order.
        scale: The bar on the right.
    """
    margin = Margin(title, counts, scale)
    return paint(lay_out(image.size, margin), image)


def lay_out(size: tuple[int, int], margin: Margin) -> Sheet:
    """Arrange a heading above an image and a strip below it.

    Args:
        size: Width and height of the image; a narrow one is centred.
        margin: What is written around it.
    """
    width = max(size[0], _NARROWEST)
    em = min(max(width // 68, 14), 28)
    shapes = list[Line | Words]()
    top = 0
    if margin.heading:
        top = round(2.8 * em)
        text = _fitted(margin.heading, 1.5 * em, width - 2 * em)
        shapes.append(Words(text, (em, top / 2), 1.5 * em, _INK))
    rows = list(_rows(_all_entries(margin), width, em))
    y = top + size[1] + 1.4 * em
    right = float(width - em)
    if margin.north is not None:
        shapes += _north_arrow(margin.north, (right - 0.9 * em, y + 0.25 * em), em)
        right -= 3 * em
    bar, left = _scale_shapes(margin.scale, (right, y), em)
    shapes += bar
    name = _fitted(margin.name, 1.15 * em, left - 3 * em)
    shapes.append(Words(name, (em, y), 1.15 * em, _INK))
    for row in rows:
        y += 1.7 * em
        for x, text, mark in row:
            shapes += _entry_shapes((x, y), text, mark, em)
    height = top + size[1] + round(em * (2.5 + 1.7 * len(rows)))
    return Sheet(width, height, _PAPER, ((width - size[0]) // 2, top), shapes)


def _all_entries(margin: Margin) -> list[_Entry]:
    """Return the entries of the legend: objects, outlines, then the remark."""
    entries = _entries(margin.counts) if margin.has_objects else []
    entries += [(f"{one.name}  {one.count:,}", OutlineMark(one.colour)) for one in margin.outlines]
    return [*entries, *([(margin.remark, None)] if margin.remark else [])]


def _entries(counts: Sequence[ClassCount], remark: str = "") -> list[_Entry]:
    """Return the entries of the legend: the total, each class, then the remark."""
    total = sum(kind.count for kind in counts)
    head = counted(total, "object") if total else "no objects"
    legend = [(f"{kind.name}  {kind.count:,}", kind.colour) for kind in counts]
    return [(head, None), *legend, *([(remark, None)] if remark else [])]


def _rows(
    entries: Sequence[_Entry], width: int, em: int
) -> Iterator[list[tuple[float, str, _Mark]]]:
    """Yield rows of entries no wider than the picture, each entry with its x."""
    row: list[tuple[float, str, _Mark]] = []
    x = float(em)
    for entry, mark in entries:
        text = _fitted(entry, em, width - 4 * em)
        length = width_of(text, em) + (1.4 * em if mark else 0)
        if row and x + length > width - em:
            yield row
            row, x = [], float(em)
        row.append((x, text, mark))
        x += length + 1.5 * em
    if row:
        yield row


def _entry_shapes(at: tuple[float, float], text: str, mark: _Mark, em: int) -> list[Line | Words]:
    """Return a text, and before it a square or a line of its colour, if it has one."""
    x, y = at
    side = 0.8 * em
    if mark is None:
        return [Words(text, at, em, _PALE)]
    if isinstance(mark, OutlineMark):
        shape = Line(((x, y), (x + side, y)), mark.colour, max(2, em // 7))
    else:
        low, high = y - side / 2, y + side / 2
        shape = Line(((x, low), (x + side, low), (x + side, high), (x, high)), mark, 0)
    return [shape, Words(text, (x + 1.4 * em, y), em, _INK)]


def _scale_shapes(
    scale: ScaleBar, right: tuple[float, float], em: int
) -> tuple[list[Line | Words], float]:
    """Return the bar with its length to the left of a point, and the x where it starts."""
    x, y = right
    if not scale.width_px:  # of pictures that show no ground together
        return [], x
    left, line = x - scale.width_px, max(2, em // 9)
    shapes: list[Line | Words] = [Line(((left, y), (x, y)), _INK, line)]
    for end in (left + line / 2, x - line / 2):
        shapes.append(Line(((end, y - 0.35 * em), (end, y + 0.35 * em)), _INK, line))
    shapes.append(Words(scale.text, (left - 0.6 * em, y), em, _INK, "rm"))
    return shapes, left - 0.6 * em - width_of(scale.text, em)


def _north_arrow(angle: float, centre: tuple[float, float], em: int) -> list[Line | Words]:
    """Return an arrow to true north, two halves of it in different shades, with its letter."""
    turn = math.radians(angle)

    def turned(x: float, y: float) -> tuple[float, float]:
        dx, dy = x * em, y * em
        sine, cosine = math.sin(turn), math.cos(turn)
        return centre[0] + dx * cosine - dy * sine, centre[1] + dx * sine + dy * cosine

    tip, foot = turned(0, -0.75), turned(0, 0.35)
    halves = ((turned(-0.5, 0.75), _INK), (turned(0.5, 0.75), _PALE))
    arrow = [Line((tip, side, foot), colour, 0) for side, colour in halves]
    return [*arrow, Words("N", turned(0, -1.25), 0.8 * em, _INK, "mm")]


def _fitted(text: str, size: float, room: float) -> str:
    """Return a text, shortened in its middle until it fits into ``room`` pixels."""
    kept = len(text)
    shown = text
    while width_of(shown, size) > room and kept > 2:
        kept -= 1
        shown = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
    return shown
