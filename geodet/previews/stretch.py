"""Stretch the values of a scene to the brightness of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats
from geodet.raster.chip import Chip

__all__ = ["Stretch"]

_PERCENTILES = (2, 98)  # as in QGIS


@dataclass(frozen=True, slots=True)
class Stretch:
    """The values of each band that are shown as black and as full brightness."""

    low: Floats
    """(C,) values shown as 0."""
    high: Floats
    """(C,) values shown as 255."""

    @staticmethod
    def of(chip: Chip) -> Stretch:
        """Return the percentiles 2 and 98 of the valid values; 0 and 255 of bytes, as they are.

        Args:
            chip: Its first three bands are red, green and blue; the first alone is shown of fewer.
        """
        bands = _shown_bands(chip)
        if bands.dtype == np.uint8 or not chip.valid.any():
            return Stretch(np.zeros(len(bands)), np.full(len(bands), 255.0))
        values = bands[:, chip.valid].astype(np.float64)
        low, high = np.percentile(values, _PERCENTILES, axis=1)
        return Stretch(low, high)

    def to_rgb(self, chip: Chip) -> NDArray[np.uint8]:
        """Return the first three bands, or three times the first one: (H, W, 3)."""
        bands = _shown_bands(chip)
        if bands.dtype != np.uint8:
            bands = np.stack([self._stretched(number, chip) for number in range(len(bands))])
        rgb: NDArray[np.uint8] = np.ascontiguousarray(
            np.broadcast_to(bands, (3, *bands.shape[1:])).transpose(1, 2, 0)
        )
        return rgb

    def _stretched(self, number: int, chip: Chip) -> NDArray[np.uint8]:
        """Map a band to 0 to 255, and pixels without data to 0: (H, W)."""
        low, high = self.low[number], self.high[number]
        values = np.where(chip.valid, chip.pixels[number], low).astype(np.float64)
        above = np.clip(values, low, high) - low
        stretched: NDArray[np.uint8] = (
            (255 * above / max(high - low, 1e-300)).round().astype(np.uint8)
        )
        return stretched


def _shown_bands(chip: Chip) -> NDArray[Any]:
    return chip.pixels[:3] if len(chip.pixels) >= 3 else chip.pixels[:1]
