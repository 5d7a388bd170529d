"""Boxes and detections as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats

__all__ = ["Detections", "box_corners", "paired_iou"]


@dataclass(frozen=True, slots=True)
class Detections:
    """Objects found, in any one pixel frame (chip or scene).

    Boxes are float64 although the network gives float32: in a scene of 200,000 px a float32 step
    is 1/64 px, an error that stays in the world coordinates. Empty is a value, never None.

    Raises:
        ValueError: The arrays do not have the same length.

    Example:
        >>> found = Detections(np.array([[0.0, 0, 4, 2]]), np.array([0.9]), np.array([0]))
        >>> found.shifted(10, 20).centres.tolist()
        [[12.0, 21.0]]
        >>> len(Detections.empty())
        0
    """

    boxes: Floats
    """(N, 4) float64, x1 y1 x2 y2 in continuous pixel coordinates."""
    scores: NDArray[np.float32]
    """(N,) float32 in [0, 1]."""
    labels: NDArray[np.int64]
    """(N,) int64, index of the class."""

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "boxes", np.asarray(self.boxes, np.float64).reshape(-1, 4))
        set_(self, "scores", np.asarray(self.scores, np.float32).reshape(-1))
        set_(self, "labels", np.asarray(self.labels, np.int64).reshape(-1))
        if not len(self.boxes) == len(self.scores) == len(self.labels):
            lengths = f"{len(self.boxes)}, {len(self.scores)} and {len(self.labels)}"
            raise ValueError(f"boxes, scores and labels have {lengths} rows")

    @staticmethod
    def empty() -> Detections:
        """Return no detections."""
        return Detections(np.zeros((0, 4)), np.zeros(0, np.float32), np.zeros(0, np.int64))

    @staticmethod
    def concatenate(parts: Sequence[Detections]) -> Detections:
        """Join detections of one frame, in order."""
        if not parts:
            return Detections.empty()
        return Detections(
            np.concatenate([p.boxes for p in parts]),
            np.concatenate([p.scores for p in parts]),
            np.concatenate([p.labels for p in parts]),
        )

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def centres(self) -> Floats:
        """(N, 2) centres of the boxes."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    def select(self, which: NDArray[Any] | slice) -> Detections:
        """Keep rows by mask, by index or by a slice."""
        return Detections(self.boxes[which], self.scores[which], self.labels[which])

    def shifted(self, x: float, y: float) -> Detections:
        """Move every box, for example from a chip to its scene."""
        return Detections(self.boxes + np.array([x, y, x, y]), self.scores, self.labels)

    def scaled(self, x: float, y: float) -> Detections:
        """Multiply every box, for example from a resampled grid to the scene's own."""
        return Detections(self.boxes * np.array([x, y, x, y]), self.scores, self.labels)

    def clipped(self, width: float, height: float) -> Detections:
        """Cut every box to ``[0, width] x [0, height]``."""
        bounds = np.array([width, height, width, height])
        return Detections(np.clip(self.boxes, 0, bounds), self.scores, self.labels)

    def ranked(self) -> Detections:
        """Sort by score, then top to bottom, left to right, then class: the order of results."""
        return self.select(self.ranking())

    def ranking(self, *last: NDArray[Any]) -> NDArray[np.int64]:
        """Return the rows in the order of :meth:`ranked`: (N,); more (N,) keys break ties."""
        order = np.argsort(-self.scores)  # far faster than by all keys, which only ties need
        scores = self.scores[order]
        same = np.concatenate([[False], scores[1:] == scores[:-1], [False]])
        tied = np.flatnonzero(same[1:] | same[:-1])
        rows = order[tied]
        x1, y1, x2, y2 = self.boxes[rows].T
        keys = (*(key[rows] for key in last), self.labels[rows], y2, x2, x1, y1, -scores[tied])
        order[tied] = rows[np.lexsort(keys)]
        return order


def box_corners(boxes: Floats) -> Floats:
    """Return the corners of boxes: upper left, upper right, lower right, lower left.

    Args:
        boxes: (N, 4) x1 y1 x2 y2, with y down.

    Returns:
        (N, 4, 2), in the same frame.

    Example:
        >>> box_corners(np.array([[0.0, 1, 2, 3]])).tolist()
        [[[0.0, 1.0], [2.0, 1.0], [2.0, 3.0], [0.0, 3.0]]]
    """
    x1, y1, x2, y2 = boxes.T
    return np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=-1).reshape(-1, 4, 2)


def paired_iou(a: Floats, b: Floats) -> Floats:
    """Compute the intersection over union of each box with the one in the same row.

    Args:
        a: (N, 4) boxes, or any shape (..., 4).
        b: As many boxes of the same frame, or a shape that broadcasts with that of ``a``.

    Returns:
        (N,) in [0, 1]; 0 where both boxes are empty.

    Example:
        >>> paired_iou(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]])).round(3).tolist()
        [0.333]
    """
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., 2:], b[..., 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    union = _area(a) + _area(b) - shared
    iou: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def _area(boxes: Floats) -> Floats:
    sides: Floats = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None)
    return sides[..., 0] * sides[..., 1]
