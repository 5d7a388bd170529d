"""Coordinates that repeat after a full turn of the globe, as longitudes do."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from geodet.geometry.arrays import Floats

__all__ = ["full_turn", "move_beside", "seam_between", "turns_together", "within_half_turn"]

_STEP = 30.0  # degrees between the places at which a projection is probed
_LATITUDES = (0.0, 45.0)


@lru_cache(maxsize=64)
def full_turn(crs: CRS | None) -> float:
    """Return after how many units x comes back to the same place, 0 where it does not.

    It does in geographic CRSs and in cylindrical projections, such as Web Mercator.

    Args:
        crs: A CRS; None: plain pixels.

    Example:
        >>> full_turn(CRS.from_epsg(4326)), round(full_turn(CRS.from_epsg(3857)))
        (360.0, 40075017)
        >>> full_turn(CRS.from_epsg(32633))
        0.0
    """
    if crs is None:
        return 0.0
    if crs.is_geographic:
        # 360 degrees as a rule, but 400 grads in some French and Belgian systems.
        return float(round(2 * np.pi / crs.axis_info[0].unit_conversion_factor, 6))
    return _measured_turn(crs) if crs.is_projected else 0.0


def _measured_turn(crs: CRS) -> float:
    """Return the turn of a projection whose x is linear in longitude, the same at any latitude."""
    longitudes = np.arange(-180.0, 180.0 + _STEP, _STEP)
    steps = []
    try:
        transformer = Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
        for latitude in _LATITUDES:
            x, _ = transformer.transform(longitudes, np.full_like(longitudes, latitude))
            with np.errstate(invalid="ignore"):  # infinite where the CRS has no place
                steps.append(np.diff(np.asarray(x)))
    except ProjError:
        return 0.0
    both = np.stack(steps)
    if not np.isfinite(both).all():
        return 0.0
    usual = float(np.median(both[0]))
    # One step may jump back over the seam of the projection.
    is_same = np.abs(both - usual) < 1e-6 * abs(usual)
    return abs(usual) * 360 / _STEP if is_same.sum(axis=1).min() >= both.shape[1] - 1 else 0.0


def within_half_turn(x: Floats, centre: Floats | float, turn: float) -> Floats:
    """Move coordinates by full turns to within half a turn of a centre.

    Args:
        x: Any shape; what is not finite stays as it is.
        centre: One for all, or one for each.
        turn: From :func:`full_turn`; 0 moves nothing.
    """
    if not turn:
        return x
    with np.errstate(invalid="ignore"):  # infinite where a CRS has no place
        turns = np.round((x - centre) / turn)
    moved: Floats = x - np.where(np.isfinite(turns), turns, 0.0) * turn
    return moved


def move_beside(xy: Floats, x: float, turn: float) -> Floats:
    """Move places (..., 2) by full turns to within half a turn of an x.

    Args:
        xy: Places, whose y stays.
        x: The x that the places are moved beside.
        turn: From :func:`full_turn`; 0 moves nothing.
    """
    return np.stack([within_half_turn(xy[..., 0], x, turn), xy[..., 1]], axis=-1)


def seam_between(x: Floats, turn: float) -> float:
    """Return the middle of the largest gap between places on the circle of a full turn.

    Places that are moved to between the seam and a full turn from it lie together, wherever they
    are on the globe.

    Args:
        x: (N,) coordinates, at least one.
        turn: From :func:`full_turn`, not 0.

    Example:
        >>> seam_between(np.array([179.0, -179.0, 178.0]), 360.0)
        -0.5
    """
    around = np.sort(np.mod(x, turn))
    gaps = np.diff(np.append(around, around[0] + turn))
    widest = int(gaps.argmax())
    return float(around[widest] + gaps[widest] / 2 - turn)


def turns_together(x: Floats, crs: CRS | None) -> Floats:
    """Return what to add to the x of shapes so that neighbours on the globe lie together.

    Nothing where they lie within half a turn already, as most do.

    Args:
        x: (N, V) x of the vertices of N shapes; a shape with one that is not finite is not moved.
        crs: CRS of the vertices; None: plain pixels.

    Returns:
        (N, 1) multiples of a full turn.

    Example:
        >>> x = np.array([[178.0, 179.0], [-179.0, -178.0]])
        >>> (x + turns_together(x, CRS.from_epsg(4326))).tolist()
        [[178.0, 179.0], [181.0, 182.0]]
    """
    shifts = np.zeros((len(x), 1))
    turn, known = full_turn(crs), np.isfinite(x).all(axis=1)
    if not turn or not known.any():
        return shifts
    middles = x[known].mean(axis=1)
    if np.ptp(middles) > turn / 2:
        turns = np.floor((middles - seam_between(middles, turn)) / turn)
        shifts[known, 0] = -turns * turn
    return shifts
