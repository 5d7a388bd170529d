"""Rows that wait in temporary Arrow files, and are sorted along a Hilbert curve."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from geodet.files.closable import Closing
from geodet.geometry.arrays import Floats, Ints
from geodet.vector.lazy_modules import geopandas, ipc, pyarrow

__all__ = [
    "BBOX",
    "SIDES",
    "SpooledRows",
    "bbox_column",
    "hilbert_places",
    "iter_sorted",
    "sides_of",
    "split_spooled",
]

BBOX = "bbox"
"""The name of the column with the bounds of each row."""
SIDES = ("xmin", "ymin", "xmax", "ymax")
"""Fields of that column."""

_MOST_ROWS = 250_000  # that are sorted at once, about 100 MB
_LEVEL = 16  # of the curve, of which a cell is a 65,536th of the extent
_PREFIX_BITS = 16  # of the places along the curve by which rows are counted
_UNPLACED = 1 << (2 * _LEVEL)  # the place of rows without a geometry: after all others


class SpooledRows(Closing):
    """Rows in a temporary Arrow file, which is removed when they are closed.

    Args:
        path: Where the file will be.
        schema: Schema of the rows; one column is as :func:`bbox_column` makes it.
    """

    def __init__(self, path: Path, schema: pyarrow.Schema) -> None:
        self.path, self.schema = path, schema
        self.count = 0
        """Number of the rows."""
        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)
        self._writer: ipc.RecordBatchFileWriter | None = None

    @property
    def extent(self) -> Floats:
        """(4,) bounds of all rows, not finite where none has a place."""
        return np.concatenate([self._low, self._high])

    def add(self, batch: pyarrow.RecordBatch) -> None:
        """Write rows.

        Raises:
            OSError: They cannot be written.
        """
        if self._writer is None:
            options = ipc.IpcWriteOptions(compression="lz4")
            self._writer = ipc.new_file(str(self.path), self.schema, options=options)
        self._writer.write_batch(batch)
        sides = sides_of(batch)
        self._low = np.fmin(self._low, np.fmin.reduce(sides[:, :2], axis=0, initial=np.inf))
        self._high = np.fmax(self._high, np.fmax.reduce(sides[:, 2:], axis=0, initial=-np.inf))
        self.count += len(batch)

    def finish(self) -> None:
        """Close the file for writing; the rows stay.

        Raises:
            OSError: It cannot be written.
        """
        if self._writer is not None:
            self._writer.close()

    def iter_batches(self) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows in their order; no more can be added."""
        if self._writer is None:
            return
        self.finish()
        with pyarrow.OSFile(str(self.path)) as file, ipc.open_file(file) as reader:
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)

    def close(self) -> None:
        """Remove the file."""
        if self._writer is not None:
            with contextlib.suppress(OSError):  # of a full disk
                self._writer.close()
            self._writer = None
            self.path.unlink(missing_ok=True)


def bbox_column(bounds: Floats) -> pyarrow.StructArray:
    """Make the column of bounds, by which readers of GeoParquet filter.

    Args:
        bounds: (N, 4), NaN where a row has no place: it is null there.
    """
    unplaced = np.isnan(bounds).any(axis=1)
    sides = [pyarrow.array(np.ascontiguousarray(side)) for side in bounds.T]
    mask = pyarrow.array(unplaced) if unplaced.any() else None
    return pyarrow.StructArray.from_arrays(sides, names=list(SIDES), mask=mask)


def sides_of(batch: pyarrow.RecordBatch) -> Floats:
    """Return the bounds of rows: (N, 4), NaN where a row has no place."""
    columns = batch.column(BBOX).flatten()  # null where the row is
    return np.stack([side.to_numpy(zero_copy_only=False) for side in columns], axis=-1)


def iter_sorted(rows: SpooledRows) -> Iterator[pyarrow.Table]:
    """Yield rows along the Hilbert curve of their extent, those without a place last.

    Rows whose centres share a cell of the curve stay in their order. What is sorted at once is
    bounded: many rows are first split by where they lie along the curve.
    """
    extent = rows.extent
    if rows.count <= _MOST_ROWS:
        if rows.count:
            yield _sort(rows, extent)
        return
    counts = np.zeros((_UNPLACED >> _PREFIX_BITS) + 1, np.int64)
    for batch in rows.iter_batches():
        counts += np.bincount(_curve(batch, extent) >> _PREFIX_BITS, minlength=len(counts))
    runs = (np.cumsum(counts) - counts) // _MOST_ROWS  # of cells next to each other on the curve
    parts = split_spooled(rows, lambda batch: runs[_curve(batch, extent) >> _PREFIX_BITS])
    with contextlib.ExitStack() as opened:
        for part in parts.values():
            opened.enter_context(part)
        for run in sorted(parts):
            yield _sort(parts[run], extent)
            parts[run].close()


def split_spooled(
    rows: SpooledRows, number: Callable[[pyarrow.RecordBatch], Ints]
) -> dict[int, SpooledRows]:
    """Split rows into files beside theirs.

    Args:
        rows: All rows.
        number: Returns the numbers of the files that rows go to: (N,).

    Returns:
        The files by their numbers, each with its rows in their order.
    """
    parts: dict[int, SpooledRows] = {}
    for batch in rows.iter_batches():
        numbers = number(batch)
        for one in np.unique(numbers).tolist():
            if one not in parts:
                path = rows.path.with_name(f"{rows.path.stem}-{one}{rows.path.suffix}")
                parts[one] = SpooledRows(path, rows.schema)
            parts[one].add(batch.filter(pyarrow.array(numbers == one)))
    return parts


def _sort(rows: SpooledRows, extent: Floats) -> pyarrow.Table:
    batches = list(rows.iter_batches())
    places = np.concatenate([_curve(batch, extent) for batch in batches])
    order = np.argsort(places, kind="stable")
    return pyarrow.Table.from_batches(batches).combine_chunks().take(pyarrow.array(order))


def _curve(batch: pyarrow.RecordBatch, extent: Floats) -> Ints:
    """Return where rows lie along the Hilbert curve of an extent: (N,)."""
    return hilbert_places(sides_of(batch), extent)


def hilbert_places(sides: Floats, extent: Floats) -> Ints:
    """Return where boxes lie along the Hilbert curve of an extent.

    Args:
        sides: (N, 4) bounds, NaN where a box has no place: it lies after all others.
        extent: (4,) bounds of all.

    Returns:
        (N,) places.
    """
    centres = (sides[:, :2] + sides[:, 2:]) / 2
    placed = np.isfinite(centres).all(axis=1)
    places = np.full(len(sides), _UNPLACED, np.int64)
    if placed.any():
        points = geopandas.GeoSeries.from_xy(*centres[placed].T)
        places[placed] = points.hilbert_distance(tuple(extent), level=_LEVEL)
    return places
