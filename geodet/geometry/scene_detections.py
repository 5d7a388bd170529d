"""The detections of one scene, and the CRS that those of several scenes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyproj import CRS

from geodet.errors import OutputError, VectorError
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox, find_transformer

__all__ = ["SceneDetections", "common_crs"]


@dataclass(frozen=True, slots=True)
class SceneDetections:
    """The detections of one scene, or of a part of it."""

    scene: str
    """Name of the scene."""
    geobox: GeoBox
    """Geobox of the scene itself, not of a resampled grid."""
    detections: Detections
    """Boxes in the scene's own pixels."""


def common_crs(parts: Sequence[SceneDetections]) -> CRS | None:
    """Return the CRS of an output: that of the first scene.

    Raises:
        OutputError: Only some scenes have a CRS, or one has no transformation to the first one.
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
    crs = parts[0].geobox.crs
    for part in {one.geobox.crs: one for one in parts}.values():
        own = part.geobox.crs
        if crs is None or own is None or not part.geobox.needs_transformation(crs):
            continue
        try:
            find_transformer(own, crs)
        except VectorError as error:
            raise OutputError(
                f"{part.scene} is in {own.name}, which has no transformation to {crs.name}, the "
                f"CRS of {parts[0].scene}",
                hint="write them to files of their own",
            ) from error
    return crs
