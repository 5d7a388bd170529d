"""The tables of a GeoPackage: those of the standard, and those of a layer, as GDAL makes them.

Reference:
    OGC 12-128r17, "GeoPackage encoding standard 1.3", annexes C and F.3 (spatial index) and F.10
    (WKT of coordinate reference systems).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from itertools import chain, count

import numpy as np
from pyproj import CRS
from pyproj.exceptions import CRSError

from geodet.geometry.arrays import Floats

__all__ = [
    "GEOMETRY",
    "add_index",
    "add_layer",
    "add_srs",
    "complete_layer",
    "create_tables",
    "quoted",
]

GEOMETRY = "geom"
"""The column of the geometry."""

# QGIS 3.22, of Debian 12, warns of 1.4, which has nothing that is used here.
_VERSION = 10300
_APPLICATION = int.from_bytes(b"GPKG", "big")

_NO_CRS, _NO_DEGREES, _WGS84 = -1, 0, 4326
_NONE, _UNKNOWN = "NONE", "undefined"
_FIRST_OWN_SRS = 100_000  # where GDAL begins to number what has no code

_TABLES = (
    "CREATE TABLE IF NOT EXISTS gpkg_spatial_ref_sys (srs_name TEXT NOT NULL,"
    "srs_id INTEGER NOT NULL PRIMARY KEY,organization TEXT NOT NULL,"
    "organization_coordsys_id INTEGER NOT NULL,definition  TEXT NOT NULL,description TEXT)",
    "CREATE TABLE IF NOT EXISTS gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY,"
    "data_type TEXT NOT NULL,identifier TEXT UNIQUE,description TEXT DEFAULT '',"
    "last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),"
    "min_x DOUBLE, min_y DOUBLE,max_x DOUBLE, max_y DOUBLE,srs_id INTEGER,"
    "CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id))",
    "CREATE TABLE IF NOT EXISTS gpkg_ogr_contents(table_name TEXT NOT NULL PRIMARY KEY,"
    "feature_count INTEGER DEFAULT NULL)",
    "CREATE TABLE IF NOT EXISTS gpkg_geometry_columns (table_name TEXT NOT NULL,"
    "column_name TEXT NOT NULL,geometry_type_name TEXT NOT NULL,srs_id INTEGER NOT NULL,"
    "z TINYINT NOT NULL,m TINYINT NOT NULL,"
    "CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),"
    "CONSTRAINT uk_gc_table_name UNIQUE (table_name),"
    "CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),"
    "CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id))",
    "CREATE TABLE IF NOT EXISTS gpkg_extensions (table_name TEXT,column_name TEXT,"
    "extension_name TEXT NOT NULL,definition TEXT NOT NULL,scope TEXT NOT NULL,"
    "CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name))",
)
# The rows that the standard requires, in GDAL's words.
_REQUIRED = (
    (
        "Undefined Cartesian SRS",
        *(_NO_CRS, _NONE, _NO_CRS, _UNKNOWN),
        "undefined Cartesian coordinate reference system",
    ),
    (
        "Undefined geographic SRS",
        *(_NO_DEGREES, _NONE, _NO_DEGREES, _UNKNOWN),
        "undefined geographic coordinate reference system",
    ),
    (
        "WGS 84 geodetic",
        *(_WGS84, "EPSG", _WGS84, CRS.from_epsg(_WGS84).to_wkt("WKT1_GDAL")),
        "longitude/latitude coordinates in decimal degrees on the WGS 84 spheroid",
    ),
)
_ADD_SRS = """
INSERT OR IGNORE INTO gpkg_spatial_ref_sys
  (srs_name, srs_id, organization, organization_coordsys_id, definition, description)
VALUES (?, ?, ?, ?, ?, ?)
"""
_FIND_SRS = """
SELECT srs_id, organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys
"""
_ADD_EXTENSION = "INSERT OR IGNORE INTO gpkg_extensions VALUES (?, ?, ?, ?, ?)"
_SPECIFICATION = "http://www.geopackage.org/spec120/#extension_"

# How the index follows what a user edits: GDAL and QGIS bring the functions.
_INDEX_TRIGGERS = (
    """
CREATE TRIGGER "{index}_insert" AFTER INSERT ON "{table}"
WHEN (new."geom" NOT NULL AND NOT ST_IsEmpty(NEW."geom"))
BEGIN {insert}; END
""",
    """
CREATE TRIGGER "{index}_update1" AFTER UPDATE OF "geom" ON "{table}"
WHEN OLD."fid" = NEW."fid" AND (NEW."geom" NOTNULL AND NOT ST_IsEmpty(NEW."geom"))
BEGIN {insert}; END
""",
    """
CREATE TRIGGER "{index}_update2" AFTER UPDATE OF "geom" ON "{table}"
WHEN OLD."fid" = NEW."fid" AND (NEW."geom" ISNULL OR ST_IsEmpty(NEW."geom"))
BEGIN {delete}; END
""",
    """
CREATE TRIGGER "{index}_update3" AFTER UPDATE ON "{table}"
WHEN OLD."fid" != NEW."fid" AND (NEW."geom" NOTNULL AND NOT ST_IsEmpty(NEW."geom"))
BEGIN {delete}; {insert}; END
""",
    """
CREATE TRIGGER "{index}_update4" AFTER UPDATE ON "{table}"
WHEN OLD."fid" != NEW."fid" AND (NEW."geom" ISNULL OR ST_IsEmpty(NEW."geom"))
BEGIN DELETE FROM "{index}" WHERE id IN (OLD."fid", NEW."fid"); END
""",
    """
CREATE TRIGGER "{index}_delete" AFTER DELETE ON "{table}"
WHEN old."geom" NOT NULL
BEGIN {delete}; END
""",
)
_INSERT = (
    'INSERT OR REPLACE INTO "{index}" VALUES (NEW."fid",'
    'ST_MinX(NEW."geom"), ST_MaxX(NEW."geom"),ST_MinY(NEW."geom"), ST_MaxY(NEW."geom"))'
)
_DELETE = 'DELETE FROM "{index}" WHERE id = OLD."fid"'
# How GDAL's count of the rows follows it.
_COUNT_TRIGGER = """
CREATE TRIGGER "trigger_{event}_feature_count_{table}" AFTER {when} ON "{table}"
BEGIN UPDATE gpkg_ogr_contents SET feature_count = feature_count {sign} 1
WHERE lower(table_name) = lower('{table}'); END
"""


def create_tables(database: sqlite3.Connection) -> None:
    """Create the tables of every GeoPackage in a database, where they are missing.

    Raises:
        sqlite3.Error: They cannot be written.
    """
    database.execute(f"PRAGMA application_id = {_APPLICATION}")
    database.execute(f"PRAGMA user_version = {_VERSION}")
    for table in _TABLES:
        database.execute(table)
    database.executemany(_ADD_SRS, _REQUIRED)


def add_srs(database: sqlite3.Connection, crs: CRS | None) -> int:
    """Add a coordinate reference system to a GeoPackage that lacks it, and return its number there.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    if crs is None:
        return _NO_CRS
    organization, code = crs.to_authority(min_confidence=100) or (_NONE, "")
    if not code.isdecimal():  # OGC:CRS84
        organization, code = _NONE, ""
    text, newer = _definitions(crs)
    rows = database.execute(_FIND_SRS).fetchall()
    for number, of, its_code, definition in rows:
        if (of.upper(), str(its_code)) == (organization, code) or (not code and definition == text):
            return int(number)
    taken = {number for number, *_ in rows}
    wanted = [int(code)] if code else []
    number = next(n for n in chain(wanted, count(_FIRST_OWN_SRS)) if n not in taken)
    row = (crs.name, number, organization, int(code) if code else number, text or _UNKNOWN, None)
    database.execute(_ADD_SRS, row)
    if newer:
        _add_newer_definition(database, number, newer)
    return number


def add_layer(
    database: sqlite3.Connection,
    table: str,
    columns: Mapping[str, str],
    geometry_type: str,
    crs: CRS | None,
) -> int:
    """Add an empty layer to a GeoPackage.

    Args:
        database: The file, with its tables.
        table: Name of the layer: a plain word.
        columns: Their types in SQL by their names, in order, without key and geometry.
        geometry_type: As the standard writes it.
        crs: CRS of the coordinates.

    Returns:
        The number of the CRS in the file.

    Raises:
        sqlite3.Error: It is there, or cannot be written.
    """
    srs = add_srs(database, crs)
    kind = geometry_type.upper()
    fields = "".join(f", {quoted(name)} {type}" for name, type in columns.items())
    key = '"fid" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL'
    database.execute(f'CREATE TABLE "{table}" ( {key}, "{GEOMETRY}" {kind}{fields})')
    contents = (
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) "
        "VALUES (?1, 'features', ?1, ?2)"
    )
    database.execute(contents, (table, srs))
    place = "INSERT INTO gpkg_geometry_columns VALUES (?, ?, ?, ?, 0, 0)"
    database.execute(place, (table, GEOMETRY, kind, srs))
    return srs


def add_index(database: sqlite3.Connection, table: str) -> str:
    """Add an empty spatial index of a layer, and return its name.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    index = f"rtree_{table}_{GEOMETRY}"
    database.execute(f'CREATE VIRTUAL TABLE "{index}" USING rtree(id, minx, maxx, miny, maxy)')
    about = (table, GEOMETRY, "gpkg_rtree_index", f"{_SPECIFICATION}rtree", "write-only")
    database.execute(_ADD_EXTENSION, about)
    return index


def complete_layer(
    database: sqlite3.Connection, table: str, rows: int, bounds: Floats, *, indexed: bool
) -> None:
    """Write the count and bounds of a layer, and triggers that keep count and index up to date.

    Args:
        database: The file.
        table: Name of the layer.
        rows: Number of rows.
        bounds: (4,) least x and y, greatest x and y; not finite where no row has a place.
        indexed: Whether it has a spatial index, which holds all rows by now.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    if np.isfinite(bounds).all():
        sides = "min_x = ?, min_y = ?, max_x = ?, max_y = ?"
        change = f"UPDATE gpkg_contents SET {sides} WHERE table_name = ?"
        database.execute(change, (*bounds.tolist(), table))
    index = f"rtree_{table}_{GEOMETRY}"
    names = {"table": table, "index": index}
    names |= {"insert": _INSERT.format(index=index), "delete": _DELETE.format(index=index)}
    for trigger in _INDEX_TRIGGERS if indexed else ():
        database.execute(_one_line(trigger.format(**names)))
    database.execute("INSERT INTO gpkg_ogr_contents VALUES (?, ?)", (table, rows))
    for event, sign in (("insert", "+"), ("delete", "-")):
        about = {"event": event, "when": event.upper(), "sign": sign, "table": table}
        database.execute(_one_line(_COUNT_TRIGGER.format(**about)))


def quoted(name: str) -> str:
    """Return the name of a column as SQL writes it.

    Example:
        >>> quoted('12" rails')
        '"12"" rails"'
    """
    return '"' + name.replace('"', '""') + '"'


def _definitions(crs: CRS) -> tuple[str | None, str | None]:
    """Return a CRS as WKT 1, which the standard requires, or else, where it cannot be, as WKT 2."""
    try:
        return str(crs.to_wkt("WKT1_GDAL")), None
    except CRSError:
        return None, str(crs.to_wkt("WKT2_2015"))


def _add_newer_definition(database: sqlite3.Connection, number: int, text: str) -> None:
    known = [row[1] for row in database.execute("PRAGMA table_info(gpkg_spatial_ref_sys)")]
    column = "definition_12_063"
    if column not in known:
        kind = f"TEXT NOT NULL DEFAULT '{_UNKNOWN}'"
        database.execute(f"ALTER TABLE gpkg_spatial_ref_sys ADD COLUMN {column} {kind}")
        of = ("gpkg_spatial_ref_sys", column, "gpkg_crs_wkt", f"{_SPECIFICATION}crs_wkt")
        database.execute(_ADD_EXTENSION, (*of, "read-write"))
    change = f"UPDATE gpkg_spatial_ref_sys SET {column} = ? WHERE srs_id = ?"
    database.execute(change, (text, number))


def _one_line(sql: str) -> str:
    return " ".join(sql.split("\n")).strip()
