"""Detections in a GeoPackage: with a spatial index and a style, and more rows at any time."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS

from geodet.errors import OutputError
from geodet.styles import store_style
from geodet.vectors.layer import LAYER, Layer
from geodet.vectors.rows import FIELDS, Rows
from geodet.vectors.spatial_table import GEOMETRY_TYPES, SpatialTable, create_table
from geodet.vectors.writer import RowWriter, raising_os_errors

__all__ = ["GeoPackageWriter", "check_appendable"]

_TYPES = {"label": "OFTString", "scene": "OFTString"}


class GeoPackageWriter(RowWriter):
    """Writes a GeoPackage, or a copy of one with more rows."""

    def __init__(self, temporary: Path, layer: Layer) -> None:
        super().__init__(temporary, layer)
        with raising_os_errors():
            if layer.append and layer.path.exists():
                info = check_appendable(layer.path)
                _check_same(info, layer)
                _copy(layer.path, temporary)
                more = _joined(info["layer_metadata"] or {}, layer.metadata)
                create_table(temporary, replace(layer, metadata=more), append=True)
            else:
                create_table(temporary, layer)
            self._table = SpatialTable(temporary)

    def close(self) -> None:
        """Let go of the file."""
        self._table.close()

    def _add_rows(self, rows: Rows) -> None:
        with raising_os_errors():
            self._table.add(rows)

    def _complete(self) -> None:
        with raising_os_errors():
            self._table.finish()
            self._table.close()
        self._store_style()

    def _store_style(self) -> None:
        """Add the look of the layer, after its last row; on append, with the classes it had."""
        layer = self._layer
        try:
            store_style(self._temporary, LAYER, layer.classes, geometry=layer.geometry)
        except OutputError as error:  # it names the temporary file, which is gone by then
            raise OSError(str(error.__cause__ or error)) from error


def check_appendable(path: Path) -> dict[str, Any]:
    """Check that a file holds detections as they are written here.

    Returns:
        What pyogrio says of the layer.

    Raises:
        OutputError: It is another file, or lacks a field or the spatial index.
    """
    try:
        info: dict[str, Any] = pyogrio.read_info(str(path), layer=LAYER)
    except (DataSourceError, DataLayerError) as error:
        raise OutputError(
            f"{path} has no layer {LAYER} to append to", hint="append to a file of geodet detect"
        ) from error
    types = dict(zip(info["fields"], info["ogr_types"], strict=True))
    wrong = [name for name in FIELDS if types.get(name) != _TYPES.get(name, "OFTReal")]
    if wrong or not info["capabilities"]["fast_spatial_filter"]:
        missing = f"the field {wrong[0]}" if wrong else "its spatial index"
        raise OutputError(
            f"the layer {LAYER} of {path} lacks {missing}",
            hint="append to a file as geodet detect wrote it",
        )
    return info


def _check_same(info: Mapping[str, Any], layer: Layer) -> None:
    """Check that new rows mean the same as those that are there.

    Raises:
        OutputError: The CRS or the kind of geometry differs.
    """
    wanted = GEOMETRY_TYPES[layer.geometry]
    if info["geometry_type"] != wanted:
        raise OutputError(
            f"{layer.path} holds {info['geometry_type'].lower()}s, not {wanted.lower()}s",
            hint="write the same geometry, or to a file of its own",
        )
    known = None if _srs_id(layer.path) == -1 else CRS.from_user_input(info["crs"])
    if (known is None) != (layer.crs is None) or (
        known is not None and not known.equals(layer.crs, ignore_axis_order=True)
    ):
        names = [crs.name if crs is not None else "no CRS" for crs in (known, layer.crs)]
        raise OutputError(
            f"{layer.path} is in {names[0]}, and the new rows are in {names[1]}",
            hint="write them to a file of their own",
        )


def _srs_id(path: Path) -> int:
    query = "SELECT srs_id FROM gpkg_geometry_columns WHERE table_name = ?"
    with contextlib.closing(_open_to_read(path)) as database:
        return int(database.execute(query, (LAYER,)).fetchone()[0])


def _copy(path: Path, target: Path) -> None:
    """Copy a database as it is now, with what a program that has it open keeps in its log."""
    with (
        contextlib.closing(_open_to_read(path)) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)


def _open_to_read(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def _joined(known: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Add metadata to those of earlier runs: what differs gets the name of its run, ``model 2``."""
    joined = dict(known)
    for key, value in new.items():
        names = [key, *(f"{key} {run}" for run in range(2, len(known) + 3))]
        if value not in (joined.get(name) for name in names):
            joined[next(name for name in names if name not in joined)] = value
    return joined
