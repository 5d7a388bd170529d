"""The layer that detections are written to."""

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
    """Properties of a layer that a writer needs before the first detection."""

    path: Path
    """The output."""
    classes: tuple[str, ...]
    """Names of the classes, by label."""
    crs: CRS | None
    """Of the coordinates."""
    metadata: Mapping[str, str]
    """Texts on how the layer was made."""
    geometry: Geometry = "box"
    """``box``, polygons, or ``centroid``, points."""
    append: bool = False
    """Whether the rows are added to those that ``path`` holds, if it is there."""


def crs_text(crs: CRS) -> str:
    """Return the authority's code of a CRS where that is certain, or else its WKT."""
    authority = crs.to_authority(min_confidence=100)
    return ":".join(authority) if authority else str(crs.to_wkt())
