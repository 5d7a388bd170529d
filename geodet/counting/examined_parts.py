"""The part of each polygon that was examined: only of it do counts say anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.documents.values import counted
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.ground_area import ground_areas
from geodet.vector.examined_ground import ExaminedGround

__all__ = ["ExaminedParts", "find_common_parts", "find_examined_parts"]

_SLIVER = 1e-4  # of an area: what the rounding of coordinates and of curves makes of a shared edge


@dataclass(frozen=True, slots=True)
class ExaminedParts:
    """The examined parts of M polygons."""

    shapes: NDArray[np.object_]
    """(M,) the parts; an empty polygon where there is none."""
    areas: Floats
    """(M,) square metres of the parts; NaN where those of the polygons are unknown."""
    shares: Floats
    """(M,) of each polygon, 0 to 1; NaN without an area."""

    @property
    def is_any(self) -> bool:
        """Whether any part of any polygon was examined."""
        return bool((self.shares > 0).any())

    @property
    def is_unseen(self) -> NDArray[np.bool_]:
        """(M,) True where no part was examined."""
        return np.asarray(self.shares == 0, np.bool_)

    @property
    def is_partial(self) -> NDArray[np.bool_]:
        """(M,) True where some part was examined, and some was not."""
        return np.asarray((self.shares > 0) & (self.shares < 1), np.bool_)

    def describe_gaps(self, noun: str, verb: str = "examined") -> str:
        """Describe how many polygons were not examined, or only in part; "" if there are none.

        Args:
            noun: What a polygon is, such as ``plot``.
            verb: What was done with the part.
        """
        total = len(self.shares)
        kinds = ((self.is_unseen, f"not {verb}"), (self.is_partial, f"{verb} only in part"))
        texts = []
        for which, how in kinds:
            if number := int(which.sum()):
                of = f"the only {noun}" if total == 1 else f"{number:,} of {counted(total, noun)}"
                texts.append(f"{of} {'was' if number == 1 else 'were'} {how}")
        return ", and ".join(texts)


def find_examined_parts(
    shapes: NDArray[np.object_], crs: CRS | None, ground: ExaminedGround
) -> ExaminedParts:
    """Cut polygons to the ground that was examined.

    A polygon of which less than 1 in 10,000 was examined counts as not examined, and one of which
    less than that is missing as examined: edges that are the same differ by so much once they are
    rounded, or mapped to another CRS. A polygon that is large beside the ground keeps its part.

    Args:
        shapes: (M,) valid polygons and multipolygons; some may be None or empty.
        crs: Theirs.
        ground: What was examined, in any CRS.

    Raises:
        VectorError: There is no transformation between the CRSs.
    """
    bounds = shapely.total_bounds(shapes) if len(shapes) else np.full(4, np.nan)
    pieces = ground.pieces_in(crs, np.array(bounds))
    on_ground = ground_areas(shapes, crs)
    whole = np.where(np.isfinite(on_ground), on_ground, shapely.area(shapes))
    is_inside, parts, owner = _cut(shapes, pieces)
    areas = np.where(is_inside, whole, 0.0)
    np.add.at(areas, owner, _measure(parts, crs))
    least = _SLIVER * np.fmin(whole, _measure(pieces, crs).sum())
    areas = np.where(areas >= whole * (1 - _SLIVER), whole, np.where(areas > least, areas, 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(whole > 0, areas / whole, np.nan)
    examined = np.where(shares == 1, shapes, shapely.Polygon())
    partial = np.flatnonzero((shares > 0) & (shares < 1))
    examined[partial] = _joined(parts, owner, partial)
    return ExaminedParts(examined, np.where(np.isfinite(on_ground), areas, np.nan), shares)


def find_common_parts(
    shapes: NDArray[np.object_], crs: CRS | None, grounds: Sequence[ExaminedGround]
) -> ExaminedParts:
    """Cut polygons to what lies on all of several grounds, as :func:`find_examined_parts` does.

    Args:
        shapes: (M,) valid polygons and multipolygons; some may be None or empty.
        crs: Theirs.
        grounds: At least one, each in any CRS.

    Raises:
        VectorError: There is no transformation between the CRSs.
    """
    parts = find_examined_parts(shapes, crs, grounds[0])
    for ground in grounds[1:]:
        common, parts = parts.shares, find_examined_parts(parts.shapes, crs, ground)
        parts = replace(parts, shares=np.where(common > 0, common * parts.shares, common))
    return parts


def _cut(
    shapes: NDArray[np.object_], pieces: NDArray[np.object_]
) -> tuple[NDArray[np.bool_], NDArray[np.object_], Ints]:
    """Cut shapes to pieces.

    Returns:
        (M,) whether a shape lies in a single piece, (P,) polygons that lie in one of the others
        and in a piece, and the shape of each of these polygons.
    """
    row, piece = shapely.STRtree(pieces).query(shapes, predicate="intersects")
    shapely.prepare(pieces)
    is_inside = np.zeros(len(shapes), np.bool_)
    is_inside[row[shapely.covers(pieces[piece], shapes[row])]] = True
    row, piece = row[~is_inside[row]], piece[~is_inside[row]]
    ours, theirs = shapes[row], pieces[piece]
    shapely.prepare(ours)  # a large one meets many pieces
    cut, across = theirs.copy(), ~shapely.covers(ours, theirs)
    cut[across] = shapely.intersection(ours[across], theirs[across])
    parts, owner = shapely.get_parts(cut, return_index=True)
    inner, nested = shapely.get_parts(parts, return_index=True)  # of a collection
    is_area = shapely.get_type_id(inner) == shapely.GeometryType.POLYGON
    return is_inside, inner[is_area], row[owner[nested[is_area]]]


def _joined(parts: NDArray[np.object_], owner: Ints, rows: Ints) -> list[shapely.Geometry]:
    """Join the parts of each of some shapes to one geometry."""
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], rows)
    ends = np.searchsorted(owner[order], rows, side="right")
    return [
        shapely.union_all(parts[order[start:end]])
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def _measure(shapes: NDArray[np.object_], crs: CRS | None) -> Floats:
    """Measure areas on the ground, or where that is not possible in units of the coordinates."""
    areas = ground_areas(shapes, crs)
    return np.where(np.isfinite(areas), areas, shapely.area(shapes))
