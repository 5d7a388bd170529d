"""Read tables of text with columns of coordinates, or with WKT in a column of another name.

GDAL reads a CSV with a column ``WKT``. Users also have longitudes and latitudes, eastings and
northings, or the four sides of boxes, with semicolons and decimal commas if their spreadsheet
writes these.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from geodet.documents.csv_documents import iter_csv_rows
from geodet.documents.text import DocumentError, read_document, to_text
from geodet.errors import VectorError
from geodet.geometry.arrays import Floats

if TYPE_CHECKING:
    import geopandas

__all__ = [
    "MISSING",
    "NAMES_HINT",
    "has_coordinates",
    "read_coordinates",
    "split_rows",
    "to_numbers",
]

logger = logging.getLogger(__name__)

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "nil", "-", "#n/a"})
"""Texts that mean no value, in lower case."""

_WKT = ("geometry", "geom", "the_geom", "wkt_geom", "wkt_geometry")
_DEGREES = "EPSG:4326"
_POINTS = (
    (("lon", "longitude", "long", "lng", "longitud"), ("lat", "latitude", "latitud")),
    (
        ("x", "x_coord", "xcoord", "coord_x", "point_x"),
        ("y", "y_coord", "ycoord", "coord_y", "point_y"),
    ),
    (
        ("easting", "east", "e", "rechtswert", "ostwert", "est", "este"),
        ("northing", "north", "n", "hochwert", "nordwert", "nord", "norte"),
    ),
    # Last, since in German they are also the length and the width of an object.
    (("länge", "laenge", "längengrad", "laengengrad"), ("breite", "breitengrad")),
)
_BOXES = (
    ("west", "south", "east", "north"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("minx", "miny", "maxx", "maxy"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("min_x", "min_y", "max_x", "max_y"),
    ("x1", "y1", "x2", "y2"),
    ("left", "bottom", "right", "top"),
    ("lon_min", "lat_min", "lon_max", "lat_max"),
    ("min_lon", "min_lat", "max_lon", "max_lat"),
)
_IN_DEGREES = frozenset({*_POINTS[0][0], *_POINTS[-1][0], "west", "lon_min", "min_lon"})
_CODE = re.compile(r"[+-]?(0\d.*|\d{16,}|\d+(_\d+)+)")  # float() takes 1_000 for a number
_EWKT = re.compile(r"SRID\s*=\s*(\d{1,9})\s*;\s*(.*)", re.IGNORECASE | re.DOTALL)
_DELIMITERS = ",;\t|"
_ENOUGH = 5  # boxes; fewer may be mistakes of their own
_SHARE = 0.1  # of all boxes
_HALF_TURN = 180.0  # degrees; a box that is wider the other way around crosses the antimeridian
NAMES_HINT = (
    "name the columns lon and lat, x and y, easting and northing, or xmin, ymin, xmax and ymax; or "
    "give WKT in a column geometry"
)
"""The names of columns of a CSV that are recognised, for a hint."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns with the geometry."""

    columns: tuple[int, ...]
    """Places of one column of WKT, of x and y, or of x1, y1, x2 and y2."""
    crs: str | None
    """The CRS that the names of the columns imply; None if they imply none."""


_Rows = tuple[list[str], list[tuple[int, list[str]]], str]


def _read_rows(path: Path) -> _Rows:
    """Read a table of text in UTF-8, or in UTF-16 as spreadsheets export it.

    Raises:
        VectorError: The file cannot be read.
    """
    try:
        return split_rows(to_text(read_document(path)))
    except DocumentError as error:
        raise VectorError(f"{path}: {error}", hint=error.hint, path=path) from error


def split_rows(text: str) -> _Rows:
    """Split a table at the delimiter that its header has most of.

    Returns:
        The header, the line number and the cells of each row that is not empty, and the delimiter.

    Raises:
        DocumentError: A quote is not closed.
    """
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    lines = iter_csv_rows(text, delimiter)
    header = [name.strip() for name in next(lines, (0, []))[1]]
    rows = [(number, row) for number, row in lines if any(cell.strip() for cell in row)]
    return header, rows, delimiter


def to_numbers(cells: Sequence[str], delimiter: str) -> list[float]:
    """Convert cells to numbers, NaN for missing values.

    Args:
        cells: Texts; where commas do not delimit, they may be decimal commas.
        delimiter: Delimiter of the table.

    Raises:
        ValueError: A cell is not a number.
    """
    plain = [cell.strip() for cell in cells]
    if delimiter != ",":
        plain = [c.replace(".", "").replace(",", ".") if "," in c else c for c in plain]
    return [np.nan if cell.lower() in MISSING else float(cell) for cell in plain]


def has_coordinates(path: Path) -> bool:
    """Whether a table has columns of coordinates, or of WKT under a name that GDAL does not know.

    Raises:
        VectorError: The file cannot be read.
    """
    return _find_layout(_read_rows(path)[0]) is not None


def read_coordinates(path: Path) -> geopandas.GeoDataFrame:
    """Read the objects of a table, with all its columns as attributes.

    A row without coordinates has no geometry. The CRS is WGS 84 where the columns are called
    longitude and latitude, that of the SRID where geometries have one, and unknown otherwise.

    Raises:
        VectorError: The file cannot be read, a cell is not a number or not WKT, or the geometries
            have several SRIDs or an unknown one.
    """
    header, rows, delimiter = _read_rows(path)
    layout = _find_layout(header)
    if layout is None:
        raise VectorError(
            f"{path} has no columns of coordinates among {', '.join(header)}",
            hint=NAMES_HINT,
            path=path,
        )
    for number, row in rows:
        if len(row) != len(header):
            raise VectorError(
                f"{path}, line {number}: {len(row)} cells for {len(header)} columns",
                hint="every line needs a cell for each column; quote text that has a delimiter",
                path=path,
            )
    crs: CRS | str | None = layout.crs
    if len(layout.columns) == 1:
        shapes, crs = _read_wkt(path, header, rows, layout.columns[0])
    else:
        shapes = _read_numbers(path, header, rows, layout.columns, delimiter)
    table = {
        name: _typed([row[i] for _, row in rows])
        for i, name in enumerate(header)
        if i not in layout.columns
    }
    import geopandas  # takes longer than many detections, and few read such a table
    import pandas as pd

    frame = pd.DataFrame(table, index=range(len(rows)))
    return geopandas.GeoDataFrame(frame, geometry=shapes, crs=crs)


def _find_layout(header: Sequence[str]) -> _Layout | None:
    """Find the columns of the geometry; None if GDAL reads them itself, or there are none."""
    names = [unicodedata.normalize("NFC", name).lower() for name in header]
    if "wkt" in names:
        return None
    for name in _WKT:
        if name in names:
            return _Layout((names.index(name),), None)
    for sides in _BOXES:
        if set(sides) <= set(names):
            crs = _DEGREES if sides[0] in _IN_DEGREES else None
            return _Layout(tuple(names.index(side) for side in sides), crs)
    for across, up in _POINTS:
        x = next((name for name in across if name in names), None)
        y = next((name for name in up if name in names), None)
        if x and y:
            crs = _DEGREES if x in _IN_DEGREES else None
            return _Layout((names.index(x), names.index(y)), crs)
    return None


def _read_numbers(
    path: Path,
    header: Sequence[str],
    rows: Sequence[tuple[int, list[str]]],
    columns: Sequence[int],
    delimiter: str,
) -> NDArray[np.object_]:
    numbers = np.full((len(rows), len(columns)), np.nan)
    for place, (line, row) in enumerate(rows):
        for i, column in enumerate(columns):
            try:
                numbers[place, i] = to_numbers([row[column]], delimiter)[0]
            except ValueError as error:
                raise VectorError(
                    f"{path}, line {line}: {header[column]} is {row[column]!r}, not a number",
                    hint="write numbers with a decimal point, or NA for none",
                    path=path,
                ) from error
    if len(columns) == 4:
        _warn_of_sizes(path, header, rows, columns, numbers)
    return _to_shapes(numbers)


def _warn_of_sizes(
    path: Path,
    header: Sequence[str],
    rows: Sequence[tuple[int, list[str]]],
    columns: Sequence[int],
    numbers: Floats,
) -> None:
    """Warn if the columns of corners probably hold x, y, width and height.

    Only x is compared: boxes whose y are in the other order may have their upper corner first.
    """
    known = np.isfinite(numbers).all(axis=1)
    inverted = known & (numbers[:, 2] < numbers[:, 0])
    if header[columns[0]].lower() in _IN_DEGREES:
        inverted &= numbers[:, 0] - numbers[:, 2] < _HALF_TURN
    count, total = int(inverted.sum()), int(known.sum())
    if count >= max(_ENOUGH, total * _SHARE) or 2 * count > total:
        x1, y1, x2, y2 = (header[column] for column in columns)
        logger.warning(
            "%s: %s is less than %s in %d of %d boxes, such as line %d: if the columns are x, y,"
            " width and height, write %s + width as %s, and %s + height as %s",
            *(path, x2, x1, count, total, rows[int(inverted.argmax())][0], x1, x2, y1, y2),
        )


def _to_shapes(numbers: Floats) -> NDArray[np.object_]:
    shapes = np.full(len(numbers), None, np.object_)
    known = np.isfinite(numbers).all(axis=1)
    if numbers.shape[1] == 2:
        shapes[known] = shapely.points(numbers[known])
    else:
        low = np.minimum(numbers[known, :2], numbers[known, 2:])
        high = np.maximum(numbers[known, :2], numbers[known, 2:])
        shapes[known] = shapely.box(*low.T, *high.T)
    return shapes


def _read_wkt(
    path: Path,
    header: Sequence[str],
    rows: Sequence[tuple[int, list[str]]],
    column: int,
) -> tuple[NDArray[np.object_], CRS | None]:
    """Read geometries in WKT or in EWKT, and the CRS that EWKT says; None if it says none."""
    shapes = np.full(len(rows), None, np.object_)
    found: dict[str, int] = {}  # the first line of each SRID
    for place, (line, row) in enumerate(rows):
        srid, text = _split_ewkt(row[column].strip())
        if text.lower() in MISSING:
            continue
        found.setdefault(srid, line)
        try:
            shapes[place] = shapely.from_wkt(text)
        except shapely.GEOSException as error:
            raise VectorError(
                f"{path}, line {line}: {header[column]} is {text[:60]!r}, not WKT",
                hint="write geometries as WKT, such as POINT (12.5 41.9)",
                path=path,
            ) from error
    return shapes, _crs_of(found, f"{path}: the column {header[column]}", path)


def _split_ewkt(text: str) -> tuple[str, str]:
    """Split EWKT, such as ``SRID=4326;POINT (1 2)``, as PostGIS writes it; no SRID is empty."""
    match = _EWKT.fullmatch(text)
    return (match[1].lstrip("0"), match[2]) if match else ("", text)


def _crs_of(srids: Mapping[str, int], where: str, path: Path) -> CRS | None:
    if len(srids) > 1:
        listed = ", ".join(f"{srid or 'none'} in line {line}" for srid, line in srids.items())
        raise VectorError(
            f"{where} has several SRIDs: {listed}",
            hint="transform the geometries to one CRS, or write a file for each",
            path=path,
        )
    srid = next(iter(srids), "")
    try:
        return CRS.from_epsg(int(srid)) if srid else None
    except CRSError as error:
        raise VectorError(
            f"{where} has the SRID {srid}, which is not an EPSG code: {error}",
            hint="write the number of an EPSG code, or leave SRID= out and give the CRS with --crs",
            path=path,
        ) from error


def _typed(cells: Sequence[str]) -> Any:
    """Return a column of numbers if all cells are, else of texts; missing numbers are NaN.

    Numbers that would change, such as 007 or one of twenty digits, are codes, and so texts.
    """
    if any(_CODE.fullmatch(cell.strip()) for cell in cells):
        return list(cells)
    try:
        numbers = [np.nan if c.strip().lower() in MISSING else float(c) for c in cells]
    except ValueError:
        return list(cells)
    return numbers if np.isfinite(numbers).any() else list(cells)
