"""The columns that oriented boxes have besides those of all boxes."""

from __future__ import annotations

import math

import numpy as np

from geodet.geometry.arrays import Floats
from geodet.geometry.boxes import Detections
from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import oriented_of_boxes, with_longer_side_first
from geodet.photographs.photograph import Photograph

__all__ = ["ORIENTED_FIELDS", "measure_oriented", "oriented_from_fields"]

_IN_PIXELS = ("length_px", "width_px", "angle_px")
ORIENTED_FIELDS = (*_IN_PIXELS, "length_m", "width_m", "azimuth")
"""Longer and shorter side, and degrees of the longer one from right towards down, in pixels of the
scene; then the sides in metres, and degrees of the longer one clockwise from true north."""


def measure_oriented(
    found: Detections, geobox: GeoBox, photograph: Photograph | None = None
) -> dict[str, Floats]:
    """Compute the columns of oriented boxes; of axis-aligned ones, those of the boxes.

    Args:
        found: N detections in the pixels of a scene.
        geobox: The scene's.
        photograph: The scene, where it is one.

    Returns:
        (N,) values of each of :data:`ORIENTED_FIELDS`. Angles are in [-90, 90) and azimuths in
        [0, 180); what is measured on the ground is NaN without a CRS.
    """
    rows = oriented_of_boxes(found.boxes) if found.oriented is None else found.oriented
    along, across = (_side(rows, turn, geobox, photograph) for turn in (0.0, np.pi / 2))
    azimuth = np.degrees(np.arctan2(*along.T)) % 180
    lengths = rows[:, 2] * np.hypot(*along.T), rows[:, 3] * np.hypot(*across.T)
    columns = rows[:, 2], rows[:, 3], np.degrees(rows[:, 4]), *lengths, azimuth
    return dict(zip(ORIENTED_FIELDS, columns, strict=True))


def _side(rows: Floats, turn: float, geobox: GeoBox, photograph: Photograph | None) -> Floats:
    """Return metres east and north for a pixel along boxes, turned by an angle: (N, 2)."""
    step = np.stack([np.cos(rows[:, 4] + turn), np.sin(rows[:, 4] + turn)], axis=-1)
    if photograph is None:
        ground: Floats = np.einsum("nij,nj->ni", geobox.ground_matrices(rows[:, :2]), step)
        return ground
    if photograph.view is not None:
        ends = [photograph.view.to_metres(rows[:, :2] + way * step / 2) for way in (-1, 1)]
        return ends[1] - ends[0]
    # Of a photograph without a pose only the size of a pixel is known: its azimuths mean nothing.
    gsd = math.nan if photograph.gsd_m is None else photograph.gsd_m
    return gsd * step


def oriented_from_fields(sides: Floats, columns: dict[str, Floats]) -> Floats | None:
    """Return the oriented boxes of rows that were written; None where the columns are missing.

    Args:
        sides: (N, 4) bounds in pixels.
        columns: Values of the fields that a file has.
    """
    if not set(_IN_PIXELS) <= set(columns):
        return None
    length, width, degrees = (columns[name].astype(np.float64) for name in _IN_PIXELS)
    centre = (sides[:, :2] + sides[:, 2:]) / 2
    return with_longer_side_first(np.column_stack([centre, length, width, np.radians(degrees)]))
