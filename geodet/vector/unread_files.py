"""Explain why a file cannot be read as a vector file, and which file to give instead."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from geodet.documents.values import cut_short
from geodet.errors import VectorError
from geodet.vector.coordinate_tables import NAMES_HINT
from geodet.vector.formats import path_of

__all__ = ["explain_file", "no_geometries", "unreadable_vector"]

_GDAL_ADVICE = "; It might help to specify the correct driver"  # by a prefix that geodet lacks
_LOCKED = "database is locked"  # of SQLite, through GDAL
_PROJECTS = {".qgs": "QGIS", ".qgz": "QGIS", ".mxd": "ArcGIS", ".aprx": "ArcGIS"}
_SHEETS = (".xlsx", ".xls", ".xlsm", ".ods")
_RASTERS = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg", ".jpeg")
_VECTORS = (".shp", ".gpkg", ".geojson", ".json", ".kml", ".gml", ".fgb", ".tab", ".dxf", ".csv")
_CHOOSE = "choose a file with points or polygons, such as a GeoPackage"
_MOST_MEMBERS = 3  # of an archive, in a hint
_MOST_NAMES = 20  # of columns, in a message


def unreadable_vector(path: str | Path, reason: str) -> VectorError:
    """Return the error of a file that cannot be read as a vector file.

    Args:
        path: The file.
        reason: Why it cannot be read, for a file that :func:`explain_file` does not recognise.
    """
    if known := explain_file(path):
        what, hint = known
        return VectorError(f"{path} {what}, not a vector file", hint=hint, path=path)
    if path_of(path).lower().endswith(_RASTERS):
        return VectorError(f"{path} is a raster, not a vector file", hint=_CHOOSE, path=path)
    if _LOCKED in reason:
        return VectorError(
            f"cannot read {path}: another program has locked it",
            hint="save the edits and close it in other programs, for example in QGIS",
            path=path,
        )
    return VectorError(
        f"cannot read {path} as a vector file: {reason.partition(_GDAL_ADVICE)[0].rstrip('.')}",
        hint="geodet reads what GDAL reads, such as GeoPackage, GeoJSON and Shapefile, and "
        "GeoParquet",
        path=path,
    )


def no_geometries(path: str | Path, columns: Sequence[str]) -> VectorError:
    """Return the error of a table without geometries.

    Args:
        path: The file.
        columns: Names of its columns.
    """
    if known := explain_file(path):
        return unreadable_vector(path, known[0])
    is_text = path_of(path).lower().endswith((".csv", ".tsv"))
    more = ", ..." if len(columns) > _MOST_NAMES else ""
    listed = ", ".join(map(cut_short, columns[:_MOST_NAMES])) + more
    return VectorError(
        f"{path} has no geometries: its columns are {listed or 'none'}",
        hint=NAMES_HINT if is_text else f"{_CHOOSE}, or save it as CSV: {NAMES_HINT}",
        path=path,
    )


def explain_file(path: str | Path) -> tuple[str, str] | None:
    """Describe a local file that is empty, a project, a spreadsheet or an archive.

    Returns:
        A predicate that follows the file's name in a message, such as "is a spreadsheet", and a
        hint; None for any other file.
    """
    file = Path(path_of(path))
    end = file.suffix.lower()
    if not file.is_file():
        return None
    if not file.stat().st_size:
        return (
            "is empty",
            "write it again; newline-delimited GeoJSON without objects is also empty; a GeoPackage "
            "is not",
        )
    if end in _PROJECTS:
        return (
            f"is a project of {_PROJECTS[end]}",
            "give the file of the layer, which the project shows as the layer's source",
        )
    if end in _SHEETS:
        return "is a spreadsheet", f"save it as CSV: {NAMES_HINT}"
    return _explain_archive(file) if zipfile.is_zipfile(file) else None


def _explain_archive(file: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        names = []
    for ends in (_VECTORS, _RASTERS):
        if found := [name for name in names if name.lower().endswith(ends)]:
            place = f"{{{file}}}" if file.is_absolute() else file  # a path has no // within
            listed = [cut_short(f"/vsizip/{place}/{n}", longest=200) for n in found[:_MOST_MEMBERS]]
            more = f", or another of {len(found)}" if len(found) > _MOST_MEMBERS else ""
            return "is an archive", f"name a file in it, as in {' or '.join(listed)}{more}"
    return "is an archive", "unpack it, and give the file in it"
