"""Formats that GDAL converts from a temporary GeoPackage when the output is committed."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any, ClassVar

from geodet.files.gdal_paths import gdal_path
from geodet.files.leftovers import make_private_folder
from geodet.files.pending import PendingOutput
from geodet.geometry.geobox import is_on_earth
from geodet.vector.gdal_errors import raising_gdal_errors
from geodet.vector.layer_table import open_table
from geodet.vector.lazy_modules import pyogrio
from geodet.vector.rows import LAYER, FileLayer, Rows, crs_text
from geodet.vector.writer import RowWriter, raising_os_errors

__all__ = [
    "FlatGeobufWriter",
    "GdalCopyWriter",
    "GeoJsonLinesWriter",
    "GeoJsonWriter",
    "check_rows",
]

_logger = logging.getLogger(__name__)


class GdalCopyWriter(RowWriter):
    """Collects rows in a temporary GeoPackage beside the output, which GDAL converts at the end."""

    driver: ClassVar[str]
    """GDAL's name of the format."""

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        super().__init__(output, layer)
        self._folder = make_private_folder(layer.path)
        self._rows = self._folder / "rows.gpkg"
        self._target = self._temporary  # what GDAL writes
        self._count = 0
        try:
            with raising_os_errors():
                self._table = open_table(self._rows, layer, indexed=False)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _close(self) -> None:
        self._table.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _options(self) -> dict[str, Any]:
        """Options of pyogrio's writer besides the layer itself."""
        return {}

    def _add_rows(self, rows: Rows) -> None:
        with raising_os_errors():
            self._table.add(rows.columns, rows.coordinates)
        self._count += len(rows)

    def _complete(self) -> None:
        with raising_os_errors():
            self._table.finish()
        with raising_gdal_errors():
            self._convert()
            self._check_written()

    def _convert(self) -> None:
        """Copy the rows from file to file as a stream of Arrow batches."""
        crs = self._layer.crs
        opened = pyogrio.raw.open_arrow(gdal_path(self._rows), layer=LAYER, use_pyarrow=False)
        with opened as (about, stream), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
            warnings.filterwarnings("ignore", "No SRS set on layer", RuntimeWarning)
            warnings.filterwarnings("ignore", "Value .* has been truncated", RuntimeWarning)
            # a Shapefile has ten letters for "approximate"
            warnings.filterwarnings("ignore", "Normalized/laundered", RuntimeWarning)
            options = {
                "layer": LAYER,
                "driver": self.driver,
                "geometry_name": about["geometry_name"],
                "geometry_type": self._layer.geometry_type,
                "crs": None if crs is None else crs_text(crs),
                **self._options(),
            }
            pyogrio.raw.write_arrow(stream, gdal_path(self._target), **options)

    def _check_written(self) -> None:
        """Check the finished file: on a full disk GDAL can lose its end without an error."""
        about = pyogrio.read_info(gdal_path(self._target), force_feature_count=True)
        _check_count(about["features"], self._count)


class FlatGeobufWriter(GdalCopyWriter):
    """Writes FlatGeobuf with its spatial index, which changes the order of the rows.

    Where a photograph leaves rows without a place there is no index.
    """

    driver = "FlatGeobuf"

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        super().__init__(output, layer)
        self._target = self._folder / "rows.fgb"  # of another extension GDAL makes a folder

    def _complete(self) -> None:
        super()._complete()
        self._target.replace(self._temporary)

    def _check_written(self) -> None:
        check_rows(self._target, self._count)

    def _options(self) -> dict[str, Any]:
        return {
            "layer_metadata": dict(self._layer.metadata) or None,
            # which takes no row without a place
            "layer_options": {} if self._table.is_placed else {"SPATIAL_INDEX": "NO"},
        }


class GeoJsonWriter(GdalCopyWriter):
    """Writes a GeoJSON collection after RFC 7946: in WGS 84, unless the layer is in no place."""

    driver = "GeoJSON"

    def __init__(self, output: PendingOutput, layer: FileLayer) -> None:
        if not is_on_earth(layer.crs):
            _logger.warning(
                "%s is not in degrees on the earth: readers of GeoJSON will misplace it; write "
                "a .gpkg",
                layer.path,
            )
        super().__init__(output, layer)

    def _options(self) -> dict[str, Any]:
        options = {
            **_NUMBERS,
            "RFC7946": "YES" if is_on_earth(self._layer.crs) else "NO",
            "NATIVE_DATA": json.dumps({"metadata": dict(self._layer.metadata)}),
            "NATIVE_MEDIA_TYPE": "application/vnd.geo+json",
        }
        return {"layer_options": options}


class GeoJsonLinesWriter(GeoJsonWriter):
    """Writes one GeoJSON feature per line: those of the collection, which GDAL writes line by line.

    GDAL's own driver GeoJSONSeq does not split what is in degrees at the antimeridian.
    """

    def _convert(self) -> None:
        super()._convert()
        collection = self._temporary.rename(self._folder / "rows.geojson")
        with (
            collection.open(encoding="utf-8", newline="\n") as whole,
            self._temporary.open("w", encoding="utf-8", newline="\n") as lines,
        ):
            for line in whole:
                if line.startswith(_FEATURE):
                    lines.write(line.rstrip().removesuffix(",") + "\n")

    def _check_written(self) -> None:
        if self._count or self._temporary.stat().st_size:  # GDAL does not open an empty file
            super()._check_written()


def check_rows(path: Path, count: int) -> None:
    """Check a finished file by reading all rows: its header may count those that are lost as well.

    Raises:
        OSError: It does not have so many rows.
    """
    with pyogrio.raw.open_arrow(gdal_path(path), use_pyarrow=True) as (_, batches):
        _check_count(sum(map(len, batches)), count)


def _check_count(found: int, count: int) -> None:
    if found != count:
        raise OSError(f"the file came out incomplete, with {found} of {count} objects")


_FEATURE = '{ "type": "Feature",'
_NUMBERS = {
    "COORDINATE_PRECISION": "9",  # GDAL's 7 decimals are 1 cm
    "SIGNIFICANT_FIGURES": "15",  # of the fields; GDAL's 17 show 0.1 as 0.10000000000000001
}
