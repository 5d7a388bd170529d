"""Formats that GDAL writes from a GeoPackage, at the end, streaming from file to file."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any, ClassVar

import pyogrio
from pyproj import CRS

from geodet.files.outputs import PendingOutput
from geodet.vector.geopackage_table import GEOMETRY_TYPES, GeoPackageTable
from geodet.vector.layer import LAYER, VectorLayer, crs_text
from geodet.vector.rows import Rows
from geodet.vector.writer import RowWriter, raising_os_errors

__all__ = ["FlatGeobufWriter", "GeoJsonLinesWriter", "GeoJsonWriter"]

_logger = logging.getLogger(__name__)


class GdalCopyWriter(RowWriter):
    """Gathers rows in a GeoPackage beside the output, which GDAL then reads and writes."""

    driver: ClassVar[str]
    """GDAL's name of the format."""

    def __init__(self, output: PendingOutput, layer: VectorLayer) -> None:
        super().__init__(output, layer)
        self._folder = tempfile.TemporaryDirectory(prefix=".geodet-", dir=layer.path.parent)
        self._rows = Path(self._folder.name) / "rows.gpkg"
        self._count = 0
        try:
            with raising_os_errors():
                self._table = GeoPackageTable(self._rows, layer, indexed=False)
        except BaseException:
            self._folder.cleanup()
            raise

    def _close(self) -> None:
        self._table.close()
        self._folder.cleanup()

    def _options(self) -> dict[str, Any]:
        """Give what pyogrio should be told besides the layer itself."""
        return {}

    def _add_rows(self, rows: Rows) -> None:
        with raising_os_errors():
            self._table.add(rows)
        self._count += len(rows)

    def _complete(self) -> None:
        with raising_os_errors():
            self._table.finish()
            self._table.close()
            self._convert()
            self._check_written()

    def _convert(self) -> None:
        """Copy the rows, as they come, through Arrow's streams, which need no library for it."""
        crs = self._layer.crs
        opened = pyogrio.raw.open_arrow(str(self._rows), layer=LAYER, use_pyarrow=False)
        with opened as (about, stream), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
            warnings.filterwarnings("ignore", "No SRS set on layer", RuntimeWarning)
            pyogrio.raw.write_arrow(
                stream,
                str(self._temporary),
                layer=LAYER,
                driver=self.driver,
                geometry_name=about["geometry_name"],
                geometry_type=GEOMETRY_TYPES[self._layer.geometry],
                crs=None if crs is None else crs_text(crs),
                **self._options(),
            )

    def _check_written(self) -> None:
        """Check the finished file: on a full disk GDAL can lose its end silently."""
        found = pyogrio.read_info(str(self._temporary), force_feature_count=True)["features"]
        if found != self._count:
            raise OSError(f"the file came out incomplete, with {found} of {self._count} objects")


class FlatGeobufWriter(GdalCopyWriter):
    """Writes FlatGeobuf with its spatial index, which puts the rows in an order of its own."""

    driver = "FlatGeobuf"

    def _options(self) -> dict[str, Any]:
        return {"layer_metadata": dict(self._layer.metadata) or None}


class GeoJsonWriter(GdalCopyWriter):
    """Writes a GeoJSON collection after RFC 7946, in WGS 84 wherever that is known."""

    driver = "GeoJSON"

    def __init__(self, output: PendingOutput, layer: VectorLayer) -> None:
        if not _is_on_earth(layer.crs):
            _logger.warning(
                "%s has no degrees: GeoJSON readers will misplace what has no CRS; write .gpkg",
                layer.path,
            )
        super().__init__(output, layer)

    def _options(self) -> dict[str, Any]:
        options = {
            **_NUMBERS,
            "RFC7946": "YES" if _is_on_earth(self._layer.crs) else "NO",
            "NATIVE_DATA": json.dumps({"metadata": dict(self._layer.metadata)}),
            "NATIVE_MEDIA_TYPE": "application/vnd.geo+json",
        }
        return {"layer_options": options}


class GeoJsonLinesWriter(GeoJsonWriter):
    """Writes one GeoJSON feature a line: those of the collection, which GDAL writes a line each.

    GDAL's own driver for lines leaves what is in degrees as it is, also beyond the antimeridian.
    """

    def _convert(self) -> None:
        super()._convert()
        collection = self._temporary.rename(Path(self._folder.name) / "rows.geojson")
        with (
            collection.open(encoding="utf-8", newline="\n") as whole,
            self._temporary.open("w", encoding="utf-8", newline="\n") as lines,
        ):
            for line in whole:
                if line.startswith(_FEATURE):
                    lines.write(line.rstrip().removesuffix(",") + "\n")

    def _check_written(self) -> None:
        if self._count or self._temporary.stat().st_size:  # no line at all is nothing GDAL opens
            super()._check_written()


_FEATURE = '{ "type": "Feature",'
_NUMBERS = {
    "COORDINATE_PRECISION": "9",  # GDAL's 7 decimals are 1 cm
    "SIGNIFICANT_FIGURES": "15",  # of the fields; GDAL's 17 show 0.1 as 0.10000000000000001
}


def _is_on_earth(crs: CRS | None) -> bool:
    """Tell whether coordinates have a longitude and a latitude; a local grid has not."""
    return crs is not None and crs.geodetic_crs is not None
