"""A chip as an image for the eye."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geodet.scene import Chip

__all__ = ["to_image"]

Bytes = NDArray[np.uint8]

_ENLARGED_SIDE = 1024
"""Smaller images are enlarged by a whole factor up to this side."""


def to_image(chip: Chip, max_side: int) -> Image.Image:
    """Make an image of a chip, enlarged by a whole factor if it is small.

    The first three bands are red, green and blue, a single one is grey; values that are not uint8
    are stretched between their percentiles 2 and 98. Light checkers stand for no data.

    Args:
        chip: What to show.
        max_side: The longest side that an enlarged image may have, in pixels.
    """
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
