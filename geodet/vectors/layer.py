"""What is written: the detections of scenes, and the layer that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyproj import CRS

from geodet.boxes import Detections
from geodet.errors import OutputError
from geodet.geobox import GeoBox

__all__ = ["LAYER", "Geometry", "Layer", "SceneDetections", "common_crs", "crs_text"]

Geometry = Literal["box", "centroid"]

LAYER = "detections"
"""The layer's name, in formats where it has one."""


@dataclass(frozen=True, slots=True)
class SceneDetections:
    """What was found in one scene, or in a part of it."""

    scene: str
    """The file's name."""
    geobox: GeoBox
    """Of the scene itself, not of a resampled grid."""
    detections: Detections
    """Boxes in the scene's own pixels."""


@dataclass(frozen=True, slots=True)
class Layer:
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


def common_crs(parts: Sequence[SceneDetections]) -> CRS | None:
    """Choose the layer's CRS: the first scene's.

    Raises:
        OutputError: Only some scenes have a CRS.
        ValueError: There are no scenes.
    """
    if not parts:
        raise ValueError("there are no scenes to write detections of")
    bare = [part.scene for part in parts if part.geobox.crs is None]
    if bare and len(bare) < len(parts):
        raise OutputError(
            f"{len(bare)} of {len(parts)} scenes have no CRS, such as {bare[0]}",
            hint="write the scenes without a CRS to a file of their own",
        )
    return parts[0].geobox.crs


def crs_text(crs: CRS) -> str:
    """Name a CRS by its authority where that is certain, or else describe it in WKT."""
    authority = crs.to_authority(min_confidence=100)
    return ":".join(authority) if authority else str(crs.to_wkt())
