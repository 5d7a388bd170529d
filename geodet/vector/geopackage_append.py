"""Rows that are added to a GeoPackage in one transaction of its database.

The file is changed in place, as QGIS and GDAL do it, and never replaced: what another program has
committed until then stays, and a process that dies leaves what was there before.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import shapely

from geodet.errors import OutputError
from geodet.files.databases import connect_database, run_when_free
from geodet.geometry.arrays import Ints
from geodet.geopackage.layer_metadata import LayerMetadata
from geodet.vector.geopackage_scenes import HeldScenes
from geodet.vector.images_append import append_images, extend_bounds
from geodet.vector.not_examined import NOT_EXAMINED
from geodet.vector.provenance import EXAMINED, LEFT_OUT
from geodet.vector.rows import LAYER, FileLayer
from geodet.vector.stored_rows import add_geometry_functions, iter_stored_pairs
from geodet.vector.stored_styles import add_style

__all__ = ["append_rows", "check_scenes", "reading_database"]

_logger = logging.getLogger(__name__)


_ALL = "1"
_MOST_NAMED = 3


def append_rows(layer: FileLayer, rows: Path, scenes: Sequence[str]) -> None:
    """Add rows to a GeoPackage in one transaction, without duplicates of rows that it holds.

    Args:
        layer: What is added, and to which file.
        rows: A GeoPackage with the same layer, which holds the new rows.
        scenes: The scenes that the rows are from, also those without any.

    Raises:
        OutputError: Another program has locked the file and does not release it, or the file holds
            one of the scenes already.
        sqlite3.Error: The file cannot be written.
    """
    assert layer.append is not None
    with _open_with(layer.path, rows) as database, _transaction(database, layer.path):
        known = LayerMetadata(database, LAYER)
        if layer.append.run in known.runs:
            _logger.info("%s already has the rows of this run", layer.path)
            return
        removed = _replace_or_refuse(database, layer, known, scenes)
        dropped = _drop_duplicates(database, layer, known)
        before = _last_row(database)
        _insert(database, layer)
        _store_metadata(database, layer, known, before, removed)
        if layer.photographs is not None:
            append_images(database, layer.classes)
        add_style(database, LAYER, layer.classes, geometry=layer.geometry)
    if any(dropped):
        _logger.info(
            "of the objects that %s held already, %d were found again with lower scores and %d "
            "with higher ones, which replace them",
            layer.path,
            *dropped,
        )


def check_scenes(layer: FileLayer) -> None:
    """Check that a GeoPackage holds no rows of the scenes to come, or that they may be replaced.

    Warns of the scenes around those that are replaced, which may lose objects by it.

    Raises:
        OutputError: It holds some of the same model.
    """
    assert layer.append is not None
    with reading_database(layer.path) as database:
        known = LayerMetadata(database, LAYER)
        if layer.append.run in known.runs:
            return
        held = _held(database, layer, known, layer.append.scenes)
        if not layer.append.replace_scenes:
            _refuse(layer, held)
        elif layer.append.drop is not None:
            _warn_of_scenes_around(layer, HeldScenes(known, layer.model), held)


@contextmanager
def reading_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to read one state of it; what a dead program left unfinished is undone.

    Raises:
        OutputError: Another program is writing to it and does not end.
    """
    with closing(connect_database(path)) as database:
        run_when_free(database, "BEGIN", path)
        run_when_free(database, "SELECT count(*) FROM sqlite_master", path)
        yield database


@contextmanager
def _open_with(path: Path, rows: Path) -> Iterator[sqlite3.Connection]:
    """Open a GeoPackage with another one attached as ``fresh``."""
    with closing(connect_database(path)) as database:
        add_geometry_functions(database)
        database.execute("PRAGMA trusted_schema = ON")  # the index's triggers call the functions
        database.execute("ATTACH ? AS fresh", (str(rows.resolve()),))
        yield database


@contextmanager
def _transaction(database: sqlite3.Connection, path: Path) -> Iterator[None]:
    run_when_free(database, "BEGIN IMMEDIATE", path)
    try:
        yield
        run_when_free(database, "COMMIT", path)
    finally:
        with contextlib.suppress(sqlite3.Error):
            if database.in_transaction:
                database.execute("ROLLBACK")


def _replace_or_refuse(
    database: sqlite3.Connection, layer: FileLayer, known: LayerMetadata, scenes: Iterable[str]
) -> dict[str, shapely.Geometry]:
    """Remove the rows of scenes that come again, or refuse the scenes.

    Returns:
        Bounds of the rows of each scene that is replaced.
    """
    assert layer.append is not None
    held = _held(database, layer, known, scenes)
    if not layer.append.replace_scenes:
        _refuse(layer, held)
    elif new := _list_new(layer, known, scenes, held):
        _logger.warning(
            "%s contains no rows of %s: nothing is replaced; name the scenes as in the column "
            "scene",
            layer.path,
            _join_names(new),
        )
    _remove_left_out(database, layer, known, scenes)
    removed = {}
    if layer.append.replace_scenes:
        rule = f"scene = ? AND {_rows_of_model(database, layer, known)}"
        index = f'"rtree_{LAYER}_{_geometry_column(database)}"'
        for scene in held:
            found = database.execute(
                "SELECT min(minx), min(miny), max(maxx), max(maxy) "
                f'FROM main."{LAYER}" e JOIN main.{index} r ON r.id = e.rowid WHERE {rule}',
                (scene,),
            ).fetchone()
            removed[scene] = shapely.Polygon() if None in found else shapely.box(*found)
            database.execute(f'DELETE FROM main."{LAYER}" AS e WHERE {rule}', (scene,))
    return removed


def _remove_left_out(
    database: sqlite3.Connection, layer: FileLayer, known: LayerMetadata, scenes: Iterable[str]
) -> None:
    """Remove the areas of scenes that the same model left out before, also of those without rows.

    All are of the first model of the file: what a later run leaves out is beside the file.
    """
    is_same = not known.models or layer.model in ("", known.models[0])
    if is_same and _has_table(database, NOT_EXAMINED):
        remove = f'DELETE FROM main."{NOT_EXAMINED}" WHERE scene = ?'
        database.executemany(remove, [(scene,) for scene in scenes])


def _warn_of_scenes_around(layer: FileLayer, scenes: HeldScenes, replaced: Sequence[str]) -> None:
    """Warn of scenes that lack objects which rows that are to be replaced show as well."""
    assert layer.append is not None
    names = _join_names(replaced)
    if around := scenes.list_overlapping(layer.append.scenes):
        _logger.warning(
            "%s overlaps %s in %s, where an object in the overlap is written once: objects that "
            "were written for %s are lost if they are not found again; replace all of these scenes "
            "in one call",
            names,
            _join_names(around),
            layer.path,
            names,
        )
    elif any(map(scenes.may_hold, replaced)):
        _logger.warning(
            "%s does not record the area of each scene, because an earlier version of geodet wrote "
            "it: replace the scenes that overlap %s in the same call, or objects may be lost",
            layer.path,
            names,
        )


def _list_new(
    layer: FileLayer, known: LayerMetadata, scenes: Iterable[str], held: Sequence[str]
) -> list[str]:
    """List the scenes of which the file neither has rows nor knows that they were searched."""
    there = HeldScenes(known, layer.model)
    return [name for name in scenes if name not in held and not there.has_ground_of(name)]


def _join_names(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (" and others" if len(names) > _MOST_NAMED else "")


def _has_table(database: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?"
    return database.execute(query, (name,)).fetchone() is not None


def _held(
    database: sqlite3.Connection, layer: FileLayer, known: LayerMetadata, scenes: Iterable[str]
) -> list[str]:
    """List those of the scenes of which the file has rows of the same model."""
    rule = _rows_of_model(database, layer, known)
    found = database.execute(f'SELECT DISTINCT scene FROM main."{LAYER}" AS e WHERE {rule}')
    there = {name for (name,) in found}
    return [name for name in scenes if name in there]


def _refuse(layer: FileLayer, held: list[str]) -> None:
    if held:
        others = f" and of {len(held) - 1} more scenes" if len(held) > 1 else ""
        raise OutputError(
            f"{layer.path} contains detections of {held[0]}{others} already",
            hint="--replace-scene (replace_scenes=True) replaces them; write a scene of the same "
            "name in another folder to a separate file, or together with the first in one call",
            path=layer.path,
        )


def _rows_of_model(database: sqlite3.Connection, layer: FileLayer, known: LayerMetadata) -> str:
    """Return SQL that says which rows ``e`` of the file are of the model of the new rows.

    A file that names no model is taken to be of the same. One of several knows the rows of each:
    two models may have classes of one name, and have searched the same scenes.
    """
    if not layer.model or known.models in ([], [layer.model]):
        return _ALL
    database.execute("CREATE TEMP TABLE IF NOT EXISTS same (first INTEGER PRIMARY KEY, last)")
    database.executemany("INSERT OR IGNORE INTO same VALUES (?, ?)", known.rows_of(layer.model))
    nearest = "SELECT last FROM same WHERE first <= e.rowid ORDER BY first DESC LIMIT 1"
    return f"e.rowid <= ({nearest})"


def _drop_duplicates(
    database: sqlite3.Connection, layer: FileLayer, known: LayerMetadata
) -> tuple[int, int]:
    """Remove duplicates from the new rows and from the file; return how many of each."""
    assert layer.append is not None
    database.execute("CREATE TEMP TABLE dropped (id INTEGER PRIMARY KEY)")
    if layer.append.drop is None:
        return 0, 0
    pairs = iter_stored_pairs(
        database,
        fresh=f"fresh.{LAYER}",
        stored=_rows_of_model(database, layer, known),
        column=_geometry_column(database),
        crs=layer.crs,
    )
    new, old = layer.append.drop(pairs)
    database.executemany("INSERT INTO dropped VALUES (?)", _as_parameters(new))
    database.executemany(f'DELETE FROM main."{LAYER}" WHERE rowid = ?', _as_parameters(old))
    return len(new), len(old)


def _as_parameters(ids: Ints) -> Iterator[tuple[int]]:
    return ((number,) for number in ids.tolist())


def _insert(database: sqlite3.Connection, layer: FileLayer) -> None:
    """Add the new rows that are not dropped, in their order, and extend the layer's bounds."""
    names = ", ".join(layer.fields)
    column, shape = _geometry_column(database), "geom"
    ours, theirs = (_srs_id(database, schema) for schema in ("fresh", "main"))
    if ours != theirs:  # a CRS without a code has another number in each file
        header = theirs.to_bytes(4, "little", signed=True)
        database.create_function("with_srs", 1, lambda blob: blob[:4] + header + blob[8:])
        shape = "with_srs(geom)"
    database.execute(
        f'INSERT INTO main."{LAYER}" ("{column}", {names}) '
        f'SELECT {shape}, {names} FROM fresh."{LAYER}" '
        "WHERE rowid NOT IN (SELECT id FROM dropped) ORDER BY rowid"
    )
    extend_bounds(database, LAYER)


def _store_metadata(
    database: sqlite3.Connection,
    layer: FileLayer,
    known: LayerMetadata,
    before: int,
    removed: Mapping[str, shapely.Geometry],
) -> None:
    """Add the metadata of the run, and which rows are of which model where there are several.

    Args:
        database: The file, with the new rows.
        layer: What was added.
        known: The metadata of the file.
        before: The number of the last row that the file had before.
        removed: Bounds of the rows of each scene that is replaced.
    """
    assert layer.append is not None
    model, models, last = layer.model, known.models, _last_row(database)
    if model and models not in ([], [model]):
        if len(models) == 1 and not known.rows_of(models[0]) and before:
            known.add_rows(models[0], 1, before)
        if last > before:
            known.add_rows(model, before + 1, last)
    texts = dict(layer.metadata)
    if layer.searched is not None:
        held = HeldScenes(known, layer.model)
        if layer.append.replace_scenes:
            are_compared = layer.append.drop is not None
            held.replace(layer.searched, removed, are_compared=are_compared)
        else:
            held.add(layer.searched)
        held.store()
        texts = {title: text for title, text in texts.items() if title not in (EXAMINED, LEFT_OUT)}
    known.join(texts)
    if layer.append.run:
        known.add_run(layer.append.run)
    known.store()


def _last_row(database: sqlite3.Connection) -> int:
    return int(database.execute(f'SELECT ifnull(max(rowid), 0) FROM main."{LAYER}"').fetchone()[0])


def _geometry_column(database: sqlite3.Connection) -> str:
    query = "SELECT column_name FROM main.gpkg_geometry_columns WHERE table_name = ?"
    return str(database.execute(query, (LAYER,)).fetchone()[0])


def _srs_id(database: sqlite3.Connection, schema: str) -> int:
    query = f"SELECT srs_id FROM {schema}.gpkg_geometry_columns WHERE table_name = ?"
    return int(database.execute(query, (LAYER,)).fetchone()[0])
