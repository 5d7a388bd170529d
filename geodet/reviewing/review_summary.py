"""What a file of reviews holds: ``geodet info suggested.gpkg``."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from geodet.files.decisions import LABELS_LAYER, REJECTED_LAYER, WINDOWS_LAYER
from geodet.reviewing.suggested_windows import SUGGESTIONS_LAYER, read_review_rows
from geodet.vector.formats import LAYER_SEPARATOR
from geodet.vector.rows import crs_text
from geodet.vector.vector_files import read_extent

__all__ = ["ReviewSummary", "is_review_file", "summarise_reviews"]

_LAYERS = {LABELS_LAYER, REJECTED_LAYER, WINDOWS_LAYER}
_PLACE = ("scene", "col_off", "row_off", "width", "height")


@dataclass(frozen=True, slots=True)
class ReviewSummary:
    """What was suggested, and how much of it is reviewed.

    Example:
        >>> report = geodet.suggest(scene, folder / "suggested.gpkg", budget=2, chip_size=256)
        >>> about = geodet.info(report.output)
        >>> about.suggested, about.reviewed, about.objects
        (2, 0, 0)
    """

    path: str
    """The file."""
    scenes: dict[str, int]
    """Windows that are suggested or reviewed, by scene."""
    crs: str | None
    """Code or WKT of the CRS; None if the scenes have none."""
    suggested: int
    """Windows that were suggested."""
    suggested_reviewed: int
    """Of these, windows that are reviewed."""
    reviewed: int
    """All reviewed windows."""
    verdicts: dict[str, int]
    """Objects by what was decided: ``accepted``, ``changed``, ``added`` or ``rejected``."""
    classes: dict[str, int]
    """Objects that are right, by class."""

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
    suggested = set(read_review_rows(file, SUGGESTIONS_LAYER, _PLACE) or ())
    reviewed = set(read_review_rows(file, WINDOWS_LAYER, _PLACE) or ())
    right = read_review_rows(file, LABELS_LAYER, ("verdict", "label")) or []
    rejected = len(read_review_rows(file, REJECTED_LAYER, ("fid",)) or ())
    verdicts = Counter(str(verdict) for verdict, _ in right) + Counter(rejected=rejected)
    crs = read_extent(f"{path}{LAYER_SEPARATOR}{LABELS_LAYER}")[0]
    return ReviewSummary(
        path=str(path),
        scenes=dict(Counter(str(row[0]) for row in suggested | reviewed).most_common()),
        crs=None if crs is None else crs_text(crs),
        suggested=len(suggested),
        suggested_reviewed=len(suggested & reviewed),
        reviewed=len(reviewed),
        verdicts=dict(verdicts.most_common()),
        classes=dict(Counter(str(label) for _, label in right).most_common()),
    )
