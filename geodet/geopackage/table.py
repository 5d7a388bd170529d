"""A layer of a GeoPackage, which is written row by row with its spatial index."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS

from geodet.files.closable import Closing
from geodet.geometry.arrays import Floats, Ints, shape_bounds
from geodet.geopackage.packed_index import PackedIndex, round_outward
from geodet.geopackage.tables import (
    GEOMETRY,
    add_index,
    add_layer,
    complete_layer,
    create_tables,
    quoted,
)
from geodet.geopackage.wkb_encoding import pack_geopackage

__all__ = ["GeoPackageTable", "changing_unfinished"]

_SETTINGS = (
    "journal_mode = OFF",
    "synchronous = OFF",
    "locking_mode = EXCLUSIVE",
    "cache_size = -2000",
)
"""The file need not survive a crash: it is discarded then."""


@contextlib.contextmanager
def changing_unfinished(path: Path) -> Iterator[sqlite3.Connection]:
    """Connect to a file that is discarded if the ``with`` block fails; at its end all is written.

    Args:
        path: A database that no other program has open.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    with contextlib.closing(_open(path)) as database:
        yield database
        database.execute("COMMIT")


class GeoPackageTable(Closing):
    """The rows of a new layer, written in a thread while the caller finds more.

    It is incomplete, and to be discarded, unless it is finished.

    Args:
        path: A GeoPackage without the layer, or a file that does not exist.
        name: Name of the layer: a plain word.
        columns: Their types in SQL by their names, in order, without key and geometry.
        geometry_type: ``Polygon`` or ``Point``.
        crs: CRS of the coordinates.
        indexed: Whether the layer gets a spatial index.

    Raises:
        sqlite3.Error: The layer is there, or the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        columns: Mapping[str, str],
        geometry_type: str,
        crs: CRS | None,
        *,
        indexed: bool = True,
    ) -> None:
        self._name = name
        self._count = self._placed = 0
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        self._database = _open(path)
        try:
            create_tables(self._database)
            self._srs = add_layer(self._database, name, columns, geometry_type, crs)
            index = add_index(self._database, name) if indexed else None
            self._index = PackedIndex(self._database, index) if index else None
        except BaseException:
            self._database.close()
            raise
        names = ", ".join(map(quoted, (GEOMETRY, *columns)))
        places = ", ".join("?" for _ in (GEOMETRY, *columns))
        self._thread = ThreadPoolExecutor(1, "geodet-write")
        self._writing: Future[None] | None = None
        self._insert = f'INSERT INTO "{name}" ({names}) VALUES ({places})'

    @property
    def is_placed(self) -> bool:
        """Whether all rows so far have a place."""
        return self._placed == self._count

    def add(self, columns: Sequence[Sequence[Any]], coordinates: Floats) -> None:
        """Add N rows, when those before are written.

        Args:
            columns: N values of each column, None where one is unknown.
            coordinates: (N, 4, 2) corners of polygons or (N, 1, 2) points, NaN where unknown.

        Raises:
            sqlite3.Error: They, or those before them, cannot be written.
        """
        self._wait()
        self._writing = self._thread.submit(self._add, columns, coordinates)

    def _add(self, columns: Sequence[Sequence[Any]], coordinates: Floats) -> None:
        bounds = shape_bounds(coordinates)
        placed = ~np.isnan(bounds).any(axis=1)
        shapes = pack_geopackage(coordinates, bounds, self._srs)
        for number in np.flatnonzero(~placed).tolist():
            shapes[number] = None
        self._database.executemany(self._insert, zip(shapes, *columns, strict=True))
        numbers = self._count + 1 + np.flatnonzero(placed)
        self._count += len(coordinates)
        self._placed += len(numbers)
        if len(numbers):
            self._note(numbers, bounds[placed])

    def finish(self) -> None:
        """Complete the layer and its index.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        self._wait()
        if self._index is not None:
            self._index.finish()
        has_index = self._index is not None
        complete_layer(self._database, self._name, self._count, self._bounds, indexed=has_index)
        self._database.execute("COMMIT")
        self.close()

    def close(self) -> None:
        """Close the file; what is not finished is left incomplete."""
        self._thread.shutdown()
        with contextlib.suppress(sqlite3.Error):  # of a full disk
            self._database.close()

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _note(self, numbers: Ints, bounds: Floats) -> None:
        """Extend the bounds of the layer, and put rows in its index."""
        self._bounds[:2] = np.minimum(self._bounds[:2], bounds[:, :2].min(axis=0))
        self._bounds[2:] = np.maximum(self._bounds[2:], bounds[:, 2:].max(axis=0))
        if self._index is not None:
            self._index.add(numbers, round_outward(bounds))


def _open(path: Path) -> sqlite3.Connection:
    """Open a file and begin a transaction."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for setting in _SETTINGS:
            database.execute(f"PRAGMA {setting}")
        database.execute("BEGIN")
    except BaseException:
        database.close()
        raise
    return database
