"""Protect the decisions of a review from being overwritten: they cannot be computed again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from geodet.documents.values import counted
from geodet.errors import OutputError
from geodet.files.databases import is_database

__all__ = ["LABELS_LAYER", "REJECTED_LAYER", "WINDOWS_LAYER", "check_undecided"]

LABELS_LAYER, REJECTED_LAYER, WINDOWS_LAYER = "labels", "rejected", "windows"
"""Layers of a file of reviews: the objects that are right and those that are wrong, and the windows
that were reviewed."""

_DECISIONS = {
    LABELS_LAYER: "label",
    REJECTED_LAYER: "rejected object",
    WINDOWS_LAYER: "reviewed window",
}


def check_undecided(path: Path) -> None:
    """Check that a file that is to be replaced holds no decisions of a review.

    Raises:
        OutputError: It does.
    """
    found = [
        counted(number, _DECISIONS[layer])
        for layer, number in _count_decisions(path).items()
        if number
    ]
    if found:
        raise OutputError(
            f"{path} contains decisions of a review, which --overwrite does not replace: "
            f"{', '.join(found)}",
            hint="name another output, or move or delete the file; geodet suggest leaves out "
            f"what was reviewed in it with --reviewed {path}",
            path=path,
        )


def _count_decisions(path: Path) -> dict[str, int]:
    """Return the number of decisions in each layer; empty for what is not a file of reviews."""
    if not is_database(path):
        return {}
    address = f"{path.resolve().as_uri()}?mode=ro"
    query = "SELECT count(*), max(reviewed_at) FROM"  # a row that was drawn in QGIS has no date
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=1)) as database:
            return {
                layer: database.execute(f"{query} {layer}").fetchone()[0] for layer in _DECISIONS
            }
    except sqlite3.Error:  # it lacks a layer or is damaged
        return {}
