"""The formats that detections are written in, and whether a path can be written to.

Nothing here loads GDAL: a wrong output is refused before anything slow is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geodet.config.section import name_hint
from geodet.documents.json_documents import parse_json
from geodet.errors import OutputError, VectorError
from geodet.files.existence import is_there
from geodet.files.gdal_paths import PARQUET_SUFFIXES, check_gdal_output, path_text
from geodet.files.network import is_offline, is_remote_path
from geodet.files.outputs import check_destination, check_output_folder, check_parent
from geodet.vector.lazy_modules import is_installed

__all__ = [
    "FORMATS",
    "LAYER_SEPARATOR",
    "TABLE_SUFFIXES",
    "YOLO_ABOUT",
    "YOLO_CLASSES",
    "YOLO_FILES",
    "Format",
    "Geometry",
    "check_output_path",
    "check_vector_exists",
    "choose_format",
    "dataset_files",
    "geodatabase_files",
    "path_of",
    "shapefile_parts",
    "style_path",
    "yolo_files",
]

Geometry = Literal["box", "centroid"]

LAYER_SEPARATOR = "|layername="
"""Separates a file from the name of its layer, as in QGIS."""

TABLE_SUFFIXES = (".gpkg", ".geojson", ".fgb", ".parquet", ".csv")
"""Formats of tables of polygons, by extension; CSV is without the polygons."""

YOLO_ABOUT, YOLO_CLASSES, YOLO_FILES = "geodet.json", "classes.txt", "files"
"""Names in a folder of YOLO text: the list of files, the classes, and the key of the list."""


_FIXED_ENDS = ("shapefile", "filegdb")
"""Formats that GDAL knows by the ends of their names alone."""

_WITHOUT_GDAL = ("geoparquet", "parquet-scenes", "parquet-quadkeys", "csv", "coco", "yolo")
"""Formats that GDAL neither writes nor reads back."""

_SHAPEFILE_ENDS = (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".idm", ".ind")


@dataclass(frozen=True, slots=True)
class Format:
    """A format that detections are written in."""

    name: str
    """The name that ``format`` takes."""
    title: str
    """Name of the format in messages, such as ``GeoPackage``."""
    extensions: tuple[str, ...]
    """Extensions in lower case; none for a format that is only chosen by name."""
    can_append: bool = False
    """Whether rows can be added to a file."""
    is_folder: bool = False
    """Whether it is a folder of files."""
    takes_style: bool = True
    """Whether QGIS looks for a style in a file beside it."""
    driver: str = ""
    """GDAL's driver that must be there to write it; empty: one that always is, or none."""
    packages: tuple[str, ...] = ()
    """Packages that it needs besides those of every detection."""


_GDAL = ("pyogrio",)
_ARROW = ("pyarrow", "geopandas")

_FORMATS = (
    Format("gpkg", "GeoPackage", (".gpkg",), can_append=True, takes_style=False),
    Format("geojson", "GeoJSON", (".geojson", ".json"), packages=_GDAL),
    Format(
        "geojsonl",
        "newline-delimited GeoJSON",
        (".geojsonl", ".geojsons", ".ndjson"),
        packages=_GDAL,
    ),
    Format("flatgeobuf", "FlatGeobuf", (".fgb",), packages=_GDAL),
    Format("geoparquet", "GeoParquet", PARQUET_SUFFIXES, packages=_ARROW),
    Format(
        "parquet-scenes",
        "GeoParquet data set by scene",
        (),
        is_folder=True,
        takes_style=False,
        packages=_ARROW,
    ),
    Format(
        "parquet-quadkeys",
        "GeoParquet data set by quadkey",
        (),
        is_folder=True,
        takes_style=False,
        packages=_ARROW,
    ),
    Format("csv", "CSV", (".csv",)),
    Format("shapefile", "Shapefile", (".shp",), driver="ESRI Shapefile", packages=_GDAL),
    Format("kml", "KML", (".kml",), takes_style=False, driver="KML", packages=_GDAL),
    Format(
        "filegdb",
        "FileGDB",
        (".gdb",),
        is_folder=True,
        takes_style=False,
        driver="OpenFileGDB",
        packages=_GDAL,
    ),
    Format("coco", "COCO results", (".coco.json",), takes_style=False),
    Format("yolo", "YOLO text", (), is_folder=True, takes_style=False),
)

FORMATS: Mapping[str, Format] = {one.name: one for one in _FORMATS}
"""By the name that ``format`` takes."""


def choose_format(path: Path, name: str | None = None) -> Format:
    """Choose the format of an output by its name, or else by the longest extension that fits.

    Raises:
        OutputError: Neither is known.
    """
    if name is not None:
        if name not in FORMATS:
            raise OutputError(
                f"unknown format {name!r}", hint=name_hint(name, FORMATS, "formats"), path=path
            )
        if name == "gpkg" and path.suffix.lower() != ".gpkg":
            raise OutputError(
                f"{path} is to be a GeoPackage, but does not end in .gpkg",
                hint="end its name in .gpkg, or leave the format out",
                path=path,
            )
        return FORMATS[name]
    known = {extension: one for one in FORMATS.values() for extension in one.extensions}
    fitting = [extension for extension in known if path.name.lower().endswith(extension)]
    if not fitting:
        raise OutputError(
            f"cannot tell the format of {path}",
            hint=f"end its name in one of {' '.join(known)}, or name the format with --format "
            "(format)" + _ogr2ogr_hint(path),
            path=path,
        )
    return known[max(fitting, key=len)]


def check_output_path(
    path: Path, *, overwrite: bool, append: bool = False, format: str | None = None
) -> None:
    """Check that detections can be written to a path.

    The content of a GeoPackage to append to is checked by
    :func:`geodet.vector.write_detections.check_output`.

    Args:
        path: The output.
        overwrite: Whether an existing file may be replaced.
        append: Whether rows are added to an existing file.
        format: A name in :data:`FORMATS`; None goes by the extension.

    Raises:
        OutputError: The format is unknown, or needs a package that is not installed; the folder is
            missing or read-only; the file exists and may not be replaced; GDAL cannot write to
            such a path.
    """
    chosen = choose_format(path, format)
    if append and overwrite:
        raise OutputError(
            f"{path} cannot be both appended to and replaced",
            hint="give either --append (append=True) or --overwrite (overwrite=True)",
            path=path,
        )
    if append and not chosen.can_append:
        able = " or ".join(one.title for one in FORMATS.values() if one.can_append)
        raise OutputError(f"cannot append to {chosen.title}", hint=f"append to a {able}", path=path)
    if chosen.name in _FIXED_ENDS and path.suffix.lower() not in chosen.extensions:
        raise OutputError(
            f"{path} is to be a {chosen.title}, but does not end in {chosen.extensions[0]}",
            hint=f"end its name in {chosen.extensions[0]}",
            path=path,
        )
    _check_packages(path, chosen)
    if chosen.name not in _WITHOUT_GDAL:
        check_gdal_output(path)
    if chosen.is_folder:
        check_parent(path)
        check_output_folder(
            path, _FILES_OF.get(chosen.name, dataset_files)(path), overwrite=overwrite
        )
        return
    check_destination(path, (path.suffix.lower(),), overwrite=overwrite, append=append)
    if chosen.name == "shapefile" and not overwrite:
        _check_sidecars(path)


def _check_packages(path: Path, format: Format) -> None:
    missing = [package for package in format.packages if not is_installed(package)]
    if missing:
        raise OutputError(
            f"{format.title} needs the package {missing[0]}, which is not installed",
            hint=f"python -m pip install {' '.join(missing)}; or write a .gpkg",
            path=path,
        )


def path_of(path: str | Path) -> str:
    """Return the path of a vector file without the name of a layer that may follow it."""
    return path_text(path).partition(LAYER_SEPARATOR)[0]


def check_vector_exists(path: str | Path) -> None:
    """Check that a vector file exists, where it is a local file; GDAL finds the others.

    Raises:
        VectorError: There is no such file; or it is read over the network, and geodet is offline.
    """
    file = path_of(path)
    if is_offline() and is_remote_path(file):
        raise VectorError(
            f"{file} is read over the network, which is not allowed offline",
            hint="copy it to this machine, or run without --offline and --restricted",
            path=path,
        )
    is_local = not file.startswith("/vsi") and "://" not in file
    if is_local and not is_there(file):
        # a Path has one slash after the colon, on Windows a backslash
        scheme, _, place = file.replace("\\", "/").partition(":/")
        hint = "check the path of the vector file"
        if scheme.lower() in ("http", "https"):
            hint = f"read an address as /vsicurl/{scheme}://{place}, or download the file first"
        raise VectorError(f"no such file: {file}", hint=hint, path=path)


def style_path(path: Path) -> Path:
    """Return the path at which QGIS looks for a vector file's style: the same name in ``.qml``."""
    return path.with_suffix(".qml")


def shapefile_parts(path: Path) -> list[Path]:
    """Return the paths of all files that may belong to a Shapefile, itself first."""
    return [path, *(path.with_suffix(end) for end in _SHAPEFILE_ENDS)]


def geodatabase_files(folder: Path) -> list[str]:
    """List the files of a file geodatabase; empty for any other folder."""
    if not folder.is_dir():
        return []
    names = [entry.name for entry in folder.iterdir() if entry.is_file()]
    is_one = "a00000001.gdbtable" in names
    return [n for n in names if n in ("gdb", "timestamps") or n[0] in "a_"] if is_one else []


def _check_sidecars(path: Path) -> None:
    """Check that a Shapefile replaces no table or index of another file of its name."""
    there = [part.name for part in shapefile_parts(path) if part.exists()]
    if there:
        raise OutputError(
            f"{path} would replace {', '.join(there)}",
            hint="--overwrite (overwrite=True) replaces them",
            path=path,
        )


def _ogr2ogr_hint(path: Path) -> str:
    """Return a hint at ogr2ogr for a format that geodet does not write."""
    if not path.suffix:
        return ""
    gpkg = path.with_suffix(".gpkg")
    return f"; for another format write {gpkg}, then: ogr2ogr {path} {gpkg}"


def yolo_files(folder: Path) -> list[str]:
    """List the files of a folder of YOLO text that geodet wrote; empty for any other folder."""
    try:
        about = parse_json((folder / YOLO_ABOUT).read_text(encoding="utf-8"))
        names = [YOLO_ABOUT, *map(str, about[YOLO_FILES])]
    except (OSError, ValueError, TypeError, KeyError):
        return []
    # The list may be crafted, and what it names is replaced: nothing outside of the folder.
    is_inside = all(name == Path(name).name and name != ".." for name in names)
    return names if is_inside else []


def dataset_files(folder: Path) -> list[str]:
    """List the files of a GeoParquet data set by their names; empty for any other folder."""
    if not folder.is_dir():
        return []
    names = [entry.name for entry in folder.iterdir() if entry.is_file()]
    return [n for n in names if n.startswith(("scene-", "quadkey-")) and n.endswith(".parquet")]


_FILES_OF: Mapping[str, Callable[[Path], list[str]]] = {
    "filegdb": geodatabase_files,
    "yolo": yolo_files,
}
