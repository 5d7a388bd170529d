"""Objects as a shading, where they are too many for dots."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from geodet.boxes import Detections
from geodet.palette import DARK, Colour, class_colour

__all__ = ["draw_density", "is_crowded"]

Floats = NDArray[np.float64]
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
