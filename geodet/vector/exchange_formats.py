"""Formats for other programs, each with limits of its own: Shapefile, KML and FileGDB."""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
import struct
import warnings
from pathlib import Path
from typing import Any

from geodet.errors import OutputError
from geodet.files.gdal_paths import gdal_path
from geodet.files.leftovers import make_private_folder
from geodet.files.pending import PendingOutput, announce, keep_complete, rename_new
from geodet.geometry.geobox import is_on_earth
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.formats import Format, shapefile_parts
from geodet.vector.gdal_errors import raising_gdal_errors
from geodet.vector.gdal_formats import (
    GdalCopyWriter,
    GeoJsonWriter,
    check_rows,
)
from geodet.vector.lazy_modules import pyogrio
from geodet.vector.rows import LAYER, FileLayer

__all__ = [
    "FileGdbWriter",
    "KmlWriter",
    "PendingShapefile",
    "ShapefileWriter",
    "check_driver",
]

_logger = logging.getLogger(__name__)

_LONGEST_TEXT = 254  # bytes in a field of a dBASE table
_LARGEST = 2**31 - 1  # bytes of a file that every reader of Shapefiles reads


def check_driver(path: Path, format: Format) -> None:
    """Check that the GDAL that is installed can write a format.

    Raises:
        OutputError: It cannot; the hint has a command for a GDAL that can.
    """
    if format.driver and "w" not in pyogrio.list_drivers().get(format.driver, ""):
        gpkg = path.with_suffix(".gpkg")
        raise OutputError(
            f"the installed GDAL cannot write {format.title}: it has no driver {format.driver}",
            hint=f"write {gpkg}, then convert it with a complete GDAL: ogr2ogr {path} {gpkg}",
            path=path,
        )


class PendingShapefile(PendingOutput):
    """The files of a Shapefile, in a folder beside it until all of them are moved to their place.

    Raises:
        OSError: The temporary folder cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = make_private_folder(path)
        self.temporary = self._folder / f"{path.stem}.shp"
        self._is_new = not any(part.exists() for part in shapefile_parts(path))
        self._is_kept = False

    def commit(self) -> None:
        """Move the files, that with the shapes last; parts of an earlier Shapefile are removed.

        Raises:
            OutputError: They cannot be moved; those that are left are kept in a folder, which the
                message names.
        """
        pairs = list(zip(shapefile_parts(self.path), shapefile_parts(self.temporary), strict=True))
        try:
            self._check_still_new()
            announce(self.temporary, self.path)
            for path, temporary in reversed(pairs):
                self._move(temporary, path)
        except OSError as error:
            self._is_kept = True
            raise keep_complete(self._folder, self.path.with_suffix(""), error) from error
        self.abort()

    def abort(self) -> None:
        """Remove the temporary files."""
        if not self._is_kept:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _check_still_new(self) -> None:
        there = [part for part in shapefile_parts(self.path) if part.exists()]
        if self._is_new and there:
            raise FileExistsError(errno.EEXIST, "it exists", str(there[0]))

    def _move(self, temporary: Path, path: Path) -> None:
        """Move a file to its place, which nobody else may have taken meanwhile."""
        if not temporary.exists():
            if not self._is_new:
                path.unlink(missing_ok=True)
        elif self._is_new:
            rename_new(temporary, path)
        else:
            temporary.replace(path)


class ShapefileWriter(GdalCopyWriter):
    """Writes a Shapefile in UTF-8.

    The format has no place for metadata. Texts of more than 254 bytes and files of more than 2 GiB
    are warned of.
    """

    driver = "ESRI Shapefile"

    def _options(self) -> dict[str, Any]:
        return {"layer_options": {"ENCODING": "UTF-8"}, "layer": self._temporary.stem}

    def _begin_scene(self, part: SceneDetections) -> None:
        super()._begin_scene(part)
        for text in (part.scene, *self._layer.classes):
            if len(text.encode()) > _LONGEST_TEXT:
                _logger.warning(
                    "%s: a Shapefile cuts the text %s... to %d bytes; write a .gpkg",
                    self._layer.path,
                    text[:40],
                    _LONGEST_TEXT,
                )

    def _check_written(self) -> None:
        super()._check_written()
        for part in (self._temporary, *map(self._temporary.with_suffix, (".shx", ".dbf"))):
            _check_length(part)
        sizes = [part.stat().st_size for part in shapefile_parts(self._temporary) if part.exists()]
        if max(sizes) > _LARGEST:
            _logger.warning(
                "%s has a file of more than 2 GiB, which many programs cannot read; write a .gpkg",
                self._layer.path,
            )


class KmlWriter(GeoJsonWriter):
    """Writes KML, which is WGS 84 alone: the features of GeoJSON, named by their class.

    What crosses the antimeridian is split, as in GeoJSON. There is no place for metadata.
    """

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        if not is_on_earth(layer.crs):
            raise OutputError(
                f"KML needs longitudes and latitudes on the earth, which the layer of {layer.path} "
                "lacks",
                hint="write a .gpkg, or give a scene without a CRS one with gdal_edit",
                path=layer.path,
            )
        super().__init__(output, layer)

    def _convert(self) -> None:
        super()._convert()
        collection = self._temporary.rename(self._folder / "rows.geojson")
        _copy_layer(
            collection,
            self._temporary,
            driver="KML",
            geometry_type="Unknown",
            crs="EPSG:4326",
            dataset_options={"NameField": "label", "DOCUMENT_ID": LAYER},
        )


class FileGdbWriter(GdalCopyWriter):
    """Writes an Esri file geodatabase, a folder, with a spatial index."""

    driver = "OpenFileGDB"

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        super().__init__(output, layer)
        self._target = self._folder / "rows.gdb"  # GDAL looks at the end of the name

    def _check_written(self) -> None:
        check_rows(self._target, self._count)

    def _complete(self) -> None:
        super()._complete()
        with raising_gdal_errors():
            shutil.copytree(self._target, self._temporary, dirs_exist_ok=True)


def _check_length(part: Path) -> None:
    """Check that a file of a Shapefile has the length in its header: readers fill up what is lost.

    Raises:
        OSError: It is shorter, or has no header.
    """
    with part.open("rb") as file:
        head = file.read(28)
    if part.suffix == ".dbf":
        count, before, record = struct.unpack_from("<IHH", head, 4)
        length = before + count * record
    else:
        length = 2 * int.from_bytes(head[24:28], "big")
    found = part.stat().st_size
    if not 0 < length <= found:
        raise OSError(f"{part.suffix} came out incomplete, with {found} bytes")


def _copy_layer(source: Path, target: Path, **options: Any) -> None:
    """Copy the only layer of a file to a new file, as a stream of Arrow batches."""
    opened = pyogrio.raw.open_arrow(gdal_path(source), use_pyarrow=False)
    with opened as (about, stream), warnings.catch_warnings(), contextlib.suppress(StopIteration):
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.raw.write_arrow(
            stream,
            gdal_path(target),
            layer=LAYER,
            geometry_name=about["geometry_name"] or "wkb_geometry",
            **options,
        )
