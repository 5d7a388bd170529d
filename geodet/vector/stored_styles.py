"""Store the style of a layer where QGIS looks for it: in its GeoPackage, or in a file beside it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from geodet.errors import OutputError
from geodet.files.outputs import replacing
from geodet.vector.formats import Geometry, style_path
from geodet.vector.styles import qgis_style, style_classes

__all__ = ["add_style", "read_classes", "store_style", "write_style"]

_NAME = "geodet"
# As QGIS makes it.
_TABLE = """
CREATE TABLE IF NOT EXISTS layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
  f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
  useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
  update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))
"""
_REGISTER = """
INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier, description, srs_id)
VALUES ('layer_styles', 'attributes', 'layer_styles', 'Styles of the layers, for QGIS', 0)
"""
# A catalogue or schema that is null hides the style from QGIS.
_INSERT = """
INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column,
  styleName, styleQML, styleSLD, useAsDefault, description, owner)
VALUES ('', '', ?, ?, ?, ?, '', ?, 'Classes of detections, by geodet', '')
"""


def store_style(
    path: Path, layer: str, classes: Sequence[str], *, geometry: Geometry = "box"
) -> None:
    """Store a layer's style in its GeoPackage, where QGIS finds it when it opens the layer.

    An earlier style of geodet is replaced, and its classes keep their colours. A default that the
    user chose stays the default.

    Args:
        path: A GeoPackage.
        layer: Name of the layer.
        classes: Names of the classes; a name's place chooses its colour.
        geometry: What the layer holds of each object.

    Raises:
        OutputError: There is no such file or layer, or it cannot be written.
    """
    try:
        with contextlib.closing(_connect(path)) as database, database:
            _check_layer(database, path, layer)
            add_style(database, layer, classes, geometry=geometry)
    except sqlite3.Error as error:
        raise OutputError(
            f"cannot store a style in {path}: {error}",
            hint="check that it is a GeoPackage which no other program writes to",
            path=path,
        ) from error


def add_style(
    database: sqlite3.Connection, layer: str, classes: Sequence[str], *, geometry: Geometry = "box"
) -> None:
    """Store a style as :func:`store_style` does, in the transaction of an open GeoPackage.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    query = "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?"
    (column,) = database.execute(query, (layer,)).fetchone()
    database.execute(_TABLE)
    database.execute(_REGISTER)
    known = dict.fromkeys([*_take_classes(database, layer), *classes])
    qml = qgis_style(tuple(known), geometry=geometry)
    database.execute(_INSERT, (layer, column, _NAME, qml, not _has_default(database, layer)))


def write_style(path: Path, classes: Sequence[str], *, geometry: Geometry = "box") -> Path:
    """Write a style beside a vector file, with the name under which QGIS looks for it.

    Args:
        path: The vector file, such as a GeoJSON or a FlatGeobuf.
        classes: Names of the classes; a name's place chooses its colour.
        geometry: What the file holds of each object.

    Returns:
        The path of the style, :func:`style_path`. One that was there is replaced.

    Raises:
        OutputError: It cannot be written.
    """
    sidecar = style_path(path)
    with replacing(sidecar) as temporary:
        temporary.write_text(qgis_style(classes, geometry=geometry), encoding="utf-8")
    return sidecar


def read_classes(path: Path) -> list[str]:
    """Read the classes of geodet's style of a vector file, in the order of their colours.

    Returns:
        The names; none where there is no style, or one of another program.
    """
    sidecar = style_path(path)
    if path.suffix.lower() != ".gpkg":
        text = sidecar.read_text(encoding="utf-8", errors="replace") if sidecar.is_file() else ""
        return _readable_classes(text)
    query = "SELECT styleQML FROM layer_styles WHERE styleName = ? ORDER BY id"
    try:
        with contextlib.closing(_connect(path)) as database:
            found = database.execute(query, (_NAME,)).fetchall()
    except sqlite3.Error:  # no such file or table: no style
        return []
    return list(dict.fromkeys(name for (qml,) in found for name in _readable_classes(qml)))


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)


def _check_layer(database: sqlite3.Connection, path: Path, layer: str) -> None:
    query = "SELECT count(*) FROM gpkg_geometry_columns WHERE table_name = ?"
    if not database.execute(query, (layer,)).fetchone()[0]:
        raise OutputError(
            f"{path} has no layer {layer} with a geometry", hint="name one that it has", path=path
        )


def _take_classes(database: sqlite3.Connection, layer: str) -> list[str]:
    """Remove geodet's style of the layer and give the classes that it had."""
    rule = "WHERE f_table_name = ? AND styleName = ?"
    found = database.execute(f"SELECT styleQML FROM layer_styles {rule}", (layer, _NAME)).fetchall()
    database.execute(f"DELETE FROM layer_styles {rule}", (layer, _NAME))
    return [name for (qml,) in found for name in _readable_classes(qml)]


def _readable_classes(qml: str | None) -> list[str]:
    """Read the classes of a style; none of one that is damaged."""
    try:
        return style_classes(qml or "")
    except ValueError:
        return []


def _has_default(database: sqlite3.Connection, layer: str) -> bool:
    query = "SELECT count(*) FROM layer_styles WHERE f_table_name = ? AND useAsDefault"
    return bool(database.execute(query, (layer,)).fetchone()[0])
