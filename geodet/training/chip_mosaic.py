"""Compose a training chip of parts of four crops, as in the training of YOLOv4.

Reference:
    Bochkovskiy et al. 2020, arXiv:2004.10934, section 3.3, "Mosaic". There the four images are
    reduced; here each part keeps its scale, since small objects would be lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geodet.geometry.arrays import Bools
from geodet.training.augmentation import Frame
from geodet.training.losses import Target

__all__ = ["ChipMosaic"]

_NEAREST, _FARTHEST = 0.3, 0.7  # shares of the chip, between which its parts meet


class ChipMosaic:
    """A chip whose four parts are filled one after another.

    Args:
        size: Side of the chip in pixels.
        random: Draws where the parts meet.
    """

    def __init__(self, size: int, random: np.random.Generator) -> None:
        x, y = (random.uniform(_NEAREST, _FARTHEST, 2) * size).astype(int).tolist()
        self._size = size
        self._frames = [(0, 0, x, y), (x, 0, size, y), (0, y, x, size), (x, y, size, size)]
        self._parts: list[tuple[NDArray[Any], Bools, Target]] = []

    @property
    def is_complete(self) -> bool:
        """Whether all parts are filled."""
        return len(self._parts) == len(self._frames)

    @property
    def frame(self) -> Frame:
        """The part that comes next."""
        return self._frames[len(self._parts)]

    def add(self, pixels: NDArray[Any], valid: Bools, target: Target) -> None:
        """Fill the next part with the same part of a crop.

        Args:
            pixels: (C, size, size) of the crop.
            valid: (size, size) whether each is valid.
            target: The labels within :attr:`frame`, in pixels of the crop.
        """
        x1, y1, x2, y2 = self.frame
        self._parts.append((pixels[:, y1:y2, x1:x2], valid[y1:y2, x1:x2], target))

    def join(self) -> tuple[NDArray[Any], Bools, Target]:
        """Return the pixels, whether each is valid, and the labels of the complete chip."""
        pixels, valid, targets = zip(*self._parts, strict=True)
        oriented = [target.oriented for target in targets if target.oriented is not None]
        target = Target(
            torch.cat([target.boxes for target in targets]),
            torch.cat([target.labels for target in targets]),
            torch.cat([target.ignored for target in targets]),
            torch.cat(oriented) if oriented else None,
        )
        return _joined(pixels), _joined(valid), target


def _joined(parts: tuple[NDArray[Any], ...]) -> NDArray[Any]:
    first, second, third, fourth = parts
    above, below = (np.concatenate(row, axis=-1) for row in ((first, second), (third, fourth)))
    return np.ascontiguousarray(np.concatenate([above, below], axis=-2))
