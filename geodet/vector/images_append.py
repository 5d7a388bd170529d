"""The layer of pictures in a GeoPackage that rows of more photographs are added to."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from geodet.geopackage.tables import quoted
from geodet.vector.images_layer import IMAGES, TOTAL, count_columns
from geodet.vector.rows import LAYER

__all__ = ["append_images", "extend_bounds", "has_images"]

_BOUNDS = (("min_x", "min"), ("min_y", "min"), ("max_x", "max"), ("max_y", "max"))


def has_images(database: sqlite3.Connection, schema: str = "main") -> bool:
    """Whether a GeoPackage has the layer of pictures."""
    query = f"SELECT count(*) FROM {schema}.sqlite_master WHERE type = 'table' AND name = ?"
    return bool(database.execute(query, (IMAGES,)).fetchone()[0])


def append_images(database: sqlite3.Connection, classes: Sequence[str]) -> None:
    """Add the pictures of ``fresh``, and count the objects of each again.

    A picture that the file has already, of another model, keeps the counts of its classes.

    Args:
        database: A GeoPackage, to which the rows of detections are added already.
        classes: Names of the classes of the new rows.
    """
    columns = _columns(database, "fresh")
    known = {name.casefold() for name in _columns(database, "main")}
    for name, kind in columns.items():
        if name.casefold() not in known:
            database.execute(f"ALTER TABLE main.{IMAGES} ADD COLUMN {quoted(name)} {kind}")
    names = ", ".join(quoted(name) for name in columns)
    database.execute(
        f"INSERT INTO main.{IMAGES} (geom, {names}) SELECT geom, {names} FROM fresh.{IMAGES} "
        f"WHERE scene NOT IN (SELECT scene FROM main.{IMAGES}) ORDER BY rowid"
    )
    _count_anew(database, classes)
    extend_bounds(database, IMAGES)


def extend_bounds(database: sqlite3.Connection, table: str) -> None:
    """Extend the bounds of a layer by those of the same layer in ``fresh``."""
    known = "FROM fresh.gpkg_contents f WHERE f.table_name = c.table_name"
    bounds = ", ".join(
        f"{name} = (SELECT coalesce({choose}(c.{name}, f.{name}), c.{name}, f.{name}) {known})"
        for name, choose in _BOUNDS
    )
    now = "last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
    change = f"UPDATE main.gpkg_contents AS c SET {bounds}, {now} WHERE table_name = ?"
    database.execute(change, (table,))


def _count_anew(database: sqlite3.Connection, classes: Sequence[str]) -> None:
    """Count the objects of the new pictures in the layer of detections."""
    database.execute(
        "CREATE TEMP TABLE counted AS SELECT scene, label, count(*) AS n "
        f'FROM main."{LAYER}" GROUP BY scene, label'
    )
    database.execute("CREATE INDEX temp.by_scene ON counted (scene, label)")
    new = f"scene IN (SELECT scene FROM fresh.{IMAGES})"
    count = f"(SELECT coalesce(sum(n), 0) FROM temp.counted c WHERE c.scene = {IMAGES}.scene"
    database.execute(f"UPDATE main.{IMAGES} SET {TOTAL} = {count}) WHERE {new}")
    for name, column in zip(classes, count_columns(classes), strict=True):
        change = f"{quoted(column)} = {count} AND c.label = ?)"
        database.execute(f"UPDATE main.{IMAGES} SET {change} WHERE {new}", (name,))
    database.execute("DROP TABLE temp.counted")


def _columns(database: sqlite3.Connection, schema: str) -> dict[str, str]:
    """Return the types of the columns by their names, without the key and the geometry."""
    rows = database.execute(f"PRAGMA {schema}.table_info({IMAGES})")
    return {name: kind for _, name, kind, *_ in rows if name not in ("fid", "geom")}
