"""The table of a GeoPackage's layer: GDAL makes it, SQLite fills it.

GDAL needs one call with all rows to be fast. Here rows come in any number of calls; what that costs
is in ``benchmarks/writing.py``.
"""

from __future__ import annotations

import math
import sqlite3
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray

from geodet.closing import Closing
from geodet.vectors.layer import LAYER, Geometry, Layer, crs_text
from geodet.vectors.rows import FIELDS, Rows
from geodet.vectors.rtree import RtreeBuilder
from geodet.vectors.wkb import pack_geopackage

__all__ = ["GEOMETRY_TYPES", "SpatialTable", "create_table"]

GEOMETRY_TYPES: Mapping[Geometry, str] = {"box": "Polygon", "centroid": "Point"}

_TEXTS = ("label", "scene")
# Nobody else sees the file before it is complete, so it need not survive a crash.
_PRAGMAS = ("journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF")


def create_table(path: Path, layer: Layer, *, indexed: bool = True, append: bool = False) -> None:
    """Make a GeoPackage with an empty layer, or set the metadata of the layer that is there.

    Raises:
        DataSourceError, DataLayerError: It cannot be written.
    """
    empty = {name: np.zeros(0, object if name in _TEXTS else np.float64) for name in FIELDS}
    # -1 is the format's "undefined Cartesian"; GDAL's own choice may be read as degrees.
    srid = {} if layer.crs is not None else {"SRID": "-1"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.raw.write(
            str(path),
            shapely.to_wkb(np.zeros(0, object)),
            list(empty.values()),
            list(empty),
            layer=LAYER,
            driver="GPKG",
            geometry_type=GEOMETRY_TYPES[layer.geometry],
            crs=None if layer.crs is None else crs_text(layer.crs),
            append=append,
            layer_metadata=dict(layer.metadata) or None,
            # QGIS 3.22, of Debian 12, warns of 1.4, which has nothing that is used here.
            dataset_options={} if append else {"VERSION": "1.3"},
            layer_options={"SPATIAL_INDEX": "YES" if indexed else "NO", **srid},
        )


class SpatialTable(Closing):
    """The rows of the layer in a GeoPackage, and their spatial index if it has one.

    Triggers, which would update the index and the count with each row, are taken off and put back.

    Args:
        path: A GeoPackage with the layer.
    """

    def __init__(self, path: Path) -> None:
        # A writer may be made in one thread and used in another, one at a time.
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            for pragma in _PRAGMAS:
                self._database.execute(f"PRAGMA {pragma}").fetchall()
            self._database.execute("BEGIN EXCLUSIVE")
            self._column, self._srs_id = self._read(
                "SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = ?"
            )
            self._triggers = self._take_triggers()
            self._index = self._open_index()
            self._next = 1 + self._last_row()
            self._added = 0
            self._bounds = [np.full((0, 4), np.nan)]
        except BaseException:
            self.close()
            raise

    def add(self, rows: Rows) -> None:
        """Add at least one row.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        ids = np.arange(self._next, self._next + len(rows))
        columns = [ids.tolist(), pack_geopackage(rows.coordinates, self._srs_id), *rows.columns]
        names = ", ".join(f'"{name}"' for name in ("fid", self._column, *FIELDS))
        marks = ", ".join("?" * len(columns))
        self._database.executemany(
            f'INSERT INTO "{LAYER}" ({names}) VALUES ({marks})', zip(*columns, strict=True)
        )
        bounds = rows.bounds
        if self._index is not None:
            self._index.add(ids, bounds)
        self._bounds = [_union([*self._bounds, bounds])]
        self._next += len(rows)
        self._added += len(rows)

    def finish(self) -> None:
        """Complete the index and all that the file says of the layer.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        if self._index is not None:
            self._index.finish()
        self._write_summary()
        for statement in self._triggers:
            self._database.execute(statement)
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file; what is not finished is left half done."""
        self._database.close()

    def _take_triggers(self) -> list[str]:
        """Remove the triggers of the table and give the statements that make them."""
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
        triggers = self._database.execute(query, (LAYER,)).fetchall()
        for name, _ in triggers:
            self._database.execute(f'DROP TRIGGER "{name}"')
        return [statement for _, statement in triggers]

    def _open_index(self) -> RtreeBuilder | None:
        name = f"rtree_{LAYER}_{self._column}"
        query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
        found = self._database.execute(query, (name,)).fetchone()[0]
        return RtreeBuilder(self._database, name) if found else None

    def _last_row(self) -> int:
        """Give the largest row number that there is or ever was."""
        now = self._database.execute(f'SELECT max("fid") FROM "{LAYER}"').fetchone()[0]
        ever = self._read("SELECT max(seq) FROM sqlite_sequence WHERE name = ?")[0]
        return max(now or 0, ever or 0)

    def _write_summary(self) -> None:
        """Bring the layer's bounds, its time and its count of rows up to date."""
        query = "SELECT min_x, min_y, max_x, max_y FROM gpkg_contents WHERE table_name = ?"
        known = np.array([self._read(query)], np.float64)  # null becomes NaN
        bounds = _union([known, *self._bounds])[0]
        values = [None if math.isnan(bound) else bound for bound in bounds.tolist()]
        self._database.execute(
            "UPDATE gpkg_contents SET min_x = ?, min_y = ?, max_x = ?, max_y = ?,"
            " last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE table_name = ?",
            [*values, LAYER],
        )
        self._database.execute(
            "UPDATE gpkg_ogr_contents SET feature_count = feature_count + ? WHERE table_name = ?",
            (self._added, LAYER),
        )

    def _read(self, query: str) -> Any:
        return self._database.execute(query, (LAYER,)).fetchone()


def _union(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Give the bounds of bounds: (1, 4), NaN where there are none."""
    known = np.concatenate(parts)
    known = known[~np.isnan(known).any(axis=1)]
    if not len(known):
        return np.full((1, 4), np.nan)
    return np.concatenate([known[:, :2].min(axis=0), known[:, 2:].max(axis=0)])[None]
