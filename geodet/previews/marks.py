"""Objects as a shading, where they are too many for dots."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from geodet.geometry.arrays import Floats
from geodet.geometry.boxes import Detections
from geodet.vector.palette import DARK, Colour, class_colour

__all__ = ["draw_density", "draw_objects", "is_crowded", "is_dot"]

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


Size = tuple[int, int]

_CELL_PX = 8
_CROWD = 6.0
"""Dots in a cell of 8 x 8 pixels: more would run together."""
_BLUR_PX = 3.0
_MUTED = 0.55
"""How much of the image goes below a shading."""


def is_crowded(shown: Detections, size: Size) -> bool:
    """Tell whether dots would run together where most of the objects are.

    Args:
        shown: Boxes in the pixels of an image.
        size: Width and height of the image.

    Example:
        >>> close = np.random.default_rng(0).uniform(0, 30, (500, 2)).repeat(2, 0).reshape(-1, 4)
        >>> far = Detections(close * 10, np.ones(500), np.zeros(500))
        >>> is_crowded(Detections(close, far.scores, far.labels), (300, 300))
        True
        >>> is_crowded(far, (300, 300))
        False
    """
    counts = _histogram(
        shown.centres / _CELL_PX, (size[0] // _CELL_PX + 1, size[1] // _CELL_PX + 1)
    )
    total = counts.sum()
    return bool(total) and float((counts**2).sum() / total) > _CROWD  # as an object sees it


def draw_density(image: Image.Image, shown: Detections) -> float:
    """Shade an image by the number of objects, in the colours of their classes.

    The image turns grey and dark. The shading is the opaquer the more objects there are, and has
    the mean colour of them.

    Args:
        image: Changed in place.
        shown: Boxes in the pixels of the image.

    Returns:
        How many objects a pixel has where the shading is full: the percentile 99.5 of all shaded
        pixels.
    """
    total, ink = np.zeros(image.size[::-1]), np.zeros((*image.size[::-1], 3))
    for colour, density in _densities(shown, image.size):
        total += density
        ink += density[..., None] * np.asarray(colour, np.float64)
    is_shaded = total > 1e-4
    peak = float(np.percentile(total[is_shaded], 99.5)) if is_shaded.any() else 0.0
    ink /= np.maximum(total, 1e-12)[..., None]
    opacity = 255 * np.sqrt(np.clip(total / max(peak, 1e-12), 0, 1))  # so that few are seen, too
    _mute(image)
    shading = Image.fromarray(ink.round().clip(0, 255).astype(np.uint8))
    image.paste(shading, mask=Image.fromarray(opacity.round().astype(np.uint8)))
    return peak


def _densities(shown: Detections, size: Size) -> Iterator[tuple[Colour, Floats]]:
    """Yield the colour of each class that occurs with its objects per pixel, smoothed: (H, W)."""
    for label in np.unique(shown.labels).tolist():
        counts = _histogram(shown.centres[shown.labels == label], size)
        yield class_colour(label), ndimage.gaussian_filter(counts, _BLUR_PX, mode="constant")


def _histogram(xy: Floats, size: Size) -> Floats:
    """Count points per pixel; those outside do not count: (H, W)."""
    width, height = size
    edges = (np.arange(height + 1), np.arange(width + 1))
    counts: Floats = np.histogram2d(xy[:, 1], xy[:, 0], bins=edges)[0]
    return counts


def _mute(image: Image.Image) -> None:
    grey = image.convert("L").convert("RGB")
    image.paste(Image.blend(grey, Image.new("RGB", image.size, DARK), _MUTED))
