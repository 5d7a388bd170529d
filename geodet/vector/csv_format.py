"""Detections in a table of comma-separated values, with geometry as well-known text.

Classes and scenes that a spreadsheet would run as formulas get an apostrophe before them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable

import numpy as np

from geodet.files.pending import PendingOutput
from geodet.files.spreadsheet_text import safe_text
from geodet.geometry.arrays import Floats
from geodet.vector.rows import TEXTS, FileLayer, Rows, crs_text
from geodet.vector.writer import RowWriter

__all__ = ["CsvWriter"]


class CsvWriter(RowWriter):
    """Writes CSV: ``WKT``, the fields, and ``crs``, for which the format has no other place."""

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        super().__init__(output, layer)
        self._crs = "" if layer.crs is None else safe_text(crs_text(layer.crs))
        self._file = self._temporary.open("w", encoding="utf-8", newline="")
        self._table = csv.writer(self._file, lineterminator="\n")
        self._table.writerow(["WKT", *layer.fields, "crs"])

    def _close(self) -> None:
        self._file.close()

    def _add_rows(self, rows: Rows) -> None:
        known = _to_texts(rows.coordinates)
        texts = [text if there else "" for text, there in zip(known, rows.is_placed, strict=True)]
        fields = dict(zip(rows.fields, rows.columns, strict=True))
        fields |= {name: [safe_text(text) for text in fields[name]] for name in TEXTS}
        columns = [texts, *fields.values(), [self._crs] * len(rows)]
        self._table.writerows(zip(*columns, strict=True))

    def _complete(self) -> None:
        self._file.close()


def _to_texts(coordinates: Floats) -> Iterable[str]:
    """Write geometries as WKT, each number in the fewest digits that give the same float64."""
    if coordinates.shape[1] == 1:
        return (f"POINT ({x!r} {y!r})" for x, y in coordinates[:, 0].tolist())
    closed = np.concatenate([coordinates, coordinates[:, :1]], axis=1).tolist()
    return (f"POLYGON (({', '.join(f'{x!r} {y!r}' for x, y in ring)}))" for ring in closed)
