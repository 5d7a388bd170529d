"""Summarise a file of reviews, for ``geodet info suggested.gpkg``."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from geodet.files.decisions import LABELS_LAYER, REJECTED_LAYER, WINDOWS_LAYER
from geodet.reviewing.scene_rows import verdict_in
from geodet.reviewing.stored_geometries import decode_geometry
from geodet.reviewing.suggested_windows import SUGGESTIONS_LAYER, read_review_rows
from geodet.vector.formats import LAYER_SEPARATOR
from geodet.vector.rows import crs_text
from geodet.vector.vector_files import read_extent

__all__ = ["ReviewSummary", "is_review_file", "summarise_reviews"]

_LAYERS = {LABELS_LAYER, REJECTED_LAYER, WINDOWS_LAYER}
_Windows = tuple[NDArray[np.object_], NDArray[np.object_]]  # the scene of each, and its outline
_SAME_SHARE = 0.9  # of two windows: a reviewed one is in whole pixels
_UNNAMED = "not named"  # a scene or a class, of a row that was drawn in a GIS


@dataclass(frozen=True, slots=True)
class ReviewSummary:
    """Suggested and reviewed windows, and decided objects.

    Example:
        >>> report = geodet.suggest(scene, folder / "suggested.gpkg", budget=2, chip_size=256)
        >>> about = geodet.info(report.output)
        >>> about.suggested, about.reviewed, about.objects
        (2, 0, 0)
    """

    path: str
    """The file."""
    scenes: dict[str, int]
    """Windows that are suggested or reviewed, by scene; ``not named`` where a row has none."""
    crs: str | None
    """Code or WKT of the CRS; None if the scenes have none."""
    suggested: int
    """Windows that were suggested."""
    suggested_reviewed: int
    """Suggested windows that are reviewed."""
    reviewed: int
    """All reviewed windows."""
    verdicts: dict[str, int]
    """Objects by what was decided: ``accepted``, ``changed``, ``added`` or ``rejected``."""
    classes: dict[str, int]
    """Objects that are right, by class; ``not named`` where a row has none."""

    @property
    def objects(self) -> int:
        """Objects that were decided on, rejected ones included."""
        return sum(self.verdicts.values())


def is_review_file(path: str) -> bool:
    """Whether a path is that of a GeoPackage with the layers of reviews."""
    if LAYER_SEPARATOR in path or not path.lower().endswith(".gpkg") or not Path(path).is_file():
        return False
    address = f"{Path(path).resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            tables = database.execute("SELECT table_name FROM gpkg_geometry_columns").fetchall()
    except sqlite3.Error:
        return False
    return {name for (name,) in tables} >= _LAYERS


def summarise_reviews(path: str | Path) -> ReviewSummary:
    """Count what a file of reviews suggests, and what is decided.

    Args:
        path: A file for which :func:`is_review_file` holds.

    Raises:
        VectorError: The file cannot be read.
    """
    file = Path(path)
    suggested = _read_windows(file, SUGGESTIONS_LAYER)
    reviewed = _read_windows(file, WINDOWS_LAYER)
    right = read_review_rows(file, LABELS_LAYER, ("verdict", "source", "label")) or []
    rejected = len(read_review_rows(file, REJECTED_LAYER, ("fid",)) or ())
    verdicts = Counter[str](
        verdict_in(LABELS_LAYER, verdict, source) for verdict, source, _ in right
    )
    verdicts += Counter(rejected=rejected)
    is_done = _find_done(suggested, reviewed)
    scenes = [*reviewed[0], *suggested[0][~is_done]]
    crs = read_extent(f"{path}{LAYER_SEPARATOR}{LABELS_LAYER}")[0]
    return ReviewSummary(
        path=str(path),
        scenes=dict(Counter(name or _UNNAMED for name in scenes).most_common()),
        crs=None if crs is None else crs_text(crs),
        suggested=len(suggested[0]),
        suggested_reviewed=int(is_done.sum()),
        reviewed=len(reviewed[0]),
        verdicts=dict(verdicts.most_common()),
        classes=dict(Counter(label or _UNNAMED for *_, label in right).most_common()),
    )


def _read_windows(path: Path, layer: str) -> _Windows:
    """Read windows: they lie where their geometries do, since a GIS moves nothing else."""
    rows = read_review_rows(path, layer, ("scene", "geom")) or []
    names = np.array([scene or "" for scene, _ in rows], object)
    return names, np.array([decode_geometry(stored) for _, stored in rows], object)


def _find_done(suggested: _Windows, reviewed: _Windows) -> NDArray[np.bool_]:
    """Find which suggested windows are reviewed: (N,)."""
    (names, shapes), (their_names, theirs) = suggested, reviewed
    one, other = shapely.STRtree(theirs).query(shapes, predicate="intersects")
    first, second = shapes[one], theirs[other]
    shared = shapely.area(shapely.intersection(first, second))
    both = shapely.area(first) + shapely.area(second) - shared
    is_scene = (names[one] == their_names[other]) | (names[one] == "") | (their_names[other] == "")
    is_done = np.zeros(len(names), np.bool_)
    is_done[one[is_scene & (shared > _SAME_SHARE * both)]] = True
    return is_done
