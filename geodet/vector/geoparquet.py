"""Detections in GeoParquet, along a Hilbert curve, so that readers skip what is far."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from geodet.files.pending import PendingOutput
from geodet.geometry.arrays import Floats
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.arrow_rows import arrow_types, to_arrow
from geodet.vector.frames import object_ids
from geodet.vector.lazy_modules import parquet, pyarrow
from geodet.vector.rows import ID, FileLayer, Rows, VectorLayer
from geodet.vector.spooled_rows import BBOX, SIDES, SpooledRows, bbox_column, iter_sorted
from geodet.vector.writer import RowWriter

__all__ = [
    "GROUP_ROWS",
    "GeoParquetWriter",
    "SpoolingWriter",
    "geoparquet_metadata",
    "write_geoparquet",
]

GROUP_ROWS = 50_000
"""Rows of a group, of which readers take all or nothing."""

_GEOMETRY = "geometry"


class SpoolingWriter(RowWriter):
    """Collects rows with identifiers and bounds in a temporary file, to sort them at the end."""

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        super().__init__(output, layer)
        path = self._temporary.with_name("rows.arrow")
        self._rows = SpooledRows(path, _schema(layer))

    def _close(self) -> None:
        self._rows.close()

    def _to_rows(self, part: SceneDetections) -> Rows:
        rows, layer = super()._to_rows(part), self._layer
        ids = object_ids(part, layer.classes, layer.salt)
        return Rows({ID: ids, **rows.fields}, rows.coordinates)

    def _add_rows(self, rows: Rows) -> None:
        columns = [*to_arrow(rows, _GEOMETRY).columns, bbox_column(rows.bounds)]
        self._rows.add(pyarrow.record_batch(columns, schema=self._rows.schema))


class GeoParquetWriter(SpoolingWriter):
    """Writes GeoParquet 1.1: WKB, the CRS as PROJJSON, and a column ``bbox`` to filter by.

    Reference:
        https://geoparquet.org/releases/v1.1.0
    """

    def _complete(self) -> None:
        write_geoparquet(self._temporary, self._rows, self._layer)


def write_geoparquet(path: Path, rows: SpooledRows, layer: VectorLayer) -> None:
    """Write rows along the Hilbert curve of their extent to a file.

    Args:
        path: The file.
        rows: As :class:`SpoolingWriter` collects them.
        layer: Their layer.

    Raises:
        OSError: It cannot be written.
    """
    # In the schema, not beside it: readers of a folder look there alone.
    schema = rows.schema.with_metadata(geoparquet_metadata(layer, rows.extent))
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        waiting = rows.schema.empty_table()
        for table in iter_sorted(rows):
            waiting = pyarrow.concat_tables([waiting, table])
            whole = len(waiting) // GROUP_ROWS * GROUP_ROWS
            writer.write_table(waiting.slice(0, whole), row_group_size=GROUP_ROWS)
            waiting = waiting.slice(whole)
        if len(waiting):
            writer.write_table(waiting, row_group_size=GROUP_ROWS)


def geoparquet_metadata(layer: VectorLayer, extent: Floats) -> Mapping[str, str]:
    """Make the metadata that turn Parquet into GeoParquet, and those of the layer.

    Args:
        layer: The layer, whose geometry is in the column ``geometry``.
        extent: (4,) bounds of all rows, not finite where none has a place.
    """
    geometry: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": [layer.geometry_type],
        "crs": None if layer.crs is None else layer.crs.to_json_dict(),
        "edges": "planar",
        "orientation": "counterclockwise",
        "covering": {BBOX: {side: [BBOX, side] for side in SIDES}},
    }
    if np.isfinite(extent).all():
        geometry["bbox"] = extent.tolist()
    about = {"version": "1.1.0", "primary_column": _GEOMETRY, "columns": {_GEOMETRY: geometry}}
    return {"geo": json.dumps(about), **layer.metadata}


def _schema(layer: VectorLayer) -> pyarrow.Schema:
    box = pyarrow.struct([(side, pyarrow.float64()) for side in SIDES])
    types = arrow_types((ID, *layer.fields))
    return pyarrow.schema([*types.items(), (_GEOMETRY, pyarrow.binary()), (BBOX, box)])
