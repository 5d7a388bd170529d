"""Detections in GeoParquet, row group by row group."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow
from pyarrow.parquet import ParquetWriter

from geodet.files.pending import PendingOutput
from geodet.vector.geopackage_table import GEOMETRY_TYPES
from geodet.vector.rows import Rows, VectorLayer, arrow_types, to_arrow
from geodet.vector.writer import RowWriter

__all__ = ["GeoParquetWriter"]

_SIDES = ("xmin", "ymin", "xmax", "ymax")


class GeoParquetWriter(RowWriter):
    """Writes GeoParquet 1.1: WKB, the CRS as PROJJSON, and a column ``bbox`` to filter by.

    Reference:
        https://geoparquet.org/releases/v1.1.0
    """

    def __init__(self, output: PendingOutput, layer: VectorLayer) -> None:
        super().__init__(output, layer)
        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)
        self._schema = _schema(layer)
        self._writer = ParquetWriter(self._temporary, self._schema, compression="zstd")

    def _close(self) -> None:
        self._writer.close()

    def _add_rows(self, rows: Rows) -> None:
        bounds, is_placed = rows.bounds, rows.is_placed
        self._low = np.minimum(self._low, bounds[is_placed, :2].min(axis=0, initial=np.inf))
        self._high = np.maximum(self._high, bounds[is_placed, 2:].max(axis=0, initial=-np.inf))
        sides = [pyarrow.array(np.ascontiguousarray(side)) for side in bounds.T]
        unknown = None if is_placed.all() else pyarrow.array(~is_placed)
        box = pyarrow.StructArray.from_arrays(sides, names=list(_SIDES), mask=unknown)
        columns = to_arrow(rows, "geometry").columns
        self._writer.write_batch(pyarrow.record_batch([*columns, box], schema=self._schema))

    def _complete(self) -> None:
        about = {"geo": json.dumps(self._about()), **self._layer.metadata}
        self._writer.add_key_value_metadata(about)
        self._writer.close()

    def _about(self) -> dict[str, Any]:
        """Make the metadata that turn Parquet into GeoParquet."""
        crs = self._layer.crs
        geometry: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": [GEOMETRY_TYPES[self._layer.geometry]],
            "crs": None if crs is None else crs.to_json_dict(),
            "edges": "planar",
            "orientation": "counterclockwise",
            "covering": {"bbox": {side: ["bbox", side] for side in _SIDES}},
        }
        if np.isfinite(self._low).all():
            geometry["bbox"] = [*self._low.tolist(), *self._high.tolist()]
        columns = {"geometry": geometry}
        return {"version": "1.1.0", "primary_column": "geometry", "columns": columns}


def _schema(layer: VectorLayer) -> pyarrow.Schema:
    box = pyarrow.struct([(side, pyarrow.float64()) for side in _SIDES])
    types = arrow_types(layer.fields)
    return pyarrow.schema([*types.items(), ("geometry", pyarrow.binary()), ("bbox", box)])
