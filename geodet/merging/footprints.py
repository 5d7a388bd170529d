"""The places of scenes on the ground, and which of them overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from pyproj import CRS

from geodet.errors import VectorError
from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.full_turns import turns_together
from geodet.geometry.geobox import GeoBox, find_transformer

__all__ = ["Footprints", "find_footprints", "is_meeting"]

_SIDE = 21  # points along a side that stand for a scene of another CRS
_MARGIN = 0.02  # of the longer side, for the curves between them


@dataclass(frozen=True, slots=True)
class Footprints:
    """The footprints of S scenes in the CRS of a layer."""

    geoboxes: tuple[GeoBox, ...]
    """Geoboxes of the scenes."""
    crs: CRS | None
    """CRS of the layer."""
    extents: Floats
    """(S, 4) x1 y1 x2 y2, not finite where the CRS is not defined for the whole scene."""
    shifts: Floats
    """(S,) added to x, so that scenes on both sides of the antimeridian lie together."""
    neighbours: tuple[Ints, ...]
    """For each scene, the numbers of those that may show the same ground, ascending."""

    def place(self, scene: int, pixels: Floats) -> Floats:
        """Place the corners of the boxes of a scene on the ground.

        Args:
            scene: Number of the scene.
            pixels: (N, 4, 2) corners in the scene's pixels.

        Returns:
            (N, 4, 2) corners; not finite where the CRS is not defined.
        """
        corners = self.geoboxes[scene].to_world(pixels, self.crs)
        corners[..., 0] += self.shifts[scene]
        return corners

    def is_upright(self, scene: int) -> bool:
        """Whether the boxes of a scene are axis-aligned in the CRS of the layer."""
        geobox = self.geoboxes[scene]
        return not geobox.needs_transformation(self.crs) and geobox.transform.is_rectilinear


def find_footprints(geoboxes: Sequence[GeoBox], crs: CRS | None) -> Footprints:
    """Find where scenes lie and which of them overlap, in a time that grows with the overlaps.

    Scenes that only touch do not overlap. Scenes without a georeference all begin at (0, 0) and
    overlap none, nor do those of another planet, or of a local grid that the CRS is not.

    Args:
        geoboxes: Geoboxes of the scenes.
        crs: CRS of the layer; None: the scenes have none.
    """
    is_there = [_is_transformable(geobox, crs) for geobox in geoboxes]
    extents = np.full((len(geoboxes), 4), np.nan)
    for scene in np.flatnonzero(is_there).tolist():
        extents[scene] = _extent(geoboxes[scene], crs)
    shifts = _turns(extents, crs)
    extents[:, [0, 2]] += shifts[:, None]
    unplaced = np.array([geobox.is_in_pixels for geobox in geoboxes], bool)
    unplaced |= ~np.array(is_there, bool)
    return Footprints(
        tuple(geoboxes), crs, extents, shifts, tuple(_list_neighbours(extents, unplaced))
    )


def _is_transformable(geobox: GeoBox, crs: CRS | None) -> bool:
    """Whether there is a transformation from the CRS of a scene to another."""
    if crs is None or geobox.crs is None or not geobox.needs_transformation(crs):
        return True
    try:
        find_transformer(geobox.crs, crs)
    except VectorError:
        return False
    return True


def is_meeting(bounds: Floats, extent: Floats) -> Bools:
    """Whether bounds overlap a footprint.

    Args:
        bounds: (N, 4); infinite ones share none.
        extent: (4,), or (N, 4); one that is not finite may lie anywhere.
    """
    left, top, right, bottom = ours = np.moveaxis(bounds, -1, 0)
    x1, y1, x2, y2 = theirs = np.moveaxis(extent, -1, 0)
    shares = (left < x2) & (top < y2) & (right > x1) & (bottom > y1)
    return np.asarray(_are_finite(ours) & (shares | ~_are_finite(theirs)), np.bool_)


def _are_finite(sides: Floats) -> Bools:
    """Whether all of (4, ...) sides are finite: (...); a reduction over a last axis is slow."""
    left, top, right, bottom = np.isfinite(sides)
    return np.asarray(left & top & right & bottom, np.bool_)


def _extent(geobox: GeoBox, crs: CRS | None) -> Floats:
    """Return the bounds of a scene: (4,). All its boxes lie within."""
    is_bent = geobox.needs_transformation(crs)
    grid = _unit_grid(_SIDE if is_bent else 2) * np.array([geobox.width, geobox.height])
    world = geobox.to_world(grid, crs)
    low, high = world.min(axis=0), world.max(axis=0)
    margin = _MARGIN * (high - low).max() if is_bent else 0.0
    return np.hstack([low - margin, high + margin])


@lru_cache
def _unit_grid(side: int) -> Floats:
    """Return places that are evenly spread over a unit square: (side * side, 2)."""
    steps = np.linspace(0, 1, side)
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)


def _turns(extents: Floats, crs: CRS | None) -> Floats:
    """Return what to add to x so that all scenes lie beyond the widest gap between them: (S,)."""
    return turns_together(extents[:, [0, 2]], crs)[:, 0]


def _list_neighbours(extents: Floats, unplaced: Bools) -> list[Ints]:
    """List of each scene those that it shares an area with."""
    known = np.asarray(np.isfinite(extents).all(axis=1), np.bool_)
    places = extents.copy()
    if known.any():  # what may lie anywhere lies over all of them
        places[~known] = [*extents[known, :2].min(axis=0), *extents[known, 2:].max(axis=0)]
    else:
        places[:] = [0.0, 0.0, 1.0, 1.0]
    boxes = shapely.box(*places.T)
    one, other = shapely.STRtree(boxes).query(boxes)
    meets: Bools = is_meeting(places[one], extents[other]) | ~known[one]
    meets = meets & (one != other) & ~unplaced[one] & ~unplaced[other]
    one, other = one[meets], other[meets]
    order = np.lexsort((other, one))
    ends = np.cumsum(np.bincount(one, minlength=len(extents)))[:-1]
    return np.split(other[order].astype(np.int64), ends)
