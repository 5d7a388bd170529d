"""Objects counted by polygons: numbers by class, densities, scores and sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.counting.examined_parts import ExaminedParts, find_examined_parts
from geodet.counting.found_objects import FoundObjects
from geodet.counting.intervals import Estimator
from geodet.errors import VectorError
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.full_turns import full_turn
from geodet.geometry.ground_area import ground_areas
from geodet.geometry.reprojection import only_polygons
from geodet.vector.examined_ground import ExaminedGround
from geodet.vector.vector_files import read_frame

__all__ = [
    "FIGURES",
    "CountedPolygons",
    "Polygons",
    "check_attributes",
    "count_in_polygons",
    "count_pairs",
    "examine",
    "read_polygons",
    "without_unseen",
]

_QUANTILES = (0.1, 0.5, 0.9)
_SQUARE_METRES = 10_000.0  # of a hectare
_AREAS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
_ESTIMATES = ("estimate", "estimate_low", "estimate_high")

FIGURES = (
    *("objects", "examined_share", "area_ha", "per_ha"),
    *("score_mean", "score_p10", "score_p50", "score_p90"),
    *("size_m2_mean", "size_m2_p10", "size_m2_p50", "size_m2_p90"),
    *_ESTIMATES,
)
"""The columns of counts, apart from those of each class."""


@dataclass(frozen=True, slots=True)
class Polygons:
    """M polygons of a vector file, which may overlap and have holes."""

    path: Path
    """The file, for messages."""
    shapes: NDArray[np.object_]
    """(M,) valid polygons and multipolygons."""
    crs: CRS | None
    """Theirs."""
    attributes: Any
    """A DataFrame of M rows: the attributes of each in the file."""

    def without_attributes(self) -> Polygons:
        """Return the polygons alone."""
        return replace(self, attributes=self.attributes.iloc[:, :0])

    def select(self, which: NDArray[np.bool_]) -> Polygons:
        """Return the polygons of a mask."""
        rows = self.attributes[which].reset_index(drop=True)
        return replace(self, shapes=self.shapes[which], attributes=rows)

    @property
    def middle(self) -> float:
        """The x of the middle of their extent, 0 without any."""
        x1, _, x2, _ = shapely.total_bounds(self.shapes)
        return float(np.nan_to_num((x1 + x2) / 2))


@dataclass(frozen=True, slots=True)
class CountedPolygons:
    """The counts: a row for each polygon, and one for all of them together."""

    rows: Any
    """A DataFrame of M rows: the attributes of the polygons, then the figures."""
    total: Any
    """A DataFrame of one row with the figures; an object in several polygons counts once. With
    cells it covers the whole examined area, and has no area if that is unknown."""
    elsewhere: int
    """Objects in no polygon."""
    examined: ExaminedParts | None = None
    """The part of each polygon that was examined; None: unknown, and taken as all of it."""


def read_polygons(path: Path, field: str | None = None) -> Polygons:
    """Read polygons in any vector format and CRS; invalid ones are repaired.

    Args:
        path: A file with one layer, or ``FILE|layername=NAME``.
        field: The only attribute to keep; None: all.

    Raises:
        VectorError: The file cannot be read, has no polygon or other geometries, or lacks the
            field.
    """
    frame = read_frame(path).reset_index(drop=True)
    shapes = shapely.force_2d(frame.geometry.to_numpy())
    leaves = shapely.get_parts(shapely.get_parts(shapes))  # also of multipolygons in collections
    is_polygon = shapely.get_type_id(leaves) == shapely.GeometryType.POLYGON
    has_areas = is_polygon.any() or np.isin(shapely.get_type_id(shapes), _AREAS).any()
    if not has_areas or (~is_polygon & ~shapely.is_empty(leaves)).any():
        raise VectorError(
            f"{path} has geometries other than polygons" if len(shapes) else f"{path} is empty",
            hint="count by polygons, such as stands or districts; buffer points and lines first",
            path=path,
        )
    table = frame.drop(columns=frame.geometry.name)
    if field is not None and field not in table.columns:
        raise VectorError(
            f"{path} has no attribute {field!r}",
            hint=f"there are {', '.join(map(str, table.columns)) or 'no attributes'}",
            path=path,
        )
    kept = table if field is None else table[[field]]
    return Polygons(path, _repaired(shapes), frame.crs, kept)


def _repaired(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Repair shapes, and leave out the points and lines that repairs make of spikes."""
    whole = np.where(shapely.is_valid(shapes), shapes, shapely.make_valid(shapes))
    is_area = np.isin(shapely.get_type_id(whole), _AREAS)
    for row in np.flatnonzero(~shapely.is_missing(whole) & ~is_area):
        parts = only_polygons(whole[[row]])
        whole[row] = shapely.union_all(parts) if len(parts) else shapely.Polygon()
    return whole


def count_in_polygons(
    found: FoundObjects,
    polygons: Polygons,
    estimator: Estimator | None = None,
    ground: ExaminedGround | None = None,
) -> CountedPolygons:
    """Count the objects whose centres lie in each polygon or on its edge.

    Args:
        found: N objects.
        polygons: M polygons; an object counts in each that it lies in.
        estimator: Estimates the true counts; None: there are no estimates.
        ground: Where the objects were searched; None: everywhere, as far as is known.

    Returns:
        The columns ``objects``, ``objects_CLASS`` where there are several classes,
        ``examined_share`` where the ground is known, ``area_ha``, ``per_ha``, the mean and
        quantiles of ``score`` and ``size_m2`` as far as they are known, and ``estimate``,
        ``estimate_low``, ``estimate_high``. All of them are of the examined part of a polygon;
        without one, counts, densities and estimates are missing. A polygon without ground, whose
        geometry is missing or empty, has 0 objects and no estimate.

    Raises:
        VectorError: One of the two files has no CRS, or the polygons have a column of one of these
            names.
    """
    points = found.points_in(polygons.crs, polygons.middle, polygons.path)
    place, which = _find_pairs(polygons.shapes, points, full_turn(polygons.crs))
    examined, areas = examine(polygons.shapes, polygons.crs, ground)
    shares = None if examined is None else examined.shares
    figures = count_pairs(found, place, which, areas, estimator, shares)
    check_attributes(polygons, figures.columns)
    inside = np.unique(which)
    union = np.array([shapely.union_all(polygons.shapes)])
    is_whole = examined is not None and not (examined.is_unseen | examined.is_partial).any()
    both, area = examine(union, polygons.crs, None if is_whole else ground)
    share = np.ones(1) if is_whole else None if both is None else both.shares
    total = count_pairs(found, np.zeros_like(inside), inside, area, estimator, share)
    figures, total = _without_nowhere(figures, polygons.shapes), _without_nowhere(total, union)
    rows = pd.concat([polygons.attributes, figures], axis="columns")
    return CountedPolygons(rows, total, len(found) - len(inside), examined)


def _find_pairs(
    shapes: NDArray[np.object_], points: NDArray[np.object_], turn: float
) -> tuple[Ints, Ints]:
    """Find which points lie in which polygons, or on their edges.

    Points lie within one turn of the globe. Polygons may lie in several, such as one beyond 180
    degrees beside others at -180: each is also moved to where the points are.

    Args:
        shapes: (M,) polygons.
        points: (N,)
        turn: Full turn of the globe, in units of x; 0 where x does not repeat.

    Returns:
        (P,) the polygons, and (P,) the points in them; each pair once.
    """
    tree = shapely.STRtree(points)
    pairs = [tree.query(shapes, predicate="intersects")]
    west, _, east, _ = shapely.bounds(shapes).T
    x = shapely.get_x(points)
    x = x[np.isfinite(x)]
    for shift in (-turn, turn) if turn and len(x) else ():
        row = np.flatnonzero((east + shift >= x.min()) & (west + shift <= x.max()))
        if len(row):
            beside = shapely.transform(shapes[row], lambda xy, s=shift: xy + np.array([s, 0.0]))
            place, which = tree.query(beside, predicate="intersects")
            pairs.append(np.stack([row[place], which]))
    place, which = np.hstack(pairs)
    if len(pairs) > 1:  # the edges of a polygon around the globe meet
        place, which = np.divmod(np.unique(place * len(points) + which), len(points))
    return place, which


def examine(
    shapes: NDArray[np.object_], crs: CRS | None, ground: ExaminedGround | None
) -> tuple[ExaminedParts | None, Floats]:
    """Return the examined parts of polygons, None where they are not known, and their areas.

    Args:
        shapes: (M,) valid polygons.
        crs: Theirs.
        ground: Where objects were searched; None: unknown, the areas are of all.

    Returns:
        The parts, and (M,) square metres.
    """
    if ground is None:
        return None, ground_areas(shapes, crs)
    parts = find_examined_parts(shapes, crs, ground)
    return parts, parts.areas


def count_pairs(
    found: FoundObjects,
    place: Ints,
    which: Ints,
    areas: Floats,
    estimator: Estimator | None,
    shares: Floats | None = None,
) -> Any:
    """Count from pairs of a polygon and an object in it.

    Args:
        found: N objects.
        place: (P,) the number of the polygon of each pair.
        which: (P,) the object of each pair.
        areas: (M,) square metres of each polygon, of its examined part; NaN where unknown.
        estimator: Estimates the true counts; None: there are no estimates.
        shares: (M,) how much of each polygon was examined; None: unknown.

    Returns:
        A DataFrame of M rows with the columns of :func:`count_in_polygons`.
    """
    count = len(areas)
    objects = np.bincount(place, minlength=count)
    columns: dict[str, Any] = {"objects": objects}
    columns |= dict(_by_class(found, place, which, count))
    if shares is not None:
        columns |= {"examined_share": shares}
    if not count or np.isfinite(areas).any():
        hectares = areas / _SQUARE_METRES
        with np.errstate(invalid="ignore", divide="ignore"):
            density = np.where(hectares > 0, objects / hectares, np.nan)
        columns |= {"area_ha": hectares, "per_ha": density}
    for name, values in (("score", found.scores), ("size_m2", found.sizes)):
        if values is not None:
            columns |= dict(_summaries(name, values[which], place, count))
    if estimator is not None:
        estimate = estimator.estimate(objects)
        columns |= {"estimate": estimate.count}
        columns |= {"estimate_low": estimate.low, "estimate_high": estimate.high}
    table = pd.DataFrame(columns)
    return table if shares is None else without_unseen(table, (shares == 0) & (objects == 0))


def without_unseen(table: Any, is_unseen: NDArray[np.bool_]) -> Any:
    """Take counts and estimates away from rows of which nothing was examined: 0 would mean none.

    Args:
        table: A DataFrame of M rows; shares and areas stay.
        is_unseen: (M,) the rows.
    """
    if not is_unseen.any():
        return table
    counts = {
        name: table[name].astype("Int64")  # integers that may be missing
        for name in table.columns
        if pd.api.types.is_integer_dtype(table[name])
    }
    known = ("examined_share", "compared_share", "area_ha")
    return table.assign(**counts).apply(
        lambda column: column if column.name in known else column.mask(is_unseen)
    )


def _without_nowhere(table: Any, shapes: NDArray[np.object_]) -> Any:
    """Take the estimates away from rows without ground, which hold no object that was missed."""
    has_ground = (shapely.area(shapes) > 0) | table["objects"].gt(0).fillna(False).to_numpy(bool)
    names = [name for name in table.columns if name in _ESTIMATES]
    return table.assign(**{name: table[name].where(has_ground) for name in names})


def _by_class(
    found: FoundObjects, place: Ints, which: Ints, count: int
) -> Iterator[tuple[str, Ints]]:
    if len(found.classes) < 2:
        return
    for label, name in enumerate(found.classes):
        is_of = found.labels[which] == label
        yield f"objects_{name}", np.bincount(place[is_of], minlength=count)


def _summaries(
    name: str, values: Floats, place: Ints, count: int
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Compute the mean and the quantiles of each polygon; NaN where it has no object."""
    groups = pd.Series(values).groupby(place)
    yield f"{name}_mean", groups.mean().reindex(range(count)).to_numpy()
    table = groups.quantile(np.array(_QUANTILES)).unstack().reindex(range(count))
    for quantile in _QUANTILES:
        column = table[quantile] if quantile in table else pd.Series(np.nan, index=range(count))
        yield f"{name}_p{round(100 * quantile)}", column.to_numpy()


def check_attributes(polygons: Polygons, figures: Iterable[str]) -> None:
    """Check that no attribute of the polygons has the name of a figure that stands beside it.

    Raises:
        VectorError: One has.
    """
    for name in sorted(set(polygons.attributes.columns) & set(figures)):
        raise VectorError(
            f"{polygons.path} has a column {name!r}, a name that the counts use",
            hint="keep only one attribute with --field (field), or rename the column",
            path=polygons.path,
        )
