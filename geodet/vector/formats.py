"""Detections as files that GIS programs and the tools of other detectors open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pyproj import CRS

from geodet.errors import OutputError
from geodet.files.outputs import check_destination, check_output_folder, replace_folder, replacing
from geodet.geometry.scene_detections import SceneDetections, common_crs
from geodet.vector.csv_format import CsvWriter
from geodet.vector.gdal_formats import FlatGeobufWriter, GeoJsonLinesWriter, GeoJsonWriter
from geodet.vector.geopackage import GeoPackageWriter, check_appendable
from geodet.vector.geoparquet import GeoParquetWriter, check_pyarrow
from geodet.vector.layer import Geometry, VectorLayer
from geodet.vector.pixel_formats import CocoWriter, YoloWriter, check_yolo_names, yolo_files
from geodet.vector.writer import DetectionWriter

__all__ = ["FORMATS", "Format", "check_output", "choose_format", "open_writer", "write_detections"]


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


@contextmanager
def open_writer(
    path: Path,
    classes: Sequence[str],
    *,
    crs: CRS | None,
    metadata: Mapping[str, str],
    overwrite: bool = False,
    append: bool = False,
    geometry: Geometry = "box",
    format: str | None = None,
) -> Iterator[DetectionWriter]:
    """Open a file that detections are written to part by part, as one layer, ``detections``.

    The file appears, or takes the place of another, when the block ends well. When it fails or is
    interrupted, what was there before is unharmed. Memory does not grow with the objects.

    A row has ``label``, ``score`` (six decimals), ``scene``, ``x1_px``, ``y1_px``, ``x2_px``,
    ``y2_px`` (the scene's own pixels) and ``area_m2`` (on the ground; null without a CRS). Rows
    keep the order of the parts, except in a FlatGeobuf. A polygon is the box's four corners through
    the scene's transform in float64: exact under rotation and shear, counter-clockwise.

    Scenes of another CRS than the layer's are transformed to it, with a warning. GeoJSON is WGS 84
    to 1e-9 degrees (0.1 mm) after RFC 7946, which also splits what crosses the antimeridian.
    Without a CRS, or with a local grid in GeoJSON, coordinates stay as they are. COCO and YOLO are
    in the pixels of each scene and ignore ``crs`` and ``geometry``.

    Args:
        path: The output; a folder in the format ``yolo``.
        classes: Names of the classes, by label.
        crs: Of the layer: the first scene's.
        metadata: Texts on how the layer was made, kept where the format has a place for them.
        overwrite: Whether an existing file may be replaced.
        append: Whether the rows are added to those of an existing GeoPackage of geodet's.
        geometry: ``box``, polygons, or ``centroid``, points.
        format: A name in :data:`geodet.vectors.FORMATS`; None goes by the extension.

    Yields:
        What takes the parts, one at a time, in any thread.

    Raises:
        OutputError: The file exists or cannot be written, or is not one that the rows fit in.
    """
    check_output(path, overwrite=overwrite, append=append, format=format)
    chosen = choose_format(path, format)
    layer = VectorLayer(path, tuple(classes), crs, dict(metadata), geometry, append)
    stopped: BaseException | None = None
    with (
        suppress(_Stopped),
        chosen.replacing(path) as temporary,
        chosen.writer(temporary, layer) as writer,
    ):
        try:
            yield writer
        except BaseException as error:  # the block's own, not to be called a failure to write
            stopped = error
            raise _Stopped from None
        writer.finish()
    if stopped is not None:
        raise stopped


class _Stopped(BaseException):
    """The block ended early."""


def write_detections(
    path: Path,
    parts: Sequence[SceneDetections],
    classes: Sequence[str],
    *,
    metadata: Mapping[str, str],
    overwrite: bool = False,
    append: bool = False,
    geometry: Geometry = "box",
    format: str | None = None,
) -> None:
    """Write the boxes of one or more scenes, in the first one's CRS: :func:`open_writer` at once.

    Args:
        path: The output.
        parts: At least one scene; its detections may be empty.
        classes: Names of the classes, by label.
        metadata: Texts on how the layer was made.
        overwrite: Whether an existing file may be replaced.
        append: Whether the rows are added to those of an existing GeoPackage of geodet's.
        geometry: ``box``, polygons, or ``centroid``, points.
        format: A name in :data:`geodet.vectors.FORMATS`; None goes by the extension.

    Raises:
        OutputError: The file exists or cannot be written, or only some scenes have a CRS. A file
            that was there before is unharmed.
        ValueError: There are no scenes, or a label has no class.
    """
    with open_writer(
        path,
        classes,
        crs=common_crs(parts),
        metadata=metadata,
        overwrite=overwrite,
        append=append,
        geometry=geometry,
        format=format,
    ) as writer:
        for part in parts:
            writer.write(part)
