"""Small tables beside the detections: a layer of their GeoPackage, or a GeoJSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS

from geodet.documents.json_documents import read_json
from geodet.documents.text import DocumentError
from geodet.geometry.arrays import Floats
from geodet.geopackage.table import GeoPackageTable

__all__ = ["SideTable", "add_side_table", "read_side_features", "write_side_features"]

_DECIMALS = 9  # of degrees, 0.1 mm


@dataclass(frozen=True, slots=True)
class SideTable:
    """A table of N rows with shapes."""

    name: str
    """Name of the layer: a plain word."""
    types: Mapping[str, str]
    """The columns, in order: ``TEXT``, ``INTEGER`` or ``REAL``."""
    columns: Sequence[Sequence[Any]]
    """N values of each, None where one is unknown."""
    coordinates: Floats
    """(N, 4, 2) corners of polygons or (N, 1, 2) points, NaN where a row has no place."""
    crs: CRS | None
    """CRS of the coordinates."""

    @property
    def geometry_type(self) -> str:
        """``Point`` or ``Polygon``."""
        return "Point" if self.coordinates.shape[1] == 1 else "Polygon"

    @property
    def features(self) -> list[dict[str, Any]]:
        """The rows as features of GeoJSON."""
        rows = zip(*self.columns, strict=True)
        return [
            {
                "type": "Feature",
                "properties": dict(zip(self.types, row, strict=True)),
                "geometry": self._geometry(place),
            }
            for row, place in zip(rows, self.coordinates, strict=True)
        ]

    def _geometry(self, place: Floats) -> dict[str, Any] | None:
        if not np.isfinite(place).all():
            return None
        points = place.round(_DECIMALS).tolist()
        is_point = len(points) == 1
        coordinates = points[0] if is_point else [[*points, points[0]]]
        return {"type": self.geometry_type, "coordinates": coordinates}


def add_side_table(path: Path, table: SideTable) -> None:
    """Add a table to a GeoPackage that is closed.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    about = table.name, table.types, table.geometry_type, table.crs
    with closing(GeoPackageTable(path, *about)) as layer:
        layer.add(table.columns, table.coordinates)
        layer.finish()


def read_side_features(path: Path) -> list[dict[str, Any]]:
    """Read the features of a GeoJSON file that :func:`write_side_features` wrote.

    Raises:
        OSError: The file was not written by geodet, or cannot be read.
    """
    try:
        features = read_json(path)["features"]
        return [one for one in features if one["properties"]["scene"] is not None]
    except (DocumentError, KeyError, TypeError) as error:
        raise OSError("it is not as geodet wrote it; move it elsewhere") from error


def write_side_features(path: Path, name: str, features: Sequence[Mapping[str, Any]]) -> None:
    """Write features as a GeoJSON file, one a line.

    Raises:
        OSError: It cannot be written.
    """
    lines = ",\n".join(json.dumps(one, ensure_ascii=False, allow_nan=False) for one in features)
    head = f'{{"type": "FeatureCollection", "name": {json.dumps(name)}, "features": [\n'
    path.write_text(f"{head}{lines}\n]}}\n", encoding="utf-8")
