"""Detections in GeoParquet, row group by row group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from geodet.vector.formats import check_pyarrow
from geodet.vector.layer import VectorLayer
from geodet.vector.rows import FIELDS, TEXTS, Rows, to_arrow
from geodet.vector.spatial_table import GEOMETRY_TYPES
from geodet.vector.writer import RowWriter

__all__ = ["GeoParquetWriter"]

_SIDES = ("xmin", "ymin", "xmax", "ymax")


class GeoParquetWriter(RowWriter):
    """Writes GeoParquet 1.1: WKB, the CRS as PROJJSON, and a column ``bbox`` to filter by.

    Reference:
        https://geoparquet.org/releases/v1.1.0
    """

    def __init__(self, temporary: Path, layer: VectorLayer) -> None:
        super().__init__(temporary, layer)
        check_pyarrow()
        from pyarrow.parquet import ParquetWriter  # an extra, and slow to load

        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)
        self._writer = ParquetWriter(temporary, _schema(), compression="zstd")

    def close(self) -> None:
        """Let go of the file."""
        self._writer.close()

    def _add_rows(self, rows: Rows) -> None:
        import pyarrow as pa

        bounds = rows.bounds
        self._low = np.minimum(self._low, bounds[:, :2].min(axis=0))
        self._high = np.maximum(self._high, bounds[:, 2:].max(axis=0))
        sides = [pa.array(np.ascontiguousarray(side)) for side in bounds.T]
        box = pa.StructArray.from_arrays(sides, names=list(_SIDES))
        columns = to_arrow(rows, "geometry").columns
        self._writer.write_batch(pa.record_batch([*columns, box], schema=_schema()))

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


def _schema() -> Any:
    import pyarrow as pa

    columns = [(name, pa.string() if name in TEXTS else pa.float64()) for name in FIELDS]
    box = pa.struct([(side, pa.float64()) for side in _SIDES])
    return pa.schema([*columns, ("geometry", pa.binary()), ("bbox", box)])
