"""Tile indexes: vector files whose column ``location`` has the path of a raster in each row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geodet.errors import SceneError, VectorError
from geodet.files.gdal_paths import PARQUET_SUFFIXES, gdal_path

__all__ = ["LOCATION", "read_tile_index"]

LOCATION = "location"
"""The column of gdaltindex."""


def read_tile_index(path: Path) -> list[tuple[int, str]] | None:
    """Read the rows of a tile index.

    Args:
        path: A vector file, or a GeoPackage with a raster.

    Returns:
        The number of each row, from 1, and the path in it; None for a GeoPackage without a layer of
        vectors, which is a raster.

    Raises:
        SceneError: It cannot be read, has no column ``location``, or a row has no path.
    """
    is_parquet = path.suffix.lower() in PARQUET_SUFFIXES
    found = _read_parquet(path) if is_parquet else _read_vectors(path)
    if found is None:
        return None
    for number, location in enumerate(found, start=1):
        if not isinstance(location, str) or not location.strip():
            raise SceneError(
                f"{path}, row {number}: the column {LOCATION} is empty",
                hint="remove the row, or write the path of its raster",
                path=path,
            )
    return list(enumerate(found, start=1))


def _read_parquet(path: Path) -> list[Any]:
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            _check_fields(path, file.schema_arrow.names)
            return list(file.read([LOCATION]).column(0).to_pylist())
    except (OSError, ArrowException) as error:
        raise _unreadable(path, error) from error


def _read_vectors(path: Path) -> list[Any] | None:
    import pyogrio  # takes long to load, and few lists are tile indexes
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        layers = [str(name) for name, _ in pyogrio.list_layers(gdal_path(path))]
        if not layers and path.suffix.lower() == ".gpkg":
            return None
        fields = {
            name: list(pyogrio.read_info(gdal_path(path), layer=name)["fields"]) for name in layers
        }
        fitting = [name for name in layers if LOCATION in fields[name]]
        if not fitting:
            _check_fields(path, [field for names in fields.values() for field in names])
        frame = pyogrio.read_dataframe(
            gdal_path(path), layer=fitting[0], columns=[LOCATION], read_geometry=False
        )
    except (DataSourceError, DataLayerError, VectorError) as error:
        if path.suffix.lower() == ".gpkg":
            return None  # GDAL reports what is wrong with it when it is opened as a raster
        raise _unreadable(path, error) from error
    return list(frame[LOCATION])


def _check_fields(path: Path, names: list[str]) -> None:
    if LOCATION not in names:
        raise SceneError(
            f"{path} is not an index of scenes: it has no column {LOCATION}",
            hint=f"it has {', '.join(names[:5]) or 'no columns'}; gdaltindex writes an index",
            path=path,
        )


def _unreadable(path: Path, error: Exception) -> SceneError:
    return SceneError(
        f"cannot read the index of scenes {path}: {error}",
        hint="write it again, such as with gdaltindex",
        path=path,
    )
