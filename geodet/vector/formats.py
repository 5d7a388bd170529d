"""The formats that detections are written in, and whether a path can be written to.

Nothing here loads GDAL: a wrong output is refused before anything slow is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geodet.config.section import name_hint
from geodet.errors import OutputError, VectorError
from geodet.files.outputs import check_destination, check_output_folder

__all__ = [
    "FORMATS",
    "LAYER_SEPARATOR",
    "YOLO_ABOUT",
    "YOLO_CLASSES",
    "YOLO_FILES",
    "Format",
    "Geometry",
    "check_output_path",
    "check_vector_exists",
    "choose_format",
    "path_of",
    "style_path",
    "yolo_files",
]

Geometry = Literal["box", "centroid"]

LAYER_SEPARATOR = "|layername="
"""Stands between a file and its layer, as in QGIS."""

YOLO_ABOUT, YOLO_CLASSES, YOLO_FILES = "geodet.json", "classes.txt", "files"
"""Names in a folder of YOLO text: the list of files, the classes, and the key of the list."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format that detections are written in."""

    name: str
    """The name that ``format`` takes."""
    title: str
    """As its makers write it."""
    extensions: tuple[str, ...]
    """In lower case; none where it is only chosen by name."""
    can_append: bool = False
    """Whether rows can be added to a file."""
    is_folder: bool = False
    """Whether it is a folder of files."""
    takes_style: bool = True
    """Whether QGIS looks for a style in a file beside it."""


_FORMATS = (
    Format("gpkg", "GeoPackage", (".gpkg",), can_append=True, takes_style=False),
    Format("geojson", "GeoJSON", (".geojson", ".json")),
    Format("geojsonl", "newline-delimited GeoJSON", (".geojsonl", ".geojsons", ".ndjson")),
    Format("flatgeobuf", "FlatGeobuf", (".fgb",)),
    Format("geoparquet", "GeoParquet", (".parquet", ".geoparquet")),
    Format("csv", "CSV", (".csv",)),
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
                f"{path} would be a GeoPackage by another name",
                hint="end its name in .gpkg",
                path=path,
            )
        return FORMATS[name]
    known = {extension: one for one in FORMATS.values() for extension in one.extensions}
    fitting = [extension for extension in known if path.name.lower().endswith(extension)]
    if not fitting:
        raise OutputError(
            f"cannot tell the format of {path}",
            hint=f"end its name in one of {' '.join(known)}, or name the format with --format",
            path=path,
        )
    return known[max(fitting, key=len)]


def check_output_path(
    path: Path, *, overwrite: bool, append: bool = False, format: str | None = None
) -> None:
    """Check that detections can be written to a path.

    What an existing GeoPackage holds, to append to, is checked by
    :func:`geodet.vector.write_detections.check_output`.

    Args:
        path: The output.
        overwrite: Whether a file that is there may be replaced.
        append: Whether rows are added to a file that is there.
        format: A name in :data:`FORMATS`; None goes by the extension.

    Raises:
        OutputError: The format is unknown; the folder is missing or
            read-only; the file exists and may not be replaced.
    """
    chosen = choose_format(path, format)
    if append and overwrite:
        raise OutputError(
            f"{path} cannot be both appended to and replaced",
            hint="give one of --append and --overwrite",
            path=path,
        )
    if append and not chosen.can_append:
        able = " or ".join(one.title for one in FORMATS.values() if one.can_append)
        raise OutputError(f"cannot append to {chosen.title}", hint=f"append to a {able}", path=path)
    if chosen.is_folder:
        check_output_folder(path, yolo_files(path), overwrite=overwrite)
        return
    check_destination(path, (path.suffix.lower(),), overwrite=overwrite or append)


def path_of(path: str | Path) -> str:
    """Return the path of a vector file without the name of a layer that may follow it."""
    return str(path).partition(LAYER_SEPARATOR)[0]


def check_vector_exists(path: str | Path) -> None:
    """Check that a vector file exists, where it is a local file; GDAL finds the others.

    Raises:
        VectorError: There is no such file.
    """
    file = path_of(path)
    is_local = not file.startswith("/vsi") and "://" not in file
    if is_local and not Path(file).exists():
        raise VectorError(
            f"no such file: {file}", hint="check the path of the vector file", path=path
        )


def style_path(path: Path) -> Path:
    """Return the path at which QGIS looks for a vector file's style: the same name in ``.qml``."""
    return path.with_suffix(".qml")


def yolo_files(folder: Path) -> list[str]:
    """List the files of a folder of YOLO text that geodet wrote; empty for any other folder."""
    try:
        about = json.loads((folder / YOLO_ABOUT).read_text(encoding="utf-8"))
        return [YOLO_ABOUT, *map(str, about[YOLO_FILES])]
    except (OSError, ValueError, TypeError, KeyError):
        return []
