"""Detections in a GeoPackage, with a spatial index and a style; rows can be added later."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from pyproj import CRS

from geodet.errors import OutputError
from geodet.files.pending import PendingOutput
from geodet.geopackage.layer_metadata import LayerMetadata
from geodet.geopackage.table import GeoPackageTable, changing_unfinished
from geodet.vector.file_dates import set_dates
from geodet.vector.geopackage_append import append_rows, check_scenes, reading_database
from geodet.vector.geopackage_scenes import HeldScenes
from geodet.vector.images_append import has_images
from geodet.vector.images_layer import add_images, write_images
from geodet.vector.layer_table import open_table
from geodet.vector.not_examined import add_not_examined, write_not_examined
from geodet.vector.oriented_fields import ORIENTED_FIELDS
from geodet.vector.rows import APPROXIMATE, FIELDS, LAYER, TEXTS, FileLayer, Rows
from geodet.vector.stored_styles import add_style
from geodet.vector.writer import RowWriter, raising_os_errors

__all__ = ["GeoPackageAppender", "GeoPackageWriter", "StoredLayer", "check_appendable"]

_TYPES = dict.fromkeys(TEXTS, ("TEXT",))
_NUMBERS = ("REAL", "DOUBLE", "FLOAT")


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """The layer that a GeoPackage holds."""

    geometry_type: str
    """Type of the geometry in capitals, such as ``POLYGON``."""
    crs: CRS | None
    """CRS of its coordinates."""
    has_photographs: bool
    """Whether its objects are those of photographs, which are a layer of their own."""
    has_oriented: bool
    """Whether its boxes stand at any angle, and have the columns of such boxes."""


class _TableWriter(RowWriter):
    """Writes rows to a table of the temporary file."""

    _table: GeoPackageTable

    def _close(self) -> None:
        self._table.close()

    def _add_rows(self, rows: Rows) -> None:
        with raising_os_errors():
            self._table.add(rows.columns, rows.coordinates)


class GeoPackageWriter(_TableWriter):
    """Writes a GeoPackage."""

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        super().__init__(output, layer)
        with raising_os_errors():
            self._table = open_table(self._temporary, layer)

    def _complete(self) -> None:
        with raising_os_errors():
            self._table.finish()
            layer = self._layer
            with changing_unfinished(self._temporary) as database:
                self._store_metadata(database)
                add_style(database, LAYER, layer.classes, geometry=layer.geometry)
            if self._not_examined:
                add_not_examined(self._temporary, self._not_examined, layer.crs, layer.photographs)
            if (images := self._images) is not None:
                add_images(self._temporary, images)
            set_dates(self._temporary)

    def _write_not_examined(self) -> None:
        """Remove the file of an earlier run beside the output: the areas are a layer here."""
        write_not_examined(self._layer.path, (), None)

    def _write_images(self) -> None:
        """Remove the file of an earlier run beside the output: the pictures are a layer here."""
        write_images(self._layer.path, None)

    def _store_metadata(self, database: sqlite3.Connection) -> None:
        """Store the metadata, and the run if rows were to be appended had the file existed."""
        layer = self._layer
        known = LayerMetadata(database, LAYER)
        held = HeldScenes(known, layer.model)  # before the ground is there, which scenes hold
        known.join(layer.metadata)
        if layer.searched is not None:
            held.add(layer.searched)
            held.store()
        if layer.append is not None and layer.append.run:
            known.add_run(layer.append.run)
        known.store()


class GeoPackageAppender(_TableWriter):
    """Collects rows, and adds them to a GeoPackage that exists when all are there."""

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        super().__init__(output, layer)
        with raising_os_errors():
            _check_same(check_appendable(layer.path), layer)
            check_scenes(layer)
            self._table = open_table(self._temporary, layer, indexed=False)

    def _write_images(self) -> None:
        """Do nothing: they are a layer of the file."""

    def _complete(self) -> None:
        with raising_os_errors():
            self._table.finish()
            if (images := self._images) is not None:
                add_images(self._temporary, images)
            _check_same(check_appendable(self._layer.path), self._layer)
            append_rows(self._layer, self._temporary, sorted(self._scenes))


def check_appendable(path: Path) -> StoredLayer:
    """Check that a file holds detections in the layout of this module.

    GDAL is not asked: within one process it would end the locks that Python's SQLite has on a file.

    Raises:
        OutputError: It is another file, lacks a field or the spatial index, or another program is
            writing to it.
    """
    if not os.access(path, os.W_OK):
        raise OutputError(
            f"{path} is read-only", hint="change its permissions, or append to a copy", path=path
        )
    try:
        with reading_database(path) as database:
            found = database.execute(_FIND_LAYER, (LAYER,)).fetchone()
            columns = {
                name: kind.upper().partition("(")[0]
                for _, name, kind, *_ in database.execute(f'PRAGMA table_info("{LAYER}")')
            }
            has_photographs = APPROXIMATE in columns and has_images(database)
            index = f"rtree_{LAYER}_{found[1]}" if found else ""
            is_indexed = database.execute(_COUNT_TABLES, (index,)).fetchone()[0]
            stored = (
                StoredLayer(
                    found[0],
                    _read_crs(database, found[2]),
                    has_photographs,
                    set(ORIENTED_FIELDS) <= set(columns),
                )
                if found
                else None
            )
    except sqlite3.DatabaseError as error:
        raise _no_layer(path) from error
    if stored is None:
        raise _no_layer(path)
    wrong = [name for name in FIELDS if columns.get(name) not in _TYPES.get(name, _NUMBERS)]
    if wrong or not is_indexed:
        missing = f"the field {wrong[0]}" if wrong else "its spatial index"
        raise OutputError(
            f"the layer {LAYER} of {path} lacks {missing}",
            hint="append to a file of geodet detect whose layer is unchanged",
            path=path,
        )
    return stored


_FIND_LAYER = """
SELECT g.geometry_type_name, g.column_name, g.srs_id FROM gpkg_geometry_columns g
JOIN gpkg_contents c ON c.table_name = g.table_name
WHERE g.table_name = ? AND c.data_type = 'features'
"""
_COUNT_TABLES = "SELECT count(*) FROM sqlite_master WHERE name = ?"


def _no_layer(path: Path) -> OutputError:
    return OutputError(
        f"{path} has no layer {LAYER} to append to",
        hint="append to a file of geodet detect",
        path=path,
    )


def _read_crs(database: sqlite3.Connection, srs_id: int) -> CRS | None:
    """Read a CRS; None for the numbers of the standard that stand for none."""
    if srs_id in (-1, 0):
        return None
    query = "SELECT * FROM gpkg_spatial_ref_sys WHERE srs_id = ?"
    read = database.execute(query, (srs_id,))
    values = dict(zip([column[0] for column in read.description], read.fetchone(), strict=True))
    # the second one has WKT 2, which the first cannot hold of every CRS
    texts = (values["definition"], values.get("definition_12_063"))
    text = next(text for text in texts if text not in (None, "", "undefined"))
    code = f"{values['organization']}:{values['organization_coordsys_id']}"
    return CRS.from_user_input(code if values["organization"].upper() == "EPSG" else text)


def _check_same(stored: StoredLayer, layer: FileLayer) -> None:
    """Check that new rows have the CRS and the geometry of those in the file.

    Raises:
        OutputError: The CRS or the kind of geometry differs, or only one has photographs.
    """
    if stored.has_photographs != (layer.photographs is not None):
        kinds = "photographs", "georeferenced scenes"
        held, new = kinds if stored.has_photographs else kinds[::-1]
        raise OutputError(
            f"{layer.path} holds objects of {held}, and the new rows are of {new}",
            hint="write them to a file of their own",
            path=layer.path,
        )
    if stored.has_oriented != layer.oriented:
        kinds = "oriented", "axis-aligned"
        held, new = kinds if stored.has_oriented else kinds[::-1]
        raise OutputError(
            f"{layer.path} holds {held} boxes, and the new rows are {new} ones",
            hint="write them to a file of their own",
            path=layer.path,
        )
    wanted = layer.geometry_type
    if stored.geometry_type.upper() != wanted.upper():
        raise OutputError(
            f"{layer.path} holds {stored.geometry_type.lower()}s, not {wanted.lower()}s",
            hint="write the same geometry, or to a file of its own",
            path=layer.path,
        )
    known = stored.crs
    if (known is None) != (layer.crs is None) or (
        known is not None and not known.equals(layer.crs, ignore_axis_order=True)
    ):
        names = [crs.name if crs is not None else "no CRS" for crs in (known, layer.crs)]
        raise OutputError(
            f"{layer.path} is in {names[0]}, and the new rows are in {names[1]}",
            hint="write them to a file of their own",
            path=layer.path,
        )
