"""Decisions on detections, in a GeoPackage that is written with each decision."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
from pyproj import CRS

from geodet.errors import OutputError, VectorError
from geodet.files.decisions import LABELS_LAYER, REJECTED_LAYER, WINDOWS_LAYER
from geodet.files.outputs import check_apart, check_destination, replacing
from geodet.geometry.geobox import GeoBox
from geodet.reviewing.reviewed_items import ReviewedObject, ReviewedWindow
from geodet.reviewing.reviewed_scenes import add_places, enter_scene
from geodet.reviewing.scene_rows import SceneRows
from geodet.reviewing.stored_geometries import encode_polygon
from geodet.vector.formats import LAYER_SEPARATOR
from geodet.vector.polygon_layers import write_polygons
from geodet.vector.vector_files import read_extent

__all__ = [
    "ReviewFile",
    "check_review_layers",
    "check_reviews",
    "write_review_layers",
]

_OBJECT_TYPES: dict[str, str] = {
    **{"source": "int64", "origin": "str", "verdict": "str", "label": "str", "score": "float64"},
    **{"scene": "str", "x1_px": "float64", "y1_px": "float64", "x2_px": "float64"},
    **{"y2_px": "float64", "length_px": "float64", "width_px": "float64", "angle_px": "float64"},
    **{"reviewed_at": "str"},
}
_WINDOW_TYPES = {
    **dict.fromkeys(("col_off", "row_off", "width", "height"), "int64"),
    **{"scene": "str", "reviewed_at": "str"},
}
_TYPES = {LABELS_LAYER: _OBJECT_TYPES, REJECTED_LAYER: _OBJECT_TYPES, WINDOWS_LAYER: _WINDOW_TYPES}
_HINT = "give a new file, or one that geodet view wrote with --reviews"
_UNWRITTEN = {  # codes of SQLite where the file may be a right one
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM),
    *(sqlite3.SQLITE_CANTOPEN,),
}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class ReviewFile:
    """The decisions on a scene, in a GeoPackage that may hold those on other scenes, too.

    The layers are ``labels``, all objects that are right; ``rejected``; and ``windows``. Each
    change is one transaction, so the file is complete whenever the program ends.

    Args:
        path: The file; created if it does not exist.
        scene: Path of the scene, its folders joined by slashes; scenes that share a file name are
            told apart by their places.
        geobox: Geobox of the scene.
        origin: Identifies the detections that are reviewed; empty: none.

    Raises:
        OutputError: The file cannot be written, is of another kind, cannot hold places of the
            scene, or holds decisions on other detections of the scene.
        VectorError: A row of the file lacks its place or its class.
    """

    def __init__(self, path: Path, scene: str, geobox: GeoBox, *, origin: str = "") -> None:
        self.path, self._geobox, self._origin = path, geobox, origin
        if not path.exists():
            with replacing(path) as temporary:
                write_review_layers(temporary, geobox.crs, {})
        # GDAL is not asked while SQLite has the file: within one process it would end its locks.
        self._crs = _read_crs(path, geobox)
        with _transaction(path) as database:
            self._reference = _check_layers(database, path)
            database.execute("BEGIN IMMEDIATE")
            self.scene = enter_scene(database, scene, geobox, self._crs)
            """Name of the scene in the rows of the file."""
            rows = SceneRows(database, path, self.scene, geobox, self._crs)
            self.objects = {one.id: one for one in self._read_objects(rows)}
            """The decisions on the scene, by identifier."""
            self.windows = {one.id: one for one in rows.windows()}
            """The reviewed windows of the scene, by identifier."""
            self._rows = self._hash_rows(database, [*self.objects.values(), *self.windows.values()])
            self._last_id = max([0, *self.objects, *self.windows])

    def take_id(self) -> int:
        """Return an identifier that no layer has had, and that no other program is given.

        Raises:
            OutputError: The file cannot be written.
        """
        return self.take_ids(1)[0]

    def take_ids(self, count: int) -> range:
        """Return identifiers that no layer has had, in one transaction, which waits for the disk.

        Args:
            count: At least 1.

        Raises:
            OutputError: The file cannot be written, or lacks decisions that were written to it.
        """
        with _transaction(self.path) as database:
            database.execute("BEGIN IMMEDIATE")  # a program with another scene may ask, too
            tables = ", ".join(f"'{layer}'" for layer in _TYPES)
            query = f"SELECT max(seq) FROM sqlite_sequence WHERE name IN ({tables})"
            before = database.execute(query).fetchone()[0] or 0
            if before < self._last_id:  # an earlier copy was put in the place of the file
                raise self._changed_elsewhere()
            # SQLite keeps there the largest identifier that a table has ever had.
            database.execute("DELETE FROM sqlite_sequence WHERE name = ?", (LABELS_LAYER,))
            row = LABELS_LAYER, before + count
            database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", row)
        self._last_id = before + count
        return range(before + 1, before + count + 1)

    def replace(
        self,
        old: Sequence[ReviewedObject | ReviewedWindow],
        new: Sequence[ReviewedObject | ReviewedWindow],
    ) -> None:
        """Put decisions in the place of others, in one transaction.

        Raises:
            OutputError: The file cannot be written, or another program has changed these decisions
                since they were read; it is as before.
        """
        with _transaction(self.path) as database:
            if any(self._rows[key] != row for key, row in self._hash_rows(database, old).items()):
                raise self._changed_elsewhere()
            for one in old:
                database.execute(f"DELETE FROM {_layer_of(one)} WHERE fid = ?", (one.id,))
            if any(self._is_known(database, one) for one in new):
                raise self._changed_elsewhere()
            for one in new:
                self._insert(database, one)
            rows = self._hash_rows(database, new)
        self._rows |= rows
        for one in old:
            self._known(one).pop(one.id)
        for one in new:
            self._known(one)[one.id] = one

    def _hash_rows(
        self, database: sqlite3.Connection, items: Sequence[ReviewedObject | ReviewedWindow]
    ) -> dict[tuple[str, int], int]:
        """Return a value of each row, another one after another program has changed the row."""
        found = {}
        for one in items:
            layer = _layer_of(one)
            query = f"SELECT geom, {', '.join(_TYPES[layer])} FROM {layer} WHERE fid = ?"
            found[layer, one.id] = hash(database.execute(query, (one.id,)).fetchone())
        return found

    def _is_known(self, database: sqlite3.Connection, one: ReviewedObject | ReviewedWindow) -> bool:
        """Whether the file has a decision on the same detection, or the same window."""
        if isinstance(one, ReviewedWindow):
            layers: tuple[str, ...] = (WINDOWS_LAYER,)
            place = one.columns()
        elif one.source is None:
            return False
        else:
            layers, place = (LABELS_LAYER, REJECTED_LAYER), {"source": one.source}
        same = " AND ".join(f"{name} = ?" for name in ("scene", *place))
        values = self.scene, *place.values()
        return any(
            database.execute(f"SELECT 1 FROM {layer} WHERE {same}", values).fetchone()
            for layer in layers
        )

    def _changed_elsewhere(self) -> OutputError:
        return OutputError(
            f"another program has changed the reviews of {self.scene} in {self.path}",
            hint="end geodet view with Ctrl-C and start it again to read them",
            path=self.path,
        )

    def _known(self, one: ReviewedObject | ReviewedWindow) -> dict[int, Any]:
        return self.objects if isinstance(one, ReviewedObject) else self.windows

    def _insert(self, database: sqlite3.Connection, one: ReviewedObject | ReviewedWindow) -> None:
        values = one.columns()
        if isinstance(one, ReviewedObject):
            values["origin"] = self._origin
        corners = self._geobox.to_world(one.corners_px, self._crs)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        values |= {"fid": one.id, "geom": encode_polygon(corners, self._reference)}
        values |= {"scene": self.scene, "reviewed_at": now}
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        layer = _layer_of(one)
        database.execute(
            f"INSERT INTO {layer} ({columns}) VALUES ({marks})", tuple(values.values())
        )

    def _read_objects(self, rows: SceneRows) -> Iterator[ReviewedObject]:
        for layer in (LABELS_LAYER, REJECTED_LAYER):
            for one, origin in rows.objects(layer):
                if one.source is not None and origin != self._origin:
                    raise OutputError(
                        f"{self.path} has decisions on other detections of {self.scene}",
                        hint="open it with the file of detections that was reviewed, or give "
                        "another --reviews",
                        path=self.path,
                    )
                yield one


def write_review_layers(path: Path, crs: CRS | None, geoboxes: Mapping[str, GeoBox]) -> None:
    """Write a GeoPackage with the layers of reviews, all of them empty, and the places of scenes.

    Args:
        path: A file that is not there.
        crs: CRS of the scenes; None: they have none.
        geoboxes: Geoboxes of scenes whose rows will be added, by name.

    Raises:
        OutputError: The file cannot be written.
    """
    for layer, types in _TYPES.items():
        columns = {name: pd.Series([], dtype=kind) for name, kind in types.items()}
        frame = geopandas.GeoDataFrame(columns, geometry=[], crs=crs)
        write_polygons(path, layer, frame, is_edited=True)
    with _transaction(path) as database:
        add_places(database, geoboxes, crs)


def check_reviews(path: Path, inputs: Sequence[Path]) -> None:
    """Check the name of a file of reviews before anything is read.

    Args:
        path: The file.
        inputs: Files that are read, and never written to.

    Raises:
        OutputError: It is not called ``.gpkg``, is one of the inputs, or has no folder.
    """
    check_destination(path, (".gpkg",), overwrite=False, append=True)
    check_apart([path], inputs)


def check_review_layers(path: Path, geobox: GeoBox) -> None:
    """Check that a file, if it is there, can hold reviews of a scene.

    Args:
        path: The file.
        geobox: Geobox of the scene.

    Raises:
        OutputError: It is of another kind, cannot be written, or cannot hold places of the scene.
    """
    if path.exists():
        _read_crs(path, geobox)
        with _transaction(path) as database:
            _check_layers(database, path)


@contextlib.contextmanager
def _transaction(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        address = f"{path.resolve().as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database, database:
            yield database
    except sqlite3.Error as error:
        what = f"cannot write reviews to {path}: {error}"
        if not path.exists():
            what = f"{path} was moved or deleted, with the decisions in it"
        raise OutputError(what, hint=_hint_at(error, path), path=path) from error


def _hint_at(error: sqlite3.Error, path: Path) -> str:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if not path.exists():
        return "put it back, or start geodet view again for a new file"
    if code in _UNWRITTEN:
        return f"check the free space and the permissions of {path.parent}"
    if code in _LOCKED:
        return "save the edits and close it in other programs, for example in QGIS"
    return _HINT


def _layer_of(one: ReviewedObject | ReviewedWindow) -> str:
    if isinstance(one, ReviewedWindow):
        return WINDOWS_LAYER
    return REJECTED_LAYER if one.verdict == "rejected" else LABELS_LAYER


def _read_crs(path: Path, geobox: GeoBox) -> CRS | None:
    """Return the CRS of a file of reviews, in which a scene must have a place."""
    try:
        stored = read_extent(f"{path}{LAYER_SEPARATOR}{LABELS_LAYER}")[0]
    except VectorError as error:
        _check_not_locked(path)
        raise OutputError(f"{path} is not a file of reviews", hint=_HINT, path=path) from error
    own = geobox.crs
    if (stored is None) != (own is None) or not _has_place(geobox, stored):
        raise OutputError(
            f"{path} is in {'no CRS' if stored is None else stored.name}, and the scene in "
            f"{'no CRS' if own is None else own.name}",
            hint="give another --reviews for this scene",
            path=path,
        )
    return stored


def _check_not_locked(path: Path) -> None:
    """Check that no other program holds a file exclusively, in which case nothing can read it."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=0)) as database:
            database.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED:
            raise OutputError(
                f"cannot read {path}: another program has locked it",
                hint=_hint_at(error, path),
                path=path,
            ) from error


def _has_place(geobox: GeoBox, crs: CRS | None) -> bool:
    """Whether a CRS has places for the corners of a scene."""
    whole = np.array([[0, 0, geobox.width, geobox.height]], np.float64)
    try:
        return bool(np.isfinite(geobox.corners(whole, crs)).all())
    except VectorError:
        return False


def _check_layers(database: sqlite3.Connection, path: Path) -> int:
    """Check that a file is one of reviews; return the number of its CRS."""
    references = set()
    for layer, types in _TYPES.items():
        there = {row[1] for row in database.execute(f'PRAGMA table_info("{layer}")')}
        if not {"fid", "geom", *types} <= there:
            raise OutputError(f"{path} is not a file of reviews", hint=_HINT, path=path)
        query = "SELECT srs_id FROM gpkg_geometry_columns WHERE table_name = ?"
        references.add(database.execute(query, (layer,)).fetchone()[0])
    if not os.access(path, os.W_OK) or len(references) != 1:
        raise OutputError(f"{path} cannot be written to", hint=_HINT, path=path)
    return int(references.pop())
