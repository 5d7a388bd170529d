"""Detections in a GeoPackage, with a spatial index and a style; rows can be added later."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS

from geodet.errors import OutputError
from geodet.files.outputs import PendingOutput
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.geopackage_table import GEOMETRY_TYPES, GeoPackageTable, write_layer_metadata
from geodet.vector.rows import FIELDS, LAYER, Rows, VectorLayer
from geodet.vector.styles import store_style
from geodet.vector.writer import RowWriter, raising_os_errors

__all__ = ["GeoPackageWriter", "check_appendable"]

_logger = logging.getLogger(__name__)

_TYPES = {"label": "OFTString", "scene": "OFTString"}


class GeoPackageWriter(RowWriter):
    """Writes a GeoPackage, or a copy of one with more rows."""

    def __init__(self, output: PendingOutput, layer: VectorLayer) -> None:
        super().__init__(output, layer)
        self._scenes_before: set[str] = set()
        with raising_os_errors():
            if layer.append and layer.path.exists():
                _check_same(check_appendable(layer.path), layer)
                _copy(layer.path, self._temporary)
                self._scenes_before = _scenes(self._temporary)
            self._table = GeoPackageTable(self._temporary, layer)

    def _close(self) -> None:
        self._table.close()

    def _begin_scene(self, part: SceneDetections) -> None:
        super()._begin_scene(part)
        if part.scene in self._scenes_before:
            _logger.warning(
                "%s contains detections of %s already: the new ones are added to them",
                self._layer.path,
                part.scene,
            )

    def _add_rows(self, rows: Rows) -> None:
        with raising_os_errors():
            self._table.add(rows)

    def _complete(self) -> None:
        with raising_os_errors():
            self._table.finish()
            self._table.close()
            self._store_metadata()
        self._store_style()

    def _store_metadata(self) -> None:
        """Add the metadata to those of earlier runs."""
        known = pyogrio.read_info(self._temporary, layer=LAYER)["layer_metadata"] or {}
        joined = _joined(known, self._layer.metadata)
        if joined != known:
            write_layer_metadata(self._temporary, replace(self._layer, metadata=joined))

    def _store_style(self) -> None:
        """Add the style of the layer; on append, with the classes that it had."""
        layer = self._layer
        try:
            store_style(self._temporary, LAYER, layer.classes, geometry=layer.geometry)
        except OutputError as error:  # it names the temporary file
            raise OSError(str(error.__cause__ or error)) from error


def check_appendable(path: Path) -> dict[str, Any]:
    """Check that a file holds detections in the layout of this module.

    Returns:
        The layer's description by pyogrio.

    Raises:
        OutputError: It is another file, lacks a field or the spatial index, or is open elsewhere.
    """
    if path.with_name(f"{path.name}-wal").exists():  # later edits there would be lost
        raise OutputError(
            f"{path} is open in another program, or was when that program crashed",
            hint="close it there, for example in QGIS, or open it once more and close it",
            path=path,
        )
    with contextlib.suppress(sqlite3.Error):  # GDAL's message is clearer
        _open_to_read(path).close()
    try:
        info: dict[str, Any] = pyogrio.read_info(str(path), layer=LAYER)
    except (DataSourceError, DataLayerError) as error:
        raise OutputError(
            f"{path} has no layer {LAYER} to append to",
            hint="append to a file of geodet detect",
            path=path,
        ) from error
    types = dict(zip(info["fields"], info["ogr_types"], strict=True))
    wrong = [name for name in FIELDS if types.get(name) != _TYPES.get(name, "OFTReal")]
    if wrong or not info["capabilities"]["fast_spatial_filter"]:
        missing = f"the field {wrong[0]}" if wrong else "its spatial index"
        raise OutputError(
            f"the layer {LAYER} of {path} lacks {missing}",
            hint="append to a file as geodet detect wrote it",
            path=path,
        )
    return info


def _check_same(info: Mapping[str, Any], layer: VectorLayer) -> None:
    """Check that new rows have the CRS and the geometry of those in the file.

    Raises:
        OutputError: The CRS or the kind of geometry differs.
    """
    wanted = GEOMETRY_TYPES[layer.geometry]
    if info["geometry_type"] != wanted:
        raise OutputError(
            f"{layer.path} holds {info['geometry_type'].lower()}s, not {wanted.lower()}s",
            hint="write the same geometry, or to a file of its own",
            path=layer.path,
        )
    known = None if _srs_id(layer.path) == -1 else CRS.from_user_input(info["crs"])
    if (known is None) != (layer.crs is None) or (
        known is not None and not known.equals(layer.crs, ignore_axis_order=True)
    ):
        names = [crs.name if crs is not None else "no CRS" for crs in (known, layer.crs)]
        raise OutputError(
            f"{layer.path} is in {names[0]}, and the new rows are in {names[1]}",
            hint="write them to a file of their own",
            path=layer.path,
        )


def _srs_id(path: Path) -> int:
    query = "SELECT srs_id FROM gpkg_geometry_columns WHERE table_name = ?"
    with contextlib.closing(_open_to_read(path)) as database:
        return int(database.execute(query, (LAYER,)).fetchone()[0])


def _copy(path: Path, target: Path) -> None:
    """Copy a database, with what is still in its log."""
    with (
        contextlib.closing(_open_to_read(path)) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)


def _scenes(path: Path) -> set[str]:
    with contextlib.closing(_open_to_read(path)) as database:
        return {name for (name,) in database.execute(f'SELECT DISTINCT scene FROM "{LAYER}"')}


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open a database with a lock: no program can write to it until it is closed.

    Raises:
        OutputError: Another program is writing to it.
    """
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        database.execute("BEGIN")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        database.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        raise OutputError(
            f"another program is writing to {path}",
            hint="save and close it there, for example in QGIS",
            path=path,
        ) from error
    return database


def _joined(known: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Add metadata to those of earlier runs; a value that differs gets a number, ``model 2``."""
    joined = dict(known)
    for key, value in new.items():
        names = [key, *(f"{key} {run}" for run in range(2, len(known) + 3))]
        if value not in (joined.get(name) for name in names):
            joined[next(name for name in names if name not in joined)] = value
    return joined
