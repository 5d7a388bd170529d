"""A chip: the pixels of one window of a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.windows import Window

__all__ = ["Chip"]


@dataclass(frozen=True, slots=True)
class Chip:
    """The pixels of one window."""

    window: Window
    """The window of the chip in its scene's grid."""
    pixels: NDArray[Any]
    """(C, H, W) in the scene's own dtype and units."""
    valid: NDArray[np.bool_]
    """(H, W), True where there is data."""
