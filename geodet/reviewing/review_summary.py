"""Summarise a file of reviews, for ``geodet info suggested.gpkg``."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geodet.files.decisions import LABELS_LAYER, REJECTED_LAYER, WINDOWS_LAYER
from geodet.reviewing.reviewed_items import WINDOW_COLUMNS
from geodet.reviewing.scene_rows import verdict_in
from geodet.reviewing.suggested_windows import SUGGESTIONS_LAYER, read_review_rows
from geodet.vector.formats import LAYER_SEPARATOR
from geodet.vector.rows import crs_text
from geodet.vector.vector_files import read_extent

__all__ = ["ReviewSummary", "is_review_file", "summarise_reviews"]

_LAYERS = {LABELS_LAYER, REJECTED_LAYER, WINDOWS_LAYER}
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
    crs = read_extent(f"{path}{LAYER_SEPARATOR}{LABELS_LAYER}")[0]
    return ReviewSummary(
        path=str(path),
        scenes=dict(Counter(row[0] or _UNNAMED for row in suggested | reviewed).most_common()),
        crs=None if crs is None else crs_text(crs),
        suggested=len(suggested),
        suggested_reviewed=len(suggested & reviewed),
        reviewed=len(reviewed),
        verdicts=dict(verdicts.most_common()),
        classes=dict(Counter(label or _UNNAMED for *_, label in right).most_common()),
    )


def _read_windows(path: Path, layer: str) -> set[tuple[Any, ...]]:
    """Read the scenes and the columns of windows, once for each; those that lack some are alone."""
    rows = read_review_rows(path, layer, ("fid", "scene", *WINDOW_COLUMNS)) or ()
    return {(*place, number) if None in place else tuple(place) for number, *place in rows}
