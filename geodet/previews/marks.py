"""Objects as boxes and dots on an image."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from geodet.boxes import Detections
from geodet.palette import DARK, class_colour

__all__ = ["draw_objects", "is_dot"]

Ink = tuple[int, int, int, int]

_HALO: Ink = (*DARK, 150)
_DOT_BELOW_PX = 6.0
"""Displayed side below which a box is a dot."""


def draw_objects(image: Image.Image, shown: Detections) -> None:
    """Draw every object onto an image: boxes, and over them dots for what is too small for a box.

    Boxes that would be smaller than six pixels are dots, and stronger detections are more opaque.

    Args:
        image: Changed in place.
        shown: Boxes in the pixels of the image, the strongest last.
    """
    overlay = Image.new("RGBA", image.size)
    are_dots = is_dot(shown)
    _draw_boxes(ImageDraw.Draw(overlay), shown.select(~are_dots))
    _draw_dots(overlay, shown.select(are_dots))
    image.paste(overlay, mask=overlay)


def is_dot(shown: Detections) -> NDArray[np.bool_]:
    """Tell which objects are too small for a box: (N,)."""
    sides = shown.boxes[:, 2:] - shown.boxes[:, :2]
    too_small: NDArray[np.bool_] = sides.max(axis=1, initial=0) < _DOT_BELOW_PX
    return too_small


def _iter_objects(shown: Detections) -> Iterator[tuple[list[float], Ink]]:
    """Yield each box with its class's colour, more opaque the higher its score."""
    opacity = np.round(255 * (0.7 + 0.3 * np.clip(shown.scores, 0, 1))).astype(int)
    inks = [
        (*class_colour(k), o) for k, o in zip(shown.labels.tolist(), opacity.tolist(), strict=True)
    ]
    yield from zip(shown.boxes.tolist(), inks, strict=True)


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
