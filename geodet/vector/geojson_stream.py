"""Detections as lines of GeoJSON on a stream, as soon as they are final."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TextIO

import numpy as np
import shapely
from shapely.geometry.polygon import orient

from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import WGS_84, is_on_earth
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.rows import Rows, VectorLayer, iter_slices, to_rows

__all__ = ["GeoJsonStream"]

_DECIMALS = 9  # of degrees, 0.1 mm: those of a GeoJSON file
_DIGITS = 15  # of the fields
_ROWS_AT_ONCE = 10_000


class GeoJsonStream:
    """Writes a feature a line, with the fields and coordinates of a ``.geojsonl`` file.

    Coordinates are in WGS 84, and objects that cross the antimeridian are split (RFC 7946).
    Coordinates without a place on the earth stay as they are.

    Args:
        stream: Written and flushed with each part.
        layer: Properties of the layer, whose CRS is that of the first scene.
    """

    def __init__(self, stream: TextIO, layer: VectorLayer) -> None:
        self._stream = stream
        self._is_on_earth = is_on_earth(layer.crs)
        self._layer = replace(layer, crs=WGS_84) if self._is_on_earth else layer

    def write(self, part: SceneDetections) -> None:
        """Write the detections of a scene, or of a part of it.

        Raises:
            OutputError: A box lies where WGS 84 is not defined.
            OSError: The stream is closed or full.
        """
        for few in iter_slices(part, _ROWS_AT_ONCE):
            rows = to_rows(few, self._layer)
            self._stream.writelines(f"{line}\n" for line in self._iter_lines(rows))
        self._stream.flush()

    def _iter_lines(self, rows: Rows) -> Iterator[str]:
        shapes = map(_to_geometry, self._to_parts(rows.coordinates))
        for values, geometry in zip(zip(*rows.columns, strict=True), shapes, strict=True):
            properties = dict(zip(rows.fields, map(_rounded, values), strict=True))
            feature = {"type": "Feature", "properties": properties, "geometry": geometry}
            yield json.dumps(feature, ensure_ascii=False, allow_nan=False)

    def _to_parts(self, coordinates: Floats) -> Iterator[list[Floats]]:
        """Yield the rings, or the point, of each object: several where it is split, or none."""
        for ring in coordinates:
            if np.isnan(ring).any():
                yield []
                continue
            yield _split(ring) if self._is_on_earth else [ring]


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _split(ring: Floats) -> list[Floats]:
    """Split a ring at the antimeridian, and move its parts between -180 and 180 degrees."""
    x = ring[:, 0]
    if np.ptp(x) > 180:  # the corners are on both sides of it
        x = np.where(x < 0, x + 360, x)
    x = x - 360 * np.floor((x.min() + 180) / 360)
    moved = np.column_stack([x, ring[:, 1]])
    if len(ring) == 1:
        return [moved]
    whole = shapely.polygons(moved)
    sides = ((-180, 180, 0.0), (180, 540, 360.0))
    cut = [(shapely.clip_by_rect(whole, west, -91, east, 91), dx) for west, east, dx in sides]
    cut = cut if x.max() > 180 else [(whole, 0.0)]
    return [_corners(part) - np.array([dx, 0.0]) for part, dx in cut if part.area]


def _corners(polygon: shapely.Polygon) -> Floats:
    """Return the corners of a polygon, counter-clockwise, the first one once."""
    corners: Floats = shapely.get_coordinates(orient(polygon))[:-1]
    return corners


def _to_geometry(parts: Sequence[Floats]) -> dict[str, Any] | None:
    """Convert the parts of an object to a geometry of GeoJSON; None without any."""
    if not parts:
        return None
    lists = [np.round(part, _DECIMALS).tolist() for part in parts]
    if len(lists[0]) == 1:
        return {"type": "Point", "coordinates": lists[0][0]}
    rings = [[[*ring, ring[0]]] for ring in lists]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings[0]}
    return {"type": "MultiPolygon", "coordinates": rings}
