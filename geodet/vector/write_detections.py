"""Write detections to files that GIS programs and the tools of other detectors open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from geodet.files.outputs import raising_output_errors
from geodet.files.pending import PendingFile, PendingFolder, PendingOutput, PendingRows
from geodet.geometry.scene_detections import SceneDetections, common_crs
from geodet.vector.csv_format import CsvWriter
from geodet.vector.exchange_formats import (
    FileGdbWriter,
    KmlWriter,
    PendingShapefile,
    ShapefileWriter,
    check_driver,
)
from geodet.vector.formats import check_output_path, choose_format
from geodet.vector.gdal_formats import FlatGeobufWriter, GeoJsonLinesWriter, GeoJsonWriter
from geodet.vector.geopackage_writer import GeoPackageAppender, GeoPackageWriter, check_appendable
from geodet.vector.geoparquet import GeoParquetWriter
from geodet.vector.parquet_datasets import QuadkeyDatasetWriter, SceneDatasetWriter
from geodet.vector.pixel_formats import CocoWriter, YoloWriter, check_yolo_names
from geodet.vector.rows import Appending, FileLayer, VectorLayer
from geodet.vector.writer import DetectionWriter

__all__ = ["check_output", "check_scene_names", "open_writer", "write_detections"]

_WRITERS: Mapping[str, type[DetectionWriter]] = {
    "gpkg": GeoPackageWriter,
    "geojson": GeoJsonWriter,
    "geojsonl": GeoJsonLinesWriter,
    "flatgeobuf": FlatGeobufWriter,
    "geoparquet": GeoParquetWriter,
    "parquet-scenes": SceneDatasetWriter,
    "parquet-quadkeys": QuadkeyDatasetWriter,
    "csv": CsvWriter,
    "shapefile": ShapefileWriter,
    "kml": KmlWriter,
    "filegdb": FileGdbWriter,
    "coco": CocoWriter,
    "yolo": YoloWriter,
}


_PENDING: Mapping[str, Callable[[Path], PendingOutput]] = {
    "yolo": PendingFolder,
    "parquet-scenes": PendingFolder,
    "parquet-quadkeys": PendingFolder,
    "filegdb": PendingFolder,
    "shapefile": PendingShapefile,
}


def check_output(
    path: Path, *, overwrite: bool, append: bool = False, format: str | None = None
) -> None:
    """Check that detections can be written to a path, and appended to what it holds.

    Args:
        path: The output.
        overwrite: Whether an existing file may be replaced.
        append: Whether rows are added to an existing file.
        format: A name in :data:`geodet.vector.formats.FORMATS`; None goes by the extension.

    Raises:
        OutputError: As by :func:`geodet.vector.formats.check_output_path`, or the file cannot be
            appended to, or GDAL here cannot write the format.
    """
    check_output_path(path, overwrite=overwrite, append=append, format=format)
    check_driver(path, choose_format(path, format))
    if append and path.exists():
        check_appendable(path)


def check_scene_names(path: Path, names: Sequence[str], *, format: str | None = None) -> None:
    """Check that each scene has a place of its own in an output.

    Args:
        path: The output.
        names: Names of the scenes, all different.
        format: A name in :data:`geodet.vector.formats.FORMATS`; None goes by the extension.

    Raises:
        OutputError: Two scenes would share a file in a folder of YOLO text.
    """
    if choose_format(path, format).name == "yolo":
        check_yolo_names(path, names)


def open_writer(
    path: Path,
    layer: VectorLayer,
    *,
    overwrite: bool = False,
    append: Appending | None = None,
    format: str | None = None,
) -> DetectionWriter:
    """Open a file that detections are written to part by part, as one layer, ``detections``.

    The file appears, or replaces another, when the writer commits. As a context manager the writer
    commits at the end of the block. When the block fails or is interrupted, what was there before
    is unharmed. Memory does not grow with the number of objects.

    A row has ``label``, ``score`` (six decimals), ``scene``, ``x1_px``, ``y1_px``, ``x2_px``,
    ``y2_px`` (the scene's own pixels) and ``area_m2`` (on the ground; null without a CRS). Rows
    keep the order of the parts, except in a FlatGeobuf and in GeoParquet. A polygon is the box's
    four corners through the scene's transform in float64: exact under rotation and shear,
    counter-clockwise. Oriented boxes have more columns, see
    :data:`geodet.vector.oriented_fields.ORIENTED_FIELDS`.

    Scenes of another CRS than the layer's are transformed to it, with a warning. GeoJSON is WGS 84
    to 1e-9 degrees (0.1 mm) after RFC 7946, which also splits what crosses the antimeridian.
    Without a CRS, or with a local grid in GeoJSON, coordinates stay as they are. COCO and YOLO are
    in the pixels of each scene and ignore the layer's CRS and geometry.

    Of photographs the layer is in WGS 84. A row has a place, and true in a further column,
    ``approximate``, where the pose of the camera is known; another row has neither. Where
    each picture was taken and what it shows is the layer ``images``, or a file beside the output.

    Args:
        path: The output; a folder in the format ``yolo``.
        layer: Properties of the layer; its CRS is usually the first scene's.
        overwrite: Whether an existing file may be replaced.
        append: Which rows are added to those of an existing GeoPackage of geodet's, in one
            transaction when the writer commits; None: none, the file is new.
        format: A name in :data:`geodet.vector.formats.FORMATS`; None goes by the extension.

    Returns:
        The writer. Any thread may use it, one at a time.

    Raises:
        OutputError: The file exists or cannot be written, or is not one that the rows fit in.
    """
    check_output(path, overwrite=overwrite, append=append is not None, format=format)
    chosen = choose_format(path, format)
    placed = FileLayer.of(layer, path, append)
    is_there = append is not None and path.exists()
    with raising_output_errors(path):
        output = PendingRows(path) if is_there else _PENDING.get(chosen.name, PendingFile)(path)
        try:
            return (
                GeoPackageAppender(output, placed)
                if is_there
                else _WRITERS[chosen.name](output, placed)
            )
        except BaseException:
            output.abort()
            raise


def write_detections(
    path: Path,
    parts: Sequence[SceneDetections],
    classes: Sequence[str],
    *,
    metadata: Mapping[str, str],
    overwrite: bool = False,
) -> None:
    """Write the boxes of one or more scenes, in the first one's CRS: :func:`open_writer` at once.

    Args:
        path: The output.
        parts: At least one scene; its detections may be empty.
        classes: Names of the classes, by label.
        metadata: Texts on how the layer was made.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputError: The file exists or cannot be written, or only some scenes have a CRS. A file
            that was there before is unharmed.
        ValueError: There are no scenes, or a label has no class.
    """
    layer = VectorLayer(classes=classes, crs=common_crs(parts), metadata=metadata)
    with open_writer(path, layer, overwrite=overwrite) as writer:
        for part in parts:
            writer.write(part)
