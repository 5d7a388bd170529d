"""Which format an output is in: one table of names, extensions and writers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from geodet.errors import OutputError
from geodet.folders import check_output_folder, replace_folder
from geodet.outputs import check_destination, replacing
from geodet.vectors.csv_file import CsvWriter
from geodet.vectors.gdal_copies import FlatGeobufWriter, GeoJsonLinesWriter, GeoJsonWriter
from geodet.vectors.geopackage import GeoPackageWriter, check_appendable
from geodet.vectors.geoparquet import GeoParquetWriter, check_pyarrow
from geodet.vectors.pixel_files import CocoWriter, YoloWriter, check_yolo_names, yolo_files
from geodet.vectors.writer import DetectionWriter

__all__ = ["FORMATS", "Format", "check_output", "choose_format"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format that detections are written in."""

    title: str
    """As its makers write it."""
    extensions: tuple[str, ...]
    """In lower case; none where it is only chosen by name."""
    writer: type[DetectionWriter]
    """What writes it."""
    can_append: bool = False
    """Whether rows can be added to a file."""
    is_folder: bool = False
    """Whether it is a folder of files."""
    takes_style: bool = True
    """Whether QGIS looks for a style in a file beside it."""
    check: Callable[[], None] = lambda: None
    """Raises what is missing to write it."""
    check_names: Callable[[Path, Sequence[str]], None] = lambda *_: None
    """Raises where scenes of such names have no place in a path."""

    def replacing(self, path: Path) -> AbstractContextManager[Path]:
        """Lend a temporary path that takes the place of ``path`` when all went well."""
        return replace_folder(path) if self.is_folder else replacing(path)


FORMATS: Mapping[str, Format] = {
    "gpkg": Format("GeoPackage", (".gpkg",), GeoPackageWriter, can_append=True, takes_style=False),
    "geojson": Format("GeoJSON", (".geojson", ".json"), GeoJsonWriter),
    "geojsonl": Format(
        "newline-delimited GeoJSON", (".geojsonl", ".geojsons", ".ndjson"), GeoJsonLinesWriter
    ),
    "flatgeobuf": Format("FlatGeobuf", (".fgb",), FlatGeobufWriter),
    "geoparquet": Format(
        "GeoParquet", (".parquet", ".geoparquet"), GeoParquetWriter, check=check_pyarrow
    ),
    "csv": Format("CSV", (".csv",), CsvWriter),
    "coco": Format("COCO results", (".coco.json",), CocoWriter, takes_style=False),
    "yolo": Format(
        "YOLO text", (), YoloWriter, is_folder=True, takes_style=False, check_names=check_yolo_names
    ),
}
"""By the name that ``format`` takes."""


def choose_format(path: Path, name: str | None = None) -> Format:
    """Tell the format of an output by its name, or else by the longest extension that fits.

    Raises:
        OutputError: Neither is known.
    """
    if name is not None:
        if name not in FORMATS:
            raise OutputError(
                f"no format is called {name}", hint=f"the formats are {', '.join(FORMATS)}"
            )
        if name == "gpkg" and path.suffix.lower() != ".gpkg":
            raise OutputError(
                f"{path} would be a GeoPackage by another name", hint="end its name in .gpkg"
            )
        return FORMATS[name]
    known = {extension: one for one in FORMATS.values() for extension in one.extensions}
    fitting = [extension for extension in known if path.name.lower().endswith(extension)]
    if not fitting:
        raise OutputError(
            f"cannot tell the format of {path}",
            hint=f"end its name in one of {' '.join(known)}, or name the format",
        )
    return known[max(fitting, key=len)]


def check_output(
    path: Path, *, overwrite: bool, append: bool = False, format: str | None = None
) -> None:
    """Check that detections can be written to a path, before the hours that it takes to find them.

    Args:
        path: The output.
        overwrite: Whether a file that is there may be replaced.
        append: Whether rows are added to a file that is there.
        format: A name in :data:`FORMATS`; None goes by the extension.

    Raises:
        OutputError: The format is unknown, or a library for it is missing; the folder is missing or
            read-only; the file exists and may not be replaced, or cannot be appended to.
    """
    chosen = choose_format(path, format)
    chosen.check()
    if append and overwrite:
        raise OutputError(
            f"{path} cannot be both appended to and replaced",
            hint="give one of --append and --overwrite",
        )
    if append and not chosen.can_append:
        able = " or ".join(one.title for one in FORMATS.values() if one.can_append)
        raise OutputError(f"cannot append to {chosen.title}", hint=f"append to a {able}")
    if chosen.is_folder:
        check_output_folder(path, yolo_files(path), overwrite=overwrite)
        return
    check_destination(path, (path.suffix.lower(),), overwrite=overwrite or append)
    if append and path.exists():
        check_appendable(path)
