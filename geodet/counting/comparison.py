"""Objects of two dates, matched one to one: kept, gone and new."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from scipy.spatial import cKDTree

from geodet.counting.found_objects import FoundObjects
from geodet.evaluation.matching import MatchPairs, match
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.geobox import WGS_84, is_on_earth
from geodet.tilesets.class_names import join_names

__all__ = ["DateComparison", "match_dates"]


@dataclass(frozen=True, slots=True)
class DateComparison:
    """The objects of two dates: kept, gone and new."""

    before: FoundObjects
    """The N objects of the first date."""
    after: FoundObjects
    """The M objects of the second date, in the CRS of their file."""
    kept: tuple[Ints, Ints]
    """(K,) and (K,) the objects that are one, of the first and of the second date."""
    moved: Floats
    """(K,) metres between their centres; without a CRS in units of the coordinates."""
    gone: Ints
    """Objects of the first date only, where the second date was examined."""
    new: Ints
    """Objects of the second date only, where the first date was examined."""
    unseen: tuple[int, int]
    """Objects of each date where the other was not examined: neither gone nor new."""


def match_dates(
    before: FoundObjects,
    after: FoundObjects,
    *,
    distance: float,
    grounds: tuple[shapely.Geometry | None, shapely.Geometry | None] = (None, None),
) -> DateComparison:
    """Match the objects of two dates one to one, and tell what is gone and what is new.

    Two objects of one class may be one if their centres are at most a distance apart. As many are
    matched as possible, and of those choices the one with the least distances is taken. Classes are
    the same as :func:`geodet.tilesets.class_names.join_names` joins their names.

    Args:
        before: N objects.
        after: M objects, in any CRS.
        distance: Metres; without a CRS units of the coordinates.
        grounds: What each date examined, each in the CRS of its objects; None: everything.

    Raises:
        VectorError: One of the two files has no CRS.
    """
    places = _to_plane(before, after)
    pairs = _pairs(places, distance)
    joined = join_names(before.names, after.names)
    theirs = np.array([joined.get(name) for name in before.classes], object)[before.labels]
    names = np.array(after.classes, object)[after.labels]
    pairs = pairs.select(theirs[pairs.detection] == names[pairs.label])
    kept = match(pairs)
    moved = np.linalg.norm(places[0][kept[0]] - places[1][kept[1]], axis=1)
    lone = [
        np.setdiff1d(np.arange(len(found)), rows)
        for found, rows in zip((before, after), kept, strict=True)
    ]
    looked = [
        _lies_in(before.select(lone[0]), grounds[1], after),
        _lies_in(after.select(lone[1]), grounds[0], before),
    ]
    gone, new = (rows[there] for rows, there in zip(lone, looked, strict=True))
    unseen = (len(lone[0]) - len(gone), len(lone[1]) - len(new))
    return DateComparison(before, after, kept, moved, gone, new, unseen)


def _pairs(places: tuple[Floats, Floats], distance: float) -> MatchPairs:
    """Find all pairs that are close enough."""
    if not all(map(len, places)):
        return MatchPairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    trees = [cKDTree(place) for place in places]
    table = trees[0].sparse_distance_matrix(trees[1], distance, output_type="ndarray")
    return MatchPairs(
        table["i"].astype(np.int64), table["j"].astype(np.int64), table["v"] / max(distance, 1e-9)
    )


def _to_plane(before: FoundObjects, after: FoundObjects) -> tuple[Floats, Floats]:
    """Map the centres of both to one plane in metres: (N, 2) and (M, 2)."""
    crs = before.crs
    there = shapely.get_coordinates(after.points_in(crs, before.middle[0], before.path))
    if crs is None:
        return before.centres, there
    if not len(before) or not len(there):
        return before.centres, there
    if crs.geodetic_crs is None:  # a local grid is a plane
        metres = crs.axis_info[0].unit_conversion_factor
        return before.centres * metres, there * metres
    plane = _plane_around(crs, before.middle)
    transform = Transformer.from_crs(crs, plane, always_xy=True).transform
    here, there = (np.stack(transform(*xy.T), axis=-1) for xy in (before.centres, there))
    return here, there


def _plane_around(crs: CRS, middle: Floats) -> CRS:
    """Return a projection in metres that is true to distances from the middle of the objects."""
    degrees: CRS = WGS_84
    body: dict[str, str | float] = {"datum": "WGS84"}
    if not is_on_earth(crs):
        assert crs.geodetic_crs is not None
        assert crs.ellipsoid is not None
        degrees = crs.geodetic_crs
        body = {"a": crs.ellipsoid.semi_major_metre, "b": crs.ellipsoid.semi_minor_metre}
    longitude, latitude = Transformer.from_crs(crs, degrees, always_xy=True).transform(*middle)
    plane = {"proj": "aeqd", "lat_0": latitude, "lon_0": longitude, "units": "m"}
    return CRS.from_dict(plane | body)


def _lies_in(
    found: FoundObjects, ground: shapely.Geometry | None, other: FoundObjects
) -> NDArray[np.bool_]:
    """Whether objects lie on the ground that the other date examined: (N,)."""
    if ground is None or not len(found):
        return np.ones(len(found), np.bool_)
    if ground.is_empty:
        return np.zeros(len(found), np.bool_)
    middle = float(ground.centroid.x)
    points = found.points_in(other.crs, middle, other.path)
    shapely.prepare(ground)
    return np.asarray(shapely.intersects(ground, points), np.bool_)
