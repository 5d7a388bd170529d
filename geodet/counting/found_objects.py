"""Detections to be counted: where their centres lie, and what is known of each."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.errors import VectorError
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.full_turns import full_turn, turns_together, within_half_turn
from geodet.geometry.geobox import find_transformer
from geodet.tilesets.class_fields import read_label_names, read_names_of_detections
from geodet.tilesets.score_fields import check_score_range
from geodet.vector.antimeridian import join_at_antimeridian, make_objects_whole
from geodet.vector.vector_files import read_fields, read_frame

__all__ = ["FoundObjects", "check_crs", "read_found_objects"]

_logger = logging.getLogger(__name__)

_SIZE = "area_m2"
_CLASSES = ("label", "class", "name")


@dataclass(frozen=True, slots=True)
class FoundObjects:
    """N objects of a vector file."""

    path: Path
    """The file, for messages."""
    crs: CRS | None
    """CRS of the centres."""
    shapes: NDArray[np.object_]
    """(N,) points and polygons."""
    centres: Floats
    """(N, 2) x and y."""
    classes: tuple[str, ...]
    """The names, sorted."""
    labels: Ints
    """(N,) the place of each object's class."""
    scores: Floats | None
    """(N,); None if the file has none."""
    sizes: Floats | None
    """(N,) square metres, NaN where unknown; None if the file has none."""

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def middle(self) -> Floats:
        """The median of the centres, also where they lie around the antimeridian: (2,).

        0, 0 without any object.
        """
        if not len(self):
            return np.zeros(2)
        x, y = self.centres[:, :1], self.centres[:, 1]
        beside = x + turns_together(x, self.crs)
        return np.array([np.median(beside), np.median(y)])

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that an object has, sorted; a selection may lack some of ``classes``."""
        return tuple(self.classes[label] for label in np.unique(self.labels))

    def select(self, which: NDArray[np.bool_] | Ints) -> FoundObjects:
        """Return the objects of a mask or of indices."""
        parts = (None if part is None else part[which] for part in (self.scores, self.sizes))
        shapes, centres, labels = self.shapes[which], self.centres[which], self.labels[which]
        return FoundObjects(self.path, self.crs, shapes, centres, self.classes, labels, *parts)

    def points_in(self, crs: CRS | None, middle: float, path: Path) -> NDArray[np.object_]:
        """Return the centres as points in another CRS: (N,).

        Args:
            crs: That of polygons.
            middle: The x of their middle: longitudes are within half a turn of it.
            path: The file of the polygons, for messages.

        Raises:
            VectorError: One of the two files has no CRS.
        """
        check_crs(self.crs, self.path, crs, path)
        x, y = self.centres.T
        if crs is not None and self.crs is not None and not crs.equals(self.crs):
            x, y = find_transformer(self.crs, crs).transform(x, y)
        if turn := full_turn(crs):
            x = within_half_turn(x, middle, turn)
        points: NDArray[np.object_] = shapely.points(x, y)
        return points


def check_crs(one: CRS | None, path: Path, other: CRS | None, other_path: Path) -> None:
    """Check that two files have a CRS, or neither has.

    Raises:
        VectorError: One of them has none.
    """
    if (one is None) == (other is None):
        return
    without, with_crs = (path, other_path) if one is None else (other_path, path)
    raise VectorError(
        f"{without} has no CRS, and {with_crs} has one",
        hint="give it its CRS, such as with ogr2ogr -a_srs EPSG:32633",
        path=without,
    )


def read_found_objects(
    path: Path,
    *,
    min_score: float = 0.0,
    score_field: str | None = None,
    label_field: str | None = None,
) -> FoundObjects:
    """Read the objects of a vector file, for their centres.

    Multi-part geometries are split, as in an evaluation: a layer dissolved by class would otherwise
    be one object.

    Args:
        path: Points or polygons, written by detect or by another program.
        min_score: Lowest score that counts; at 0 also objects whose score is unknown count.
        score_field: Attribute with the score; None: ``score``, if there is one.
        label_field: Attribute with the class; None: ``label``, ``class`` or ``name``, if any;
            empty: all objects are of one class.

    Raises:
        VectorError: The file cannot be read, it lacks a field that was named, objects without
            scores have nearly as many classes as there are objects, or a least score is asked for
            and a score is not in [0, 1].
    """
    fields = read_fields(path)
    score = _choose(score_field, "score", fields, path)
    _choose(label_field or None, "", fields, path)
    wanted = {_SIZE, score, label_field} | {f for f in fields if f.lower() in _CLASSES}
    frame = read_frame(path, columns=[field for field in fields if field in wanted])
    shapes = frame.geometry.to_numpy()
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    if not there.all():
        _logger.warning("%s: objects without coordinates are left out: %d", path, (~there).sum())
    joined = join_at_antimeridian(shapes[there], frame.crs)
    parts, row = shapely.get_parts(joined, return_index=True)
    parts, row = parts[~shapely.is_empty(parts)], row[~shapely.is_empty(parts)]
    frame, shapes = frame[there].iloc[row], make_objects_whole(parts, frame.crs)
    # Objects without a score are labels, whose attribute may hold a name for each.
    read_names = read_label_names if score is None else read_names_of_detections
    table = frame.drop(columns=frame.geometry.name)
    names = np.array(read_names(table, path, label_field, "object"), object)
    classes, labels = np.unique(names.astype(str), return_inverse=True)
    found = FoundObjects(
        path,
        frame.crs,
        shapes,
        shapely.get_coordinates(shapely.centroid(shapes)),
        tuple(map(str, classes)),
        labels,
        _numbers(frame, score, path),
        _numbers(frame, _SIZE if _SIZE in fields else None, path),
    )
    if found.scores is None or score is None or min_score <= 0:
        return found
    is_unknown = np.isnan(found.scores)
    known = found.scores[~is_unknown]
    check_score_range(known, path, score, hint="scale the scores, or omit --min-score (min_score)")
    if unknown := int(is_unknown.sum()):
        _logger.warning(
            "%s: objects without a score are left out: %d; --min-score 0 (min_score=0) keeps them",
            path,
            unknown,
        )
    return found.select(found.scores >= min_score)


def _choose(named: str | None, usual: str, fields: tuple[str, ...], path: Path) -> str | None:
    """Return the field that is named, or the usual one if the file has it."""
    if named is not None and named not in fields:
        raise VectorError(
            f"{path} has no attribute {named!r}",
            hint=f"there are {', '.join(fields) or 'no attributes'}",
            path=path,
        )
    return named if named is not None else usual if usual in fields else None


def _numbers(frame: Any, field: str | None, path: Path) -> Floats | None:
    if field is None:
        return None
    try:
        return np.asarray(frame[field].to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError) as error:
        raise VectorError(
            f"{path}: the values of {field!r} are not numbers: {error}",
            hint="name another attribute",
            path=path,
        ) from error
