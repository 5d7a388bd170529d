"""Detections read back from their files, with GDAL and without it."""

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from pyproj import CRS

WGS_84 = CRS.from_epsg(4326)


@dataclass(frozen=True)
class Reading:
    """The content of a file."""

    crs: CRS | None
    shapes: np.ndarray
    """(N,) geometries."""
    fields: dict
    """N values of each."""

    def sorted(self):
        """Order by place in the scene; FlatGeobuf has an order of its own."""
        order = np.lexsort([self.fields["x1_px"], self.fields["y1_px"]])
        fields = {name: np.asarray(values)[order] for name, values in self.fields.items()}
        return Reading(self.crs, np.asarray(self.shapes)[order], fields)

    @property
    def boxes(self):
        return np.stack([self.fields[f"{side}_px"] for side in ("x1", "y1", "x2", "y2")], axis=1)


def read_with_geopandas(path):
    layer = geopandas.read_file(path, **_layer_of(path))
    fields = {name: layer[name].to_numpy() for name in layer.columns.drop("geometry")}
    return Reading(_known(layer.crs), layer.geometry.to_numpy(), fields)


def read_with_gdal(path):
    """Take GDAL's own values and bytes, as its reader hands them over."""
    about, _, shapes, columns = pyogrio.raw.read(path, **_layer_of(path))
    fields = dict(zip(about["fields"], columns, strict=True))
    return Reading(_known(about["crs"]), shapely.from_wkb(shapes), fields)


def read_as_sqlite(path):
    """Read a GeoPackage's tables: before the WKB are 8 bytes and an envelope of 4 numbers."""
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute("SELECT * FROM detections")]
        query = "SELECT srs_id FROM gpkg_geometry_columns WHERE table_name = 'detections'"
        (number,) = database.execute(query).fetchone()
        query = "SELECT organization, organization_coordsys_id FROM gpkg_spatial_ref_sys"
        name, code = database.execute(query + " WHERE srs_id = ?", (number,)).fetchone()
    shapes = shapely.from_wkb([row.pop("geom")[40:] for row in rows])
    crs = None if number == -1 else CRS.from_authority(name, code)
    return Reading(crs, shapes, _columns(rows))


def read_as_json(path):
    """Read GeoJSON as RFC 7946 has it: always in degrees."""
    content = json.loads(path.read_text(encoding="utf-8"))
    assert "crs" not in content
    return _of_features(content["features"], WGS_84)


def read_with_ogr2ogr(path):
    """Read with the GDAL of the machine, another one than pyogrio brings, if there is one."""
    command = shutil.which("ogr2ogr")
    if command is None:
        pytest.skip("no ogr2ogr on this machine; it is in Debian's gdal-bin")
    call = [command, "-f", "GeoJSON", "/vsistdout/", str(path), "detections"]
    done = subprocess.run(call, capture_output=True, text=True, check=True, timeout=120)
    content = json.loads(done.stdout)
    name = content["crs"]["properties"]["name"] if "crs" in content else None
    unnamed = WGS_84 if path.suffix == ".geojson" else None
    return _of_features(content["features"], CRS.from_user_input(name) if name else unnamed)


READERS = {
    "gpkg": (read_with_geopandas, read_with_gdal, read_as_sqlite),
    "geojson": (read_with_geopandas, read_with_gdal, read_as_json),
    "fgb": (read_with_geopandas, read_with_gdal),
}
"""By the extension."""


def _layer_of(path):
    """Name the layer where there are more: a style is one, too."""
    return {"layer": "detections"} if path.suffix == ".gpkg" else {}


def _known(crs):
    """Return a CRS, and None for the plane that GDAL reads where a GeoPackage has none."""
    crs = None if crs is None else CRS.from_user_input(crs)
    return None if crs is None or crs.geodetic_crs is None else crs


def _of_features(features, crs):
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in features]
    return Reading(crs, shapes, _columns([feature["properties"] for feature in features]))


def _columns(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}
