"""What is written: the detections of scenes, and the layer that they become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyproj import CRS

from geodet.vector.formats import Geometry

__all__ = ["LAYER", "VectorLayer", "crs_text"]

LAYER = "detections"
"""The layer's name, in formats where it has one."""


@dataclass(frozen=True, slots=True)
class VectorLayer:
    """What a writer must know before the first detection."""

    path: Path
    """Where the finished file will be."""
    classes: tuple[str, ...]
    """Names of the classes, by label."""
    crs: CRS | None
    """Of the coordinates."""
    metadata: Mapping[str, str]
    """Texts on how the layer was made."""
    geometry: Geometry = "box"
    """What is drawn of each object."""
    append: bool = False
    """Whether the rows are added to those that ``path`` holds, if it is there."""


def crs_text(crs: CRS) -> str:
    """Name a CRS by its authority where that is certain, or else describe it in WKT."""
    authority = crs.to_authority(min_confidence=100)
    return ":".join(authority) if authority else str(crs.to_wkt())
