"""Tables of attributes, with or without polygons, in vector files and as text."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyogrio
from numpy.typing import NDArray
from pyproj import CRS

from geodet.errors import OutputError
from geodet.files.gdal_paths import gdal_path
from geodet.files.outputs import replacing
from geodet.files.spreadsheet_text import safe_text
from geodet.geometry.geobox import WGS_84, is_on_earth
from geodet.vector.gdal_errors import raising_gdal_errors
from geodet.vector.gdal_formats import check_rows

__all__ = [
    "AttributeLayer",
    "check_columns",
    "write_attribute_layers",
    "write_polygon_table",
]

_DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".fgb": "FlatGeobuf"}
_NESTED = (list, dict, np.ndarray)


@dataclass(frozen=True, slots=True)
class AttributeLayer:
    """Geometries with attributes."""

    table: Any
    """A DataFrame of N rows."""
    shapes: NDArray[Any]
    """(N,) geometries."""
    crs: CRS | None
    """CRS of the geometries."""


def check_columns(path: Path, columns: Iterable[str]) -> None:
    """Check that a file can hold columns of these names: GeoPackage ignores case, as SQLite does.

    Args:
        path: The output, in the format of its extension.
        columns: Names of the columns.

    Raises:
        OutputError: Two of them would be one column.
    """
    if path.suffix.lower() != ".gpkg":
        return
    known: dict[str, str] = {}
    for name in map(str, columns):
        other = known.setdefault(name.lower(), name)
        if other != name:
            raise OutputError(
                f"cannot write {path}: in a GeoPackage the columns {other!r} and {name!r} are one,"
                " since it ignores case",
                hint="rename the attribute or the class of one of them, or keep only one attribute "
                "with --field (field); count can also write .parquet and .csv",
                path=path,
            )


def write_attribute_layers(path: Path, layers: Mapping[str, AttributeLayer]) -> None:
    """Write layers to a new GeoPackage, also those without any row.

    Raises:
        OutputError: The file cannot be written, or cannot hold columns of these names.
    """
    for layer in layers.values():
        check_columns(path, layer.table.columns)
    with replacing(path) as temporary:
        for place, (name, layer) in enumerate(layers.items()):
            table = _with_json_texts(layer.table.reset_index(drop=True))
            frame = geopandas.GeoDataFrame(table, geometry=layer.shapes, crs=layer.crs)
            _write_layer(temporary, name, frame, "GPKG", append=place > 0)


def write_polygon_table(
    path: Path, layer: str, table: Any, shapes: NDArray[Any], crs: CRS | None, total: Any
) -> None:
    """Write polygons with attributes, and a row for all of them together.

    Lists and objects, which attributes of GeoJSON may be, are text in other formats.

    Args:
        path: The output, in the format of its extension.
        layer: Name of the layer, where the format has layers.
        table: A DataFrame of M rows.
        shapes: (M,) polygons.
        crs: CRS of the polygons; GeoJSON is written in WGS 84.
        total: A DataFrame of one row: in a GeoPackage the table ``total``, in CSV the last line,
            with ``total`` in the first column. Other formats have no place for it.

    Raises:
        OutputError: The file cannot be written, or cannot hold columns of these names.
    """
    check_columns(path, table.columns)
    suffix = path.suffix.lower()
    table = table if suffix == ".geojson" else _with_json_texts(table)
    with replacing(path) as temporary:
        if suffix == ".csv":
            rows = _to_text(table.map(_safe_cell), total).rename(columns=_safe_cell)
            rows.to_csv(temporary, index=False, lineterminator="\r\n")
            return
        frame = geopandas.GeoDataFrame(table, geometry=shapes, crs=crs)
        if suffix == ".geojson" and is_on_earth(crs):
            frame = frame.to_crs(WGS_84)
        if suffix == ".parquet":
            frame.to_parquet(temporary, index=False, write_covering_bbox=True)
            return
        _write_layer(temporary, layer, frame, _DRIVERS[suffix])
        if suffix == ".gpkg":
            _write_layer(temporary, "total", total, "GPKG", append=True)


def _with_json_texts(table: Any) -> Any:
    """Return a table in which the columns with lists or objects are JSON as text."""
    texts = {
        name: [_to_json(value) for value in table[name]]
        for name in table.columns
        if pd.api.types.is_object_dtype(table[name])
        and any(isinstance(value, _NESTED) for value in table[name])
    }
    return table.assign(**texts)


def _to_json(value: Any) -> str | None:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    """Return an array or a number of numpy, which files of Parquet have, as Python's own."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _safe_cell(cell: Any) -> Any:
    return safe_text(cell) if isinstance(cell, str) else cell


def _to_text(table: Any, total: Any) -> Any:
    """Return the table with the total as its last row; a first column names it."""
    # As objects: integers beside the gaps of the last row would become floats.
    mixed = [*table.columns[:1], *table.select_dtypes("integer").columns]
    rows = table.astype(dict.fromkeys(mixed, object))
    last = total.reindex(columns=rows.columns).astype(object)
    if rows.columns[0] in total.columns:  # the polygons have no attribute
        numbers = [str(number) for number in range(1, len(rows) + 1)]
        rows.insert(0, "polygon", np.array(numbers, object))  # also without any row
        last.insert(0, "polygon", "total")
    else:
        last.iloc[0, 0] = "total"
    rows.loc[len(rows)] = last.iloc[0]
    return rows


def _write_layer(path: Path, layer: str, frame: Any, driver: str, *, append: bool = False) -> None:
    options = _options(frame, driver)
    with raising_gdal_errors(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.write_dataframe(
            frame, gdal_path(path), layer=layer, driver=driver, append=append, **options
        )
        if driver != "GPKG":  # of which GDAL reports that a transaction has failed
            check_rows(path, len(frame))


def _options(frame: Any, driver: str) -> dict[str, str]:
    """Return how a layer is made, so that it holds rows of any name and without a geometry."""
    if driver == "FlatGeobuf" and frame.geometry.isna().any():
        return {"SPATIAL_INDEX": "NO"}  # an index has no place for these rows
    if driver != "GPKG":
        return {}
    # The two columns that every layer of a GeoPackage has apart from the attributes.
    taken = {str(name).lower() for name in frame.columns}
    return {
        option: next(name for length in count() if (name := usual + "_" * length) not in taken)
        for option, usual in (("FID", "fid"), ("GEOMETRY_NAME", "geom"))
    }
