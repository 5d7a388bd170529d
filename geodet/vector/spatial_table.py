"""The table of a GeoPackage's layer: GDAL makes and fills it, and its index is ours.

Rows come in any number of calls, and in each GDAL takes a batch of them in Arrow's layout. What
that costs is in ``benchmarks/writing.py``.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyogrio
import shapely
from numpy.typing import NDArray

from geodet.files.closable import Closing
from geodet.vector.formats import Geometry
from geodet.vector.layer import LAYER, VectorLayer, crs_text
from geodet.vector.rows import FIELDS, TEXTS, Rows, to_arrow
from geodet.vector.rtree import RtreeBuilder

__all__ = ["GEOMETRY_TYPES", "SpatialTable", "create_table"]

GEOMETRY_TYPES: Mapping[Geometry, str] = {"box": "Polygon", "centroid": "Point"}

# Nobody else sees the file before it is complete, so it need not survive a crash.
_PRAGMAS = (
    "journal_mode = DELETE",
    "journal_mode = OFF",
    "synchronous = OFF",
    "legacy_alter_table = ON",  # leaves the triggers of other layers, with GDAL's functions, alone
)
_HIDDEN = "geodet_index"
_SYNCHRONOUS = "OGR_SQLITE_SYNCHRONOUS"


def create_table(
    path: Path, layer: VectorLayer, *, indexed: bool = True, append: bool = False
) -> None:
    """Make a GeoPackage with an empty layer, or set the metadata of the layer that is there.

    Raises:
        DataSourceError, DataLayerError: It cannot be written.
    """
    empty = {name: np.zeros(0, object if name in TEXTS else np.float64) for name in FIELDS}
    # -1 is the format's "undefined Cartesian"; GDAL's own choice may be read as degrees.
    srid = {} if layer.crs is not None else {"SRID": "-1"}
    with _without_a_crs():
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

    GDAL appends the rows, call by call. Meanwhile it sees neither the index, which it would update
    row by row, nor the triggers, which would do so, too; both are put back at the end.

    Args:
        path: A GeoPackage with the layer.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # A writer may be made in one thread and used in another, one at a time.
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            for pragma in _PRAGMAS:
                self._database.execute(f"PRAGMA {pragma}").fetchall()
            with self._transaction():
                query = "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?"
                (self._column,) = self._read(query)
                self._index_name = f"rtree_{LAYER}_{self._column}"
                self._triggers = self._take_triggers()
                self._index = self._open_index()
                self._last = self._last_row()
                query = "SELECT min_x, min_y, max_x, max_y FROM gpkg_contents WHERE table_name = ?"
                self._bounds = np.array([self._read(query)], np.float64)  # null becomes NaN
                query = "SELECT feature_count FROM gpkg_ogr_contents WHERE table_name = ?"
                (self._count,) = self._read(query)  # null where nobody has counted
                self._added = 0
        except BaseException:
            self.close()
            raise

    def add(self, rows: Rows) -> None:
        """Add at least one row.

        Raises:
            DataSourceError, DataLayerError, sqlite3.Error: It cannot be written.
            OSError: Not all of it was written.
        """
        _append(self._path, to_arrow(rows, self._column), self._column)
        ids = np.arange(self._last + 1, self._last + 1 + len(rows))
        self._last = self._last_row()
        if self._last != ids[-1]:  # GDAL is not trusted to tell
            raise OSError(f"only {self._last} of {ids[-1]} rows were written")
        self._added += len(rows)
        bounds = rows.bounds
        self._bounds = _union(self._bounds, bounds)
        if self._index is not None:
            with self._transaction():
                self._index.add(ids, bounds)

    def finish(self) -> None:
        """Complete the index and what the file says of the layer.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        with self._transaction():
            self._write_summary()
            if self._index is not None:
                self._index.finish()
                self._rename(_HIDDEN, self._index_name)
            for statement in self._triggers:
                self._database.execute(statement)

    def close(self) -> None:
        """Let go of the file; what is not finished is left half done."""
        self._database.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write all at once; between transactions the file is GDAL's."""
        self._database.execute("BEGIN IMMEDIATE")
        yield
        self._database.execute("COMMIT")

    def _take_triggers(self) -> list[str]:
        """Remove the triggers of the table and give the statements that make them."""
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
        triggers = self._database.execute(query, (LAYER,)).fetchall()
        for name, _ in triggers:
            self._database.execute(f'DROP TRIGGER "{name}"')
        return [statement for _, statement in triggers]

    def _open_index(self) -> RtreeBuilder | None:
        query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
        if not self._database.execute(query, (self._index_name,)).fetchone()[0]:
            return None
        self._rename(self._index_name, _HIDDEN)
        return RtreeBuilder(self._database, _HIDDEN)

    def _rename(self, name: str, new: str) -> None:
        self._database.execute(f'ALTER TABLE "{name}" RENAME TO "{new}"')

    def _last_row(self) -> int:
        """Give the largest row number that there is or ever was."""
        columns = self._database.execute(f'PRAGMA table_info("{LAYER}")').fetchall()
        key = next(name for _, name, *_, is_key in columns if is_key)  # "fid" unless GDAL was told
        now = self._database.execute(f'SELECT max("{key}") FROM "{LAYER}"').fetchone()[0]
        ever = self._read("SELECT max(seq) FROM sqlite_sequence WHERE name = ?")[0]
        return max(now or 0, ever or 0)

    def _write_summary(self) -> None:
        """Bring the layer's bounds, which GDAL rounds, its time and its count up to date."""
        values = [None if math.isnan(bound) else bound for bound in self._bounds[0].tolist()]
        self._database.execute(
            "UPDATE gpkg_contents SET min_x = ?, min_y = ?, max_x = ?, max_y = ?,"
            " last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE table_name = ?",
            [*values, LAYER],
        )
        self._database.execute(
            "UPDATE gpkg_ogr_contents SET feature_count = ? + ? WHERE table_name = ?",
            (self._count, self._added, LAYER),
        )

    def _read(self, query: str) -> Any:
        return self._database.execute(query, (LAYER,)).fetchone()


def _union(*parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the bounds of bounds: (1, 4), NaN where there are none."""
    known = np.concatenate(parts)
    known = known[~np.isnan(known).any(axis=1)]
    if not len(known):
        return np.full((1, 4), np.nan)
    return np.concatenate([known[:, :2].min(axis=0), known[:, 2:].max(axis=0)])[None]


# GDAL's settings are those of the whole process.
_lock = threading.Lock()


def _append(path: Path, rows: pyarrow.RecordBatch, geometry: str) -> None:
    """Let GDAL append rows to the layer.

    Raises:
        DataSourceError, DataLayerError: They cannot be written.
    """
    with _lock, _without_waiting_for_the_disk(), _without_a_crs():
        pyogrio.raw.write_arrow(
            rows,
            str(path),
            layer=LAYER,
            driver="GPKG",
            geometry_name=geometry,
            geometry_type="Unknown",  # the layer has one
            append=True,
        )


@contextlib.contextmanager
def _without_waiting_for_the_disk() -> Iterator[None]:
    before = pyogrio.get_gdal_config_option(_SYNCHRONOUS)
    pyogrio.set_gdal_config_options({_SYNCHRONOUS: "OFF"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({_SYNCHRONOUS: before})


@contextlib.contextmanager
def _without_a_crs() -> Iterator[None]:
    """Silence pyogrio where the layer has no CRS, or is there and has it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        yield
