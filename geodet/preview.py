"""A picture of a scene with its detections, to look at before any GIS program is opened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from geodet.boxes import Detections
from geodet.outputs import check_destination, replacing
from geodet.scene import Chip, Scene

__all__ = ["draw_preview"]

Bytes = NDArray[np.uint8]
Colour = tuple[int, int, int]
Ink = tuple[int, int, int, int]

# Okabe and Ito's colours, told apart with any colour vision, the brightest on imagery first:
# https://jfly.uni-koeln.de/color
_COLOURS: tuple[Colour, ...] = (
    (240, 228, 66),  # yellow
    (86, 180, 233),  # sky blue
    (204, 121, 167),  # reddish purple
    (213, 94, 0),  # vermilion
    (0, 158, 115),  # bluish green
    (230, 159, 0),  # orange
    (0, 114, 178),  # blue
)
_HALO: Ink = (12, 14, 18, 150)
_PAPER: Colour = (22, 25, 30)
_INK: Colour = (244, 245, 247)
_PALE: Colour = (166, 173, 184)

_ENLARGED_SIDE = 1024
"""Smaller images are enlarged by a whole factor up to this side."""
_NARROWEST = 560
"""Width below which a footer has no room; the image is centred above it."""
_DOT_BELOW_PX = 6.0
"""Displayed side below which a box is a dot."""


def draw_preview(
    path: Path,
    scene: Scene,
    detections: Detections,
    classes: Sequence[str],
    *,
    max_side: int = 2048,
    overwrite: bool = False,
) -> None:
    """Draw a scene with its detections and a legend into a PNG.

    The first three bands are red, green and blue, a single one is grey; values that are not uint8
    are stretched between their percentiles 2 and 98. Boxes that would be smaller than six pixels
    are dots, and stronger detections are more opaque. There are seven colours; an eighth class has
    the first one's.

    Args:
        path: Ends in ``.png``; appears only when complete.
        scene: Read as an overview.
        detections: Boxes in the scene's own pixels.
        classes: Names of the classes, by label.
        max_side: Longest side of the image in pixels, without its footer. Images of less than half
            of 1024 px are enlarged.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputError: The file exists or cannot be written.
        SceneError: The scene cannot be read.
        ValueError: A label has no class.
    """
    check_destination(path, (".png",), overwrite=overwrite)
    image = _enlarged(scene.read_overview(max_side), max_side)
    shown = detections.scaled(
        image.width / scene.geobox.width, image.height / scene.geobox.height
    ).select(np.argsort(detections.scores, kind="stable"))  # the strongest on top
    _draw_objects(image, shown)
    scale = _ScaleBar.of(scene, image.width)
    picture = _with_footer(image, scene.name, _count(detections, classes), scale)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def _enlarged(chip: Chip, max_side: int) -> Image.Image:
    """Make an image of a chip, enlarged by a whole factor if it is small."""
    image = Image.fromarray(_to_rgb(chip))
    factor = max(1, min(_ENLARGED_SIDE, max_side) // max(image.size))
    size = (image.width * factor, image.height * factor)
    image = image.resize(size, Image.Resampling.BICUBIC)
    valid = Image.fromarray(chip.valid).resize(size, Image.Resampling.NEAREST)
    return Image.composite(image, _checkers(size), valid)


def _to_rgb(chip: Chip) -> Bytes:
    """Show the first three bands, or the first one, as uint8: (H, W, 3)."""
    bands = chip.pixels[:3] if len(chip.pixels) >= 3 else chip.pixels[:1]
    if bands.dtype != np.uint8:
        bands = np.stack([_stretched(band, chip.valid) for band in bands])
    rgb: Bytes = np.ascontiguousarray(
        np.broadcast_to(bands, (3, *bands.shape[1:])).transpose(1, 2, 0)
    )
    return rgb


def _stretched(band: NDArray[Any], valid: NDArray[np.bool_]) -> Bytes:
    """Map percentiles 2 to 98 of the valid values to 0 to 255, as QGIS does: (H, W)."""
    if not valid.any():
        return np.zeros(band.shape, np.uint8)
    low, high = np.percentile(band[valid].astype(np.float64), (2, 98))
    above = np.clip(np.where(valid, band, low), low, high) - low
    stretched: Bytes = (255 * above / max(high - low, 1e-300)).round().astype(np.uint8)
    return stretched


def _checkers(size: tuple[int, int]) -> Image.Image:
    """Paint the light checkers that stand for no data."""
    side = max(8, max(size) // 128)
    columns, rows = np.arange(size[0]) // side, np.arange(size[1]) // side
    grey = np.where((columns[None, :] + rows[:, None]) % 2, 222, 240).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _draw_objects(image: Image.Image, shown: Detections) -> None:
    """Draw every object onto the image, boxes first."""
    overlay = Image.new("RGBA", image.size)
    is_dot = (shown.boxes[:, 2:] - shown.boxes[:, :2]).max(axis=1, initial=0) < _DOT_BELOW_PX
    _draw_boxes(ImageDraw.Draw(overlay), shown.select(~is_dot))
    _draw_dots(overlay, shown.select(is_dot))
    image.paste(overlay, mask=overlay)


def _iter_objects(shown: Detections) -> Iterator[tuple[list[float], Ink]]:
    """Yield each box with its class's colour, more opaque the higher its score."""
    opacity = np.round(255 * (0.7 + 0.3 * np.clip(shown.scores, 0, 1))).astype(int)
    inks = [(*_colour(k), o) for k, o in zip(shown.labels.tolist(), opacity.tolist(), strict=True)]
    yield from zip(shown.boxes.tolist(), inks, strict=True)


def _colour(label: int) -> Colour:
    return _COLOURS[label % len(_COLOURS)]


def _draw_boxes(draw: ImageDraw.ImageDraw, shown: Detections) -> None:
    """Draw outlines around boxes: all halos first, so that none covers a neighbour."""
    for is_halo in (True, False):
        for (x1, y1, x2, y2), ink in _iter_objects(shown):
            side = math.sqrt((x2 - x1) * (y2 - y1))
            line = min(max(round(0.36 * math.sqrt(side)), 1), 4)
            rim = (1 if line < 3 else 2) if is_halo else 0
            inner = rim if side >= 14 else 0  # a halo inside of a small box would hide the object
            out = line + rim
            left, top = round(x1) - out, round(y1) - out
            frame = (left, top, max(round(x2) - 1 + out, left), max(round(y2) - 1 + out, top))
            draw.rectangle(frame, outline=_HALO if is_halo else ink, width=out + inner)


def _draw_dots(overlay: Image.Image, shown: Detections) -> None:
    """Draw dots with halos, one over the other, so that a crowd stays a crowd of dots."""
    spacing = math.sqrt(overlay.width * overlay.height / max(len(shown), 1))
    radius = min(max(0.2 * spacing, 1.25), 3.5)  # leaves ground between the dots
    halo, disc = _dot(radius + 1), _dot(radius)
    for (x1, y1, x2, y2), ink in _iter_objects(shown):
        for stamp, colour in ((halo, _HALO), (disc, ink)):
            at = (round((x1 + x2 - stamp.width) / 2), round((y1 + y2 - stamp.height) / 2))
            overlay.paste(colour, at, stamp)


def _dot(radius: float, finer: int = 8) -> Image.Image:
    """Draw a disc with smooth edges, as opacity."""
    side = 2 * math.ceil(radius) + 1
    low, high = (side / 2 - radius) * finer, (side / 2 + radius) * finer
    disc = Image.new("L", (side * finer, side * finer))
    ImageDraw.Draw(disc).ellipse((low, low, high - 1, high - 1), fill=255)
    return disc.resize((side, side), Image.Resampling.BOX)


def _count(detections: Detections, classes: Sequence[str]) -> list[tuple[str, int, Colour]]:
    """Count the objects of each class that occurs, with its colour."""
    if len(detections) and not 0 <= detections.labels.min() <= detections.labels.max() < len(
        classes
    ):
        raise ValueError(f"labels {np.unique(detections.labels)} of {len(classes)} classes")
    counts = np.bincount(detections.labels, minlength=len(classes)).tolist()
    return [(classes[i], count, _colour(i)) for i, count in enumerate(counts) if count]


@dataclass(frozen=True, slots=True)
class _ScaleBar:
    """A round length and how long it is in the image."""

    text: str
    width_px: int

    @staticmethod
    def of(scene: Scene, width: int) -> _ScaleBar:
        """Choose a bar of at most a fifth of an image ``width`` pixels wide."""
        known = scene.resolution is not None
        unit = (scene.resolution or (1.0, 1.0))[0] * scene.geobox.width / width  # of one pixel
        longest = unit * width / 5
        power = 10.0 ** math.floor(math.log10(longest))
        length = next(step * power for step in (5, 2, 1) if step * power <= longest)
        return _ScaleBar(_length_text(length) if known else f"{length:g} px", round(length / unit))


def _length_text(metres: float) -> str:
    """Write a length in the unit that keeps it short."""
    if metres >= 1000:
        return f"{metres / 1000:g} km"
    return f"{metres:g} m" if metres >= 1 else f"{metres * 100:g} cm"


def _with_footer(
    image: Image.Image, name: str, counts: list[tuple[str, int, Colour]], scale: _ScaleBar
) -> Image.Image:
    """Put the image above a strip with its name, scale, number of objects and legend."""
    width = max(image.width, _NARROWEST)
    em = min(max(width // 68, 14), 28)
    rows = list(_rows(_entries(counts), width, em))
    picture = Image.new("RGB", (width, image.height + round(em * (2.5 + 1.7 * len(rows)))), _PAPER)
    picture.paste(image, ((width - image.width) // 2, 0))
    draw = ImageDraw.Draw(picture)
    y = image.height + 1.4 * em
    room = _draw_scale(draw, scale, (width - em, y), em) - 3 * em
    title = ImageFont.load_default(1.15 * em)
    draw.text((em, y), _fitted(name, title, room), _INK, title, anchor="lm")
    for row in rows:
        y += 1.7 * em
        for x, text, colour in row:
            _draw_entry(draw, (x, y), text, colour, em)
    return picture


def _entries(counts: list[tuple[str, int, Colour]]) -> list[tuple[str, Colour | None]]:
    """Write the number of objects, then that of each class."""
    total = sum(count for _, count, _ in counts)
    head = "1 object" if total == 1 else f"{total:,} objects" if total else "no objects"
    return [(head, None), *((f"{name}  {count:,}", colour) for name, count, colour in counts)]


def _rows(
    entries: Sequence[tuple[str, Colour | None]], width: int, em: int
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
    draw: ImageDraw.ImageDraw, scale: _ScaleBar, right: tuple[float, float], em: int
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
