"""Pairs of boxes on the ground, one of them new and the other one in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from geodet.geometry.arrays import Floats, Ints

__all__ = ["GroundPairs"]


@dataclass(frozen=True, slots=True)
class GroundPairs:
    """P pairs of boxes of one class in two scenes, which may show the same object.

    In each pair the first box is new, and the second one is in the file.
    """

    ids: Ints
    """(P, 2) identifiers, each unique among the new boxes or among those in the file."""
    scores: Floats
    """(P, 2) scores."""
    scenes: NDArray[Any]
    """(P, 2) names of the scenes."""
    shapes: NDArray[Any]
    """(P, 2) polygons in one CRS."""
