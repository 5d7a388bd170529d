"""The layer of a GeoPackage, which GDAL writes with its spatial index.

GDAL builds an index fastest when a call that wrote the whole layer ends. So the rows, however long
they take to be found, go to one call, which takes them in a thread of its own.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import shapely
from pyproj import CRS

from geodet.files.closable import Closing
from geodet.files.gdal_paths import gdal_path
from geodet.vector.arrow_rows import arrow_types, to_arrow
from geodet.vector.formats import Geometry
from geodet.vector.lazy_modules import pyogrio
from geodet.vector.rows import FIELDS, LAYER, TEXTS, Rows, VectorLayer, crs_text

__all__ = ["GEOMETRY_TYPES", "GeoPackageTable", "write_layer_metadata"]

GEOMETRY_TYPES: Mapping[Geometry, str] = {"box": "Polygon", "centroid": "Point"}

_GEOMETRY = "geom"

# GDAL keeps 40 bytes of each row in memory until it builds the index. Rows beyond these go into the
# finished index one by one, which takes three times as long and no memory.
_INDEXED_AT_ONCE = 2_000_000

_ROWS_IN_A_ROW = 2_000  # 4 ms

# The format's -1, which pyogrio writes without the warning that it gives where there is no CRS.
_NO_CRS = 'LOCAL_CS["Undefined Cartesian SRS"]'


class GeoPackageTable(Closing):
    """The rows of the layer ``detections`` in a new GeoPackage.

    Args:
        path: A file that does not exist.
        layer: What the file is to hold.
        indexed: Whether the layer gets a spatial index.
    """

    def __init__(self, path: Path, layer: VectorLayer, *, indexed: bool = True) -> None:
        self._path = path
        self._layer = layer
        self._indexed = indexed
        self._added = self._unplaced = 0
        self._limit = _INDEXED_AT_ONCE if indexed else None
        self._stream = self._open_stream(append=False)

    @property
    def is_placed(self) -> bool:
        """Whether all rows so far have a place."""
        return not self._unplaced

    def add(self, rows: Rows) -> None:
        """Add rows.

        Raises:
            DataSourceError, DataLayerError: They, or those before them, cannot be written.
        """
        if self._limit is not None and self._added >= self._limit:
            self._limit = None
            self._stream.finish()
            self._stream = self._open_stream(append=True)
        self._stream.put(to_arrow(rows, _GEOMETRY))
        self._added += len(rows)
        self._unplaced += int((~rows.is_placed).sum())

    def finish(self) -> None:
        """Complete the layer and its index.

        Raises:
            DataSourceError, DataLayerError: It cannot be written.
            OSError: Not all of it was written.
        """
        self._stream.finish()
        expected, written = self._added, _count_rows(self._path)
        if written != expected:  # GDAL may not tell when a disk is full
            raise OSError(f"only {written} of {expected} rows were written")
        placed = expected - self._unplaced
        if self._indexed and (indexed := _count_indexed(self._path)) != placed:
            raise OSError(f"only {indexed} of {placed} rows are in the spatial index")

    def close(self) -> None:
        """Close the file; what is not finished is left incomplete."""
        self._stream.abort()

    def _open_stream(self, *, append: bool) -> _ArrowStream:
        types = arrow_types(self._layer.fields)
        schema = pyarrow.schema([*types.items(), (_GEOMETRY, pyarrow.binary())])
        return _ArrowStream(schema, lambda rows: self._write(rows, append=append))

    def _write(self, rows: pyarrow.RecordBatchReader, *, append: bool) -> None:
        options = {} if append else {"SPATIAL_INDEX": "YES" if self._indexed else "NO"}
        pyogrio.raw.write_arrow(
            rows,
            gdal_path(self._path),
            layer=LAYER,
            driver="GPKG",
            geometry_name=_GEOMETRY,
            geometry_type=GEOMETRY_TYPES[self._layer.geometry],
            crs=_crs_text(self._layer.crs),
            append=append,
            # QGIS 3.22, of Debian 12, warns of 1.4, which has nothing that is used here.
            dataset_options={} if append else {"VERSION": "1.3"},
            layer_options=options,
        )


class _AbortedError(Exception):
    """The stream ends without being complete."""


class _ArrowStream:
    """Batches for a function that reads them all, which runs in a thread of its own.

    It is called when the first batch is there: what it imports would delay the search before.

    Args:
        schema: Of the batches.
        read: Reads the stream to its end.
    """

    def __init__(
        self, schema: pyarrow.Schema, read: Callable[[pyarrow.RecordBatchReader], None]
    ) -> None:
        # One batch waits while another is written: the memory is that of three.
        self._batches: queue.Queue[pyarrow.RecordBatch | _AbortedError | None] = queue.Queue(1)
        self._error: BaseException | None = None
        self._begun, self._is_aborted = threading.Event(), False
        stream = pyarrow.RecordBatchReader.from_batches(schema, self._iter_batches())
        self._thread = threading.Thread(target=self._run, args=(read, stream), daemon=True)
        self._thread.start()

    def put(self, batch: pyarrow.RecordBatch | None) -> None:
        """Put a batch in the queue, or None at the end.

        Raises:
            Exception: What the function raised, at this batch or at an earlier one.
        """
        self._begun.set()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._batches.put(batch, timeout=0.05)
                return
        self._raise()

    def finish(self) -> None:
        """Wait until the function has read everything.

        Raises:
            Exception: What the function raised.
        """
        self.put(None)
        self._thread.join()
        self._raise()

    def abort(self) -> None:
        """Stop the function; after :meth:`finish` this does nothing."""
        self._is_aborted = True
        self._begun.set()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._batches.get_nowait()
            with contextlib.suppress(queue.Full):
                self._batches.put_nowait(_AbortedError())
            self._thread.join(0.05)

    def _iter_batches(self) -> Iterator[pyarrow.RecordBatch]:
        while (batch := self._batches.get()) is not None:
            if isinstance(batch, _AbortedError):
                raise batch
            # While pyogrio writes a batch, no other thread can run Python code.
            for start in range(0, len(batch), _ROWS_IN_A_ROW):
                yield batch.slice(start, _ROWS_IN_A_ROW)

    def _run(
        self, read: Callable[[pyarrow.RecordBatchReader], None], stream: pyarrow.RecordBatchReader
    ) -> None:
        self._begun.wait()
        if self._is_aborted:
            return
        try:
            read(stream)
        except BaseException as error:  # raised where the batches come from
            self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


def write_layer_metadata(path: Path, layer: VectorLayer) -> None:
    """Replace the metadata of the layer in a GeoPackage by those of ``layer``.

    Raises:
        DataSourceError, DataLayerError: It cannot be written.
    """
    empty = [np.zeros(0, object if name in TEXTS else np.float64) for name in FIELDS]
    pyogrio.raw.write(
        gdal_path(path),
        shapely.to_wkb(np.zeros(0, object)),
        empty,
        list(FIELDS),
        layer=LAYER,
        driver="GPKG",
        geometry_type=GEOMETRY_TYPES[layer.geometry],
        crs=_crs_text(layer.crs),
        append=True,
        layer_metadata=dict(layer.metadata) or None,
    )


def _crs_text(crs: CRS | None) -> str:
    return _NO_CRS if crs is None else crs_text(crs)


def _count_rows(path: Path) -> int:
    return int(_read_value(path, f'SELECT count(*) FROM "{LAYER}"'))


def _count_indexed(path: Path) -> int:
    return int(_read_value(path, f'SELECT count(*) FROM "rtree_{LAYER}_{_GEOMETRY}_rowid"'))


def _read_value(path: Path, query: str) -> Any:
    """Read one value of a database.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    address = f"{path.resolve().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
        return database.execute(query).fetchone()[0]
