"""Draw objects onto an image: as boxes, as dots, or as a shading where there are too many dots."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from geodet.geometry.arrays import Floats
from geodet.geometry.boxes import Detections
from geodet.vector.palette import DARK, Colour, class_colour

__all__ = ["draw_density", "draw_objects", "is_crowded", "is_dot"]

_Ink = tuple[int, int, int, int]
_Size = tuple[int, int]

_HALO: _Ink = (*DARK, 150)
_DOT_BELOW_PX = 6.0
"""Longer side in the image below which most boxes of a class are drawn as dots."""
_UNLIKE = 1.5
"""How many times larger or smaller than most of its class a box is that is drawn otherwise."""
_CELL_PX = 8
_CROWD = 6.0
"""Dots in a cell of 8 x 8 pixels: more would run together."""
_BLUR_PX = 3.0
_MUTED = 0.55
"""Opacity of the darkness below a shading."""


def draw_objects(image: Image.Image, shown: Detections) -> None:
    """Draw every object onto an image: boxes, and over them dots for small objects.

    Boxes of a class that has mostly less than six pixels are drawn as dots, and a higher score is
    more opaque.

    Args:
        image: Changed in place.
        shown: Boxes in the pixels of the image; later ones are drawn over earlier ones.
    """
    overlay = Image.new("RGBA", image.size)
    are_dots = is_dot(shown)
    _draw_boxes(ImageDraw.Draw(overlay), shown.select(~are_dots))
    _draw_dots(overlay, shown.select(are_dots))
    image.paste(overlay, mask=overlay)


def is_dot(shown: Detections) -> NDArray[np.bool_]:
    """Whether each object is too small to be drawn as a box: (N,).

    Objects of a class whose sizes are about the limit are drawn alike.
    """
    longer = (shown.boxes[:, 2:] - shown.boxes[:, :2]).max(axis=1, initial=0)
    limits = np.full(len(shown), _DOT_BELOW_PX)
    for label in np.unique(shown.labels).tolist():
        of_class = shown.labels == label
        are_boxes = np.median(longer[of_class]) >= _DOT_BELOW_PX
        limits[of_class] *= 1 / _UNLIKE if are_boxes else _UNLIKE
    too_small: NDArray[np.bool_] = longer < limits
    return too_small


def _iter_objects(shown: Detections) -> Iterator[tuple[list[float], _Ink]]:
    """Yield each box with the colour of its class, more opaque for a higher score."""
    opacity = np.round(255 * (0.7 + 0.3 * np.clip(shown.scores, 0, 1))).astype(int)
    inks = [
        (*class_colour(k), o) for k, o in zip(shown.labels.tolist(), opacity.tolist(), strict=True)
    ]
    yield from zip(shown.boxes.tolist(), inks, strict=True)


def _draw_boxes(draw: ImageDraw.ImageDraw, shown: Detections) -> None:
    """Draw outlines around boxes: all halos first, so that none covers a neighbour."""
    if shown.oriented is not None:
        _draw_quads(draw, shown)
        return
    sides = np.sqrt(np.prod(shown.boxes[:, 2:] - shown.boxes[:, :2], axis=1))
    lines = _line_widths(shown, sides)
    for is_halo in (True, False):
        for ((x1, y1, x2, y2), ink), side, line in zip(
            _iter_objects(shown), sides.tolist(), lines, strict=True
        ):
            rim = (1 if line < 3 else 2) if is_halo else 0
            inner = rim if side >= 14 else 0  # a halo inside of a small box would hide the object
            out = line + rim
            left, top = round(x1) - out, round(y1) - out
            frame = (left, top, max(round(x2) - 1 + out, left), max(round(y2) - 1 + out, top))
            draw.rectangle(frame, outline=_HALO if is_halo else ink, width=out + inner)


def _line_widths(shown: Detections, sides: Floats) -> list[int]:
    """Return the width of each outline in pixels, which is that of most boxes of the class.

    Boxes of one size would have lines of two widths where it is about a limit; those that are much
    larger or smaller have lines of their own.
    """
    typical = np.array(sides, np.float64)
    for label in np.unique(shown.labels).tolist():
        of_class = shown.labels == label
        middle = np.median(sides[of_class])
        alike = of_class & (sides * _UNLIKE >= middle) & (sides <= middle * _UNLIKE)
        typical[alike] = middle
    widths: list[int] = np.clip(np.round(0.36 * np.sqrt(typical)), 1, 4).astype(int).tolist()
    return widths


def _draw_quads(draw: ImageDraw.ImageDraw, shown: Detections) -> None:
    """Draw outlines of oriented boxes likewise."""
    quads, lines = shown.corners.tolist(), _line_widths(shown, np.sqrt(shown.areas))
    for is_halo in (True, False):
        for (_, ink), quad, line in zip(_iter_objects(shown), quads, lines, strict=True):
            rim = (1 if line < 3 else 2) if is_halo else 0
            ring = [(x, y) for x, y in [*quad, *quad[:2]]]  # beyond the end: the last corner joins
            draw.line(ring, _HALO if is_halo else ink, line + 2 * rim, joint="curve")


def _draw_dots(overlay: Image.Image, shown: Detections) -> None:
    """Draw dots with halos, one over the other, so that neighbours can be told apart."""
    spacing = math.sqrt(overlay.width * overlay.height / max(len(shown), 1))
    radius = min(max(0.2 * spacing, 1.25), 3.5)  # leaves ground between the dots
    halo, disc = _dot(radius + 1), _dot(radius)
    for (x1, y1, x2, y2), ink in _iter_objects(shown):
        for stamp, colour in ((halo, _HALO), (disc, ink)):
            at = (round((x1 + x2 - stamp.width) / 2), round((y1 + y2 - stamp.height) / 2))
            overlay.paste(colour, at, stamp)


def _dot(radius: float) -> Image.Image:
    """Return a disc with smooth edges, as opacity."""
    side = 2 * math.ceil(radius) + 1
    finer = 8
    low, high = (side / 2 - radius) * finer, (side / 2 + radius) * finer
    disc = Image.new("L", (side * finer, side * finer))
    ImageDraw.Draw(disc).ellipse((low, low, high - 1, high - 1), fill=255)
    return disc.resize((side, side), Image.Resampling.BOX)


def is_crowded(shown: Detections, size: _Size) -> bool:
    """Whether dots would run together where most of the objects are.

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
    return (
        bool(total) and float((counts**2).sum() / total) > _CROWD
    )  # mean over the objects, not over the cells


def draw_density(image: Image.Image, shown: Detections) -> float:
    """Shade an image by the density of objects, in the colours of their classes.

    The image turns grey and dark. The shading is more opaque where there are more objects, and has
    their mean colour.

    Args:
        image: Changed in place.
        shown: Boxes in the pixels of the image.

    Returns:
        Objects per pixel at which the shading is opaque: percentile 99.5 of all shaded pixels.
    """
    total, ink = np.zeros(image.size[::-1]), np.zeros((*image.size[::-1], 3))
    for colour, density in _densities(shown, image.size):
        total += density
        ink += density[..., None] * np.asarray(colour, np.float64)
    is_shaded = total > 1e-4
    peak = float(np.percentile(total[is_shaded], 99.5)) if is_shaded.any() else 0.0
    ink /= np.maximum(total, 1e-12)[..., None]
    opacity = 255 * np.sqrt(
        np.clip(total / max(peak, 1e-12), 0, 1)
    )  # the root makes few objects visible, too
    _mute(image)
    shading = Image.fromarray(ink.round().clip(0, 255).astype(np.uint8))
    image.paste(shading, mask=Image.fromarray(opacity.round().astype(np.uint8)))
    return peak


def _densities(shown: Detections, size: _Size) -> Iterator[tuple[Colour, Floats]]:
    """Yield the colour of each class that occurs and its smoothed objects per pixel, (H, W)."""
    for label in np.unique(shown.labels).tolist():
        counts = _histogram(shown.centres[shown.labels == label], size)
        yield class_colour(label), _blur(counts)


def _histogram(xy: Floats, size: _Size) -> Floats:
    """Count the points in each pixel, without those outside of the image: (H, W)."""
    width, height = size
    edges = (np.arange(height + 1), np.arange(width + 1))
    counts: Floats = np.histogram2d(xy[:, 1], xy[:, 0], bins=edges)[0]
    return counts


def _blur(counts: Floats) -> Floats:
    """Smooth with a Gaussian of four standard deviations, over the edges of the image: (H, W)."""
    reach = round(4 * _BLUR_PX)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _BLUR_PX) ** 2)
    weights /= weights.sum()
    for _axis in range(2):
        lines = [np.convolve(line, weights)[reach : reach + len(line)] for line in counts]
        counts = np.stack(lines, axis=-1)  # turned: the second time over the columns, and back
    return counts


def _mute(image: Image.Image) -> None:
    """Make an image grey and dark, in place."""
    grey = image.convert("L").convert("RGB")
    image.paste(Image.blend(grey, Image.new("RGB", image.size, DARK), _MUTED))
