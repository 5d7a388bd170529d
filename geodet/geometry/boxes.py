"""Boxes and detections as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats
from geodet.geometry.oriented_boxes import (
    cut_oriented,
    hulls,
    map_oriented,
    oriented_corners,
    oriented_of_boxes,
    shared_areas,
)

__all__ = ["Detections", "box_corners", "comparable", "paired_iou"]

_ORIENTED = 9  # columns: bounds and oriented boxes


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
    oriented: Floats | None = None
    """(N, 5) float64, cx cy length width angle, whose bounds ``boxes`` are; see
    :mod:`geodet.geometry.oriented_boxes`. None: the boxes are axis-aligned."""

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "boxes", np.asarray(self.boxes, np.float64).reshape(-1, 4))
        set_(self, "scores", np.asarray(self.scores, np.float32).reshape(-1))
        set_(self, "labels", np.asarray(self.labels, np.int64).reshape(-1))
        if not len(self.boxes) == len(self.scores) == len(self.labels):
            lengths = f"{len(self.boxes)}, {len(self.scores)} and {len(self.labels)}"
            raise ValueError(f"boxes, scores and labels have {lengths} rows")
        if self.oriented is not None:
            set_(self, "oriented", np.asarray(self.oriented, np.float64).reshape(-1, 5))
            if len(self.oriented) != len(self.boxes):
                counts = f"{len(self.oriented)} and {len(self.boxes)}"
                raise ValueError(f"oriented boxes and their bounds have {counts} rows")

    @staticmethod
    def of_oriented(
        oriented: Floats, scores: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> Detections:
        """Return detections with oriented boxes, and with the bounds of these as boxes."""
        return Detections(hulls(oriented), scores, labels, oriented)

    @staticmethod
    def of_shapes(
        shapes: Floats, scores: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> Detections:
        """Return the detections whose :attr:`shapes` these are."""
        oriented = shapes[:, 4:] if shapes.shape[1] == _ORIENTED else None
        return Detections(shapes[:, :4], scores, labels, oriented)

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
            _concatenate_oriented(parts),
        )

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def centres(self) -> Floats:
        """(N, 2) centres of the boxes."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    def select(self, which: NDArray[Any] | slice) -> Detections:
        """Keep rows by mask, by index or by a slice."""
        turned = None if self.oriented is None else self.oriented[which]
        return Detections(self.boxes[which], self.scores[which], self.labels[which], turned)

    def shifted(self, x: float, y: float) -> Detections:
        """Move every box, for example from a chip to its scene."""
        turned = None if self.oriented is None else self.oriented + np.array([x, y, 0, 0, 0])
        return Detections(self.boxes + np.array([x, y, x, y]), self.scores, self.labels, turned)

    def scaled(self, x: float, y: float) -> Detections:
        """Multiply every box, for example from a resampled grid to the scene's own."""
        if self.oriented is None:
            return Detections(self.boxes * np.array([x, y, x, y]), self.scores, self.labels)
        turned = map_oriented(self.oriented, np.diag([x, y]))
        return Detections.of_oriented(turned, self.scores, self.labels)

    def clipped(self, width: float, height: float) -> Detections:
        """Cut every box to ``[0, width] x [0, height]``.

        An oriented box keeps its angle, and its corners may lie beyond the frame; see
        :func:`geodet.geometry.oriented_boxes.cut_oriented`.
        """
        if self.oriented is not None:
            cut = cut_oriented(self.oriented, width, height)
            return Detections.of_oriented(cut, self.scores, self.labels)
        bounds = np.array([width, height, width, height])
        return Detections(np.clip(self.boxes, 0, bounds), self.scores, self.labels)

    @property
    def shapes(self) -> Floats:
        """(N, 4) boxes; or (N, 9), bounds and oriented boxes side by side."""
        return self.boxes if self.oriented is None else np.hstack([self.boxes, self.oriented])

    @property
    def corners(self) -> Floats:
        """(N, 4, 2) corners of the boxes, in the order of :func:`box_corners`."""
        return box_corners(self.boxes) if self.oriented is None else oriented_corners(self.oriented)

    @property
    def areas(self) -> Floats:
        """(N,) areas of the boxes in square pixels."""
        return _area(self.boxes) if self.oriented is None else self.oriented[:, 2:4].prod(axis=1)

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


def _concatenate_oriented(parts: Sequence[Detections]) -> Floats | None:
    """Join the oriented boxes; those of a part without any are its boxes."""
    if all(part.oriented is None for part in parts):
        return None
    return np.concatenate(
        [oriented_of_boxes(p.boxes) if p.oriented is None else p.oriented for p in parts]
    )


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
        a: (N, 4) boxes, or any shape (..., 4); or (..., 9) :attr:`Detections.shapes`.
        b: As many boxes of the same frame, or a shape that broadcasts with that of ``a``.

    Returns:
        (N,) in [0, 1]; 0 where both boxes are empty.

    Example:
        >>> paired_iou(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]])).round(3).tolist()
        [0.333]
    """
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., 2:4], b[..., 2:4])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    if a.shape[-1] == _ORIENTED:
        one, other = np.broadcast_arrays(a[..., 4:], b[..., 4:])
        shared = _shared_where_bounds_meet(one, other, shared)
    union = _area(a) + _area(b) - shared
    iou: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def comparable(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return two sets of boxes as they are compared: by bounds unless both are oriented.

    Args:
        a: (N, 4), or (N, 9) :attr:`Detections.shapes`.
        b: (M, 4) or (M, 9).
    """
    return (a, b) if a.shape[-1] == b.shape[-1] else (a[..., :4], b[..., :4])


def _shared_where_bounds_meet(a: Floats, b: Floats, shared: Floats) -> Floats:
    """Compute the areas that (..., 5) oriented boxes share from those of their bounds."""
    meets = shared > 0
    found = np.zeros_like(shared)
    found[meets] = shared_areas(a[meets], b[meets])
    return found


def _area(boxes: Floats) -> Floats:
    if boxes.shape[-1] == _ORIENTED:
        return np.asarray(boxes[..., 6] * boxes[..., 7])
    sides: Floats = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None)
    return sides[..., 0] * sides[..., 1]
