"""Reading of vector files of any origin: the objects of a layer, and their CRS."""

from __future__ import annotations

import codecs
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from geodet.errors import VectorError
from geodet.files.gdal_paths import PARQUET_SUFFIXES, gdal_path
from geodet.files.spreadsheet_text import plain_text
from geodet.vector.coordinate_tables import has_coordinates, read_coordinates
from geodet.vector.formats import (
    LAYER_SEPARATOR,
    check_vector_exists,
    dataset_files,
    path_of,
)
from geodet.vector.images_layer import IMAGES
from geodet.vector.lazy_modules import geopandas, parquet, pyogrio
from geodet.vector.not_examined import NOT_EXAMINED
from geodet.vector.unread_files import no_geometries, unreadable_vector

__all__ = [
    "choose_encoding",
    "crs_or_none",
    "is_parquet",
    "is_table",
    "list_layers",
    "read_extent",
    "read_fields",
    "read_frame",
    "reading_layer",
    "scenes_of_rows",
]

logger = logging.getLogger(__name__)

_DBF_HEAD = 32  # bytes of a .dbf file before its fields are listed
_LANGUAGE = 29  # the one of them that may name the encoding; 0: it does not
_CHUNK = 1 << 20
_CRS = "crs"  # the column with the CRS in a table, as geodet writes CSV


def read_frame(path: str | Path, *, columns: Sequence[str] | None = None) -> Any:
    """Read the objects of a vector file.

    GDAL reads all formats but GeoParquet, which pyarrow reads. A table of text may have columns of
    coordinates in place of WKT. Its CRS is in its column ``crs``, if it has one.

    Args:
        path: A file with one layer of geometries, or ``FILE|layername=NAME``.
        columns: Attributes to read; None: all.

    Returns:
        A GeoDataFrame; its CRS is None where the file has none.

    Raises:
        VectorError: The file cannot be read, or it has several layers and none is named.
    """
    check_vector_exists(path)
    if _is_coordinate_table(path_of(path)):
        table = read_coordinates(Path(path_of(path)))
        table = table.set_crs(_table_crs(table, path_of(path)), allow_override=True)
        return table if columns is None else table[[*columns, table.geometry.name]]
    with reading_layer(path) as (file, layer):
        if is_parquet(file):
            return _read_parquet(file, columns)
        is_text = is_table(file)
        wanted = None if columns is None else [*columns, _CRS] if is_text else columns
        if encoding := choose_encoding(file):
            told = "%s has no .cpg file that names its encoding: its text is read as %s"
            logger.warning(told, file, encoding)
        options = {"layer": layer, "columns": wanted, "encoding": encoding}
        with np.errstate(invalid="ignore"):  # of coordinates that are NaN: readers check them
            frame = pyogrio.read_dataframe(gdal_path(file), **options)
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise VectorError(
            f"{path} has no geometries", hint="choose a layer of points or polygons", path=path
        )
    crs = _table_crs(frame, file) if is_text else crs_or_none(frame.crs)
    frame = _with_plain_texts(frame) if is_text else frame
    frame = frame.set_crs(crs, allow_override=True)
    return frame if columns is None else frame[[*columns, frame.geometry.name]]


def scenes_of_rows(table: Any) -> NDArray[np.object_]:
    """List the name of the scene of each row, empty for rows without one, such as drawn by hand.

    Args:
        table: N rows with the attribute ``scene``.

    Returns:
        (N,) texts.
    """
    names = table["scene"]
    return np.array(
        [str(name) if known else "" for name, known in zip(names, names.notna(), strict=True)],
        object,
    )


def list_layers(path: str | Path) -> tuple[str, ...]:
    """Return the names of the layers of a vector file that have geometries.

    Raises:
        VectorError: The file cannot be read.
    """
    check_vector_exists(path)
    try:
        return tuple(
            str(name) for name, kind in pyogrio.list_layers(gdal_path(path)) if kind is not None
        )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise unreadable_vector(path, str(error)) from error


def read_extent(path: str | Path) -> tuple[CRS | None, NDArray[np.float64]]:
    """Read the CRS of a vector file, None where it has none, and x1 y1 x2 y2 of its objects.

    Returns:
        The CRS, and (4,) float64, not finite when there are no objects.

    Raises:
        VectorError: As for :func:`read_frame`.
    """
    if is_parquet(path_of(path)) or is_table(path_of(path)):
        frame = read_frame(path, columns=[])
        return frame.crs, np.asarray(frame.total_bounds)
    with reading_layer(path) as (file, layer):
        info = pyogrio.read_info(gdal_path(file), layer=layer, force_total_bounds=True)
    bounds = info["total_bounds"]
    extent = np.full(4, np.nan) if bounds is None or not info["features"] else np.array(bounds)
    return crs_or_none(info["crs"]), extent


def read_fields(path: str | Path) -> tuple[str, ...]:
    """Read the names of the attributes of a vector file.

    Raises:
        VectorError: As for :func:`read_frame`.
    """
    check_vector_exists(path)
    if _is_coordinate_table(path_of(path)):
        return tuple(map(str, read_frame(path).columns))
    with reading_layer(path) as (file, layer):
        if is_parquet(file):
            parts = dataset_files(Path(file))
            one = Path(file, parts[0]) if parts else file
            return tuple(parquet.read_schema(one).names)
        return tuple(map(str, pyogrio.read_info(gdal_path(file), layer=layer)["fields"]))


@contextmanager
def reading_layer(path: str | Path) -> Iterator[tuple[str, str]]:
    """Yield the file and the name of the layer; turn errors of the block into ``VectorError``."""
    file, _, layer = str(path).partition(LAYER_SEPARATOR)
    check_vector_exists(path)
    try:
        yield file, layer or _only_layer(file)
    except VectorError:
        raise
    except (
        pyogrio.errors.DataSourceError,
        pyogrio.errors.DataLayerError,
        OSError,
        ValueError,
        shapely.GEOSException,
    ) as error:
        raise unreadable_vector(path, str(error)) from error


def _only_layer(file: str) -> str:
    if is_parquet(file):
        return ""
    every = pyogrio.list_layers(gdal_path(file))
    named = [str(name) for name, kind in every if kind is not None]
    if not named:
        tables = (pyogrio.read_info(gdal_path(file), layer=str(name)) for name, _ in every)
        raise no_geometries(file, [str(name) for one in tables for name in one["fields"]])
    layers = [name for name in named if name not in (NOT_EXAMINED, IMAGES)] or named
    if len(layers) != 1:
        raise VectorError(
            f"{file} has {len(layers)} layers with geometries: {', '.join(layers)}",
            hint=f"name one, as in '{file}{LAYER_SEPARATOR}{layers[0]}'",
            path=file,
        )
    return layers[0]


def is_parquet(file: str) -> bool:
    """Return whether a path is a file of GeoParquet, or a data set of geodet's."""
    return file.lower().endswith(PARQUET_SUFFIXES) or bool(dataset_files(Path(file)))


def is_table(file: str) -> bool:
    """Return whether a path is a table of text."""
    return file.lower().endswith((".csv", ".tsv"))


def _is_coordinate_table(file: str) -> bool:
    return is_table(file) and Path(file).is_file() and has_coordinates(Path(file))


def _read_parquet(file: str, columns: Sequence[str] | None) -> Any:
    frame = geopandas.read_parquet(file)
    return frame if columns is None else frame[[*columns, frame.geometry.name]]


def _with_plain_texts(frame: Any) -> Any:
    """Remove the apostrophes that keep spreadsheets from running texts as formulas."""
    texts = {
        name: [plain_text(text) if isinstance(text, str) else text for text in frame[name]]
        for name in frame.columns
        if name != frame.geometry.name and frame[name].dtype.kind not in "biufcmM"
    }
    return frame.assign(**texts)


def choose_encoding(file: str | Path) -> str | None:
    """Choose the encoding of a Shapefile that names none; None where GDAL knows it.

    Text that is valid as UTF-8 is hardly ever anything else; other encodings cannot be told apart.
    """
    shapefile = Path(file)
    if shapefile.suffix.lower() != ".shp" or _first_there(shapefile, ".cpg"):
        return None
    table = _first_there(shapefile, ".dbf")
    if table is None:
        return None
    with table.open("rb") as content:
        head = content.read(_DBF_HEAD)
        if len(head) < _DBF_HEAD or head[_LANGUAGE]:
            return None
        content.seek(int.from_bytes(head[8:10], "little"))
        return _recognise(content)


def _recognise(content: BinaryIO) -> str | None:
    """Recognise the encoding of text; None for ASCII."""
    decoder, is_ascii = codecs.getincrementaldecoder("utf-8")(), True
    while chunk := content.read(_CHUNK):
        is_ascii = is_ascii and chunk.isascii()
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            return "ISO-8859-1"
    return None if is_ascii else "UTF-8"


def _first_there(shapefile: Path, suffix: str) -> Path | None:
    files = (shapefile.with_suffix(end) for end in (suffix, suffix.upper()))
    return next((file for file in files if file.is_file()), None)


def _table_crs(frame: Any, file: str) -> CRS | None:
    """Read the CRS of a table from its column ``crs``."""
    texts = {str(text).strip() for text in frame[_CRS].dropna()} if _CRS in frame.columns else set()
    known = texts - {""}
    if not known:
        return crs_or_none(frame.crs)
    if len(texts) > 1:
        raise VectorError(
            f"{file} has objects in several CRSs: {', '.join(sorted(texts))[:200]}",
            hint="write a file for each",
            path=file,
        )
    try:
        return CRS.from_user_input(known.pop())
    except CRSError as error:
        raise VectorError(
            f"{file}: its column crs does not name a CRS: {error}",
            hint="write a code such as EPSG:32633 there, or rename the column",
            path=file,
        ) from error


def crs_or_none(crs: Any) -> CRS | None:
    """Return a CRS; None for the two placeholders that mean no CRS in a GeoPackage."""
    known = CRS.from_user_input(crs) if crs else None
    return None if known is None or known.name.startswith("Undefined ") else known
