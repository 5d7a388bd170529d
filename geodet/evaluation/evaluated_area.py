"""Limit an evaluation to the part that was labelled."""

from __future__ import annotations

import math

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox
from geodet.tilesets.tile_inputs import LabelledArea, read_areas

__all__ = ["are_in_area"]


def are_in_area(
    area: LabelledArea | None, geobox: GeoBox, *boxes: Floats, has_extent: bool
) -> list[NDArray[np.bool_]]:
    """Whether the centres of boxes lie in an area.

    Args:
        area: The area; None: everything.
        geobox: The frame of the boxes.
        *boxes: Arrays (N, 4) of boxes in the pixels of the frame.
        has_extent: Whether the frame has a size, as that of a scene has; otherwise it is taken as
            large as the boxes need.

    Returns:
        (N,) bool for each array.

    Raises:
        VectorError: The area cannot be read, or meets none of the boxes' surroundings.
        ConfigError: The bounds are no rectangle.
    """
    if area is None:
        return [np.ones(len(part), np.bool_) for part in boxes]
    centres = [(part[:, :2] + part[:, 2:]) / 2 for part in boxes]
    origin = np.zeros(2)
    if not has_extent:
        geobox, origin = _around(geobox, np.concatenate(boxes))
    (aoi,) = read_areas(area, [geobox])
    if aoi is None:
        return [np.ones(len(part), np.bool_) for part in boxes]
    return [aoi.contains(np.where(np.isfinite(xy), xy - origin, -1e12)) for xy in centres]


def _around(geobox: GeoBox, boxes: Floats) -> tuple[GeoBox, Floats]:
    """Return a part of the plane of a geobox that holds all boxes, and where it begins."""
    finite = boxes[np.isfinite(boxes).all(axis=1)].reshape(-1, 2)
    if not len(finite):
        return geobox, np.zeros(2)
    low, high = np.floor(finite.min(axis=0)), finite.max(axis=0)
    width, height = (max(math.ceil(side), 1) for side in (high - low).tolist())
    moved = geobox.transform @ Affine.translation(*low)
    return GeoBox(width, height, moved, geobox.crs), low
