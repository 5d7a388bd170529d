"""Rows in Arrow's memory layout, which GDAL and pyarrow read without a Python object for each."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import nanoarrow
import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from geodet.errors import OutputError
from geodet.geometry.arrays import Floats
from geodet.geometry.scene_detections import SceneDetections
from geodet.vector.layer import Geometry, VectorLayer

__all__ = [
    "FIELDS",
    "TEXTS",
    "Rows",
    "iter_slices",
    "pack_wkb",
    "to_arrow",
    "to_rows",
    "warn_of_transformation",
]

FIELDS = ("label", "score", "scene", "x1_px", "y1_px", "x2_px", "y2_px", "area_m2")
"""The columns, in order: float64 except for :data:`TEXTS`."""
TEXTS = ("label", "scene")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rows:
    """N rows of a layer."""

    fields: Mapping[str, NDArray[Any]]
    """N values of each of :data:`FIELDS`; NaN is an area that nobody knows."""
    coordinates: Floats
    """(N, 4, 2) corners of boxes, counter-clockwise, or (N, 1, 2) points."""

    def __len__(self) -> int:
        return len(self.coordinates)

    @property
    def bounds(self) -> Floats:
        """(N, 4) least x and y, greatest x and y."""
        corners = self.coordinates.swapaxes(0, 1)  # min(axis=1) of four takes twice as long
        low, high = (reduce(choose, corners) for choose in (np.minimum, np.maximum))
        return np.hstack([low, high])

    @property
    def columns(self) -> list[list[Any]]:
        """The columns as lists of Python's own values, None where there is none."""
        columns = [self.fields[name].tolist() for name in FIELDS]
        unknown = np.isnan(self.fields["area_m2"])
        if unknown.any():
            columns[-1] = [None if math.isnan(area) else area for area in columns[-1]]
        return columns

    @staticmethod
    def concatenate(parts: Sequence[Rows]) -> Rows:
        """Join the rows of at least one part, in order."""
        fields = {name: np.concatenate([part.fields[name] for part in parts]) for name in FIELDS}
        return Rows(fields, np.concatenate([part.coordinates for part in parts]))


def iter_slices(part: SceneDetections, size: int) -> Iterator[SceneDetections]:
    """Cut detections into parts of no more than ``size``; nothing is one part without objects."""
    for start in range(0, max(len(part.detections), 1), size):
        few = part.detections.select(slice(start, start + size))
        yield SceneDetections(part.scene, part.geobox, few)


def to_rows(part: SceneDetections, layer: VectorLayer) -> Rows:
    """Make rows of detections, in their order.

    Raises:
        OutputError: The scene has no place in the layer's CRS.
    """
    coordinates = part.geobox.to_world(_to_points(part, layer.geometry))
    if layer.crs is not None and part.geobox.crs is not None:
        coordinates = _transformed(coordinates, part.scene, part.geobox.crs, layer.crs)
    return Rows(_to_fields(part, layer.classes), _turned(coordinates))


def warn_of_transformation(part: SceneDetections, crs: CRS | None) -> None:
    """Say that a scene is in another CRS than the layer, if it is."""
    source = part.geobox.crs
    if crs is not None and source is not None and _transformer(source, crs) is not None:
        _logger.warning("%s is transformed from %s to %s", part.scene, source.name, crs.name)


def _to_points(part: SceneDetections, geometry: Geometry) -> Floats:
    """Give the four corners (N, 4, 2) or the centre (N, 1, 2) of each box, in pixels."""
    if geometry == "centroid":
        return part.detections.centres[:, None]
    x1, y1, x2, y2 = part.detections.boxes.T
    return np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=-1).reshape(-1, 4, 2)


def _turned(world: Floats) -> Floats:
    """Turn the rings that run clockwise."""
    if world.shape[1] == 1:
        return world
    ahead, back = world[:, 1] - world[:, 0], world[:, 3] - world[:, 0]
    clockwise = ahead[:, 0] * back[:, 1] < ahead[:, 1] * back[:, 0]
    world[clockwise] = world[clockwise][:, [0, 3, 2, 1]]
    return world


@lru_cache(maxsize=32)
def _transformer(source: CRS, target: CRS) -> Transformer | None:
    """Give what transforms from one CRS to another, None where they are the same; it is slow."""
    if source.equals(target, ignore_axis_order=True):
        return None
    return Transformer.from_crs(source, target, always_xy=True)


def _transformed(xy: Floats, scene: str, source: CRS, target: CRS) -> Floats:
    """Transform (N, K, 2) coordinates from a scene's CRS to the layer's, where they differ."""
    transformer = _transformer(source, target)
    if transformer is None:
        return xy
    moved: Floats = np.stack(transformer.transform(xy[..., 0], xy[..., 1]), axis=-1)
    if not np.isfinite(moved).all():
        raise OutputError(
            f"{scene} lies outside of {target.name}, the CRS of the first scene",
            hint="write scenes that are far apart to a file each",
        )
    return moved


def _to_fields(part: SceneDetections, classes: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Make the layer's columns, in order; each has one value a detection."""
    found = part.detections
    values = (
        np.array(classes, dtype=object)[found.labels],
        found.scores.astype(np.float64).round(6),
        np.full(len(found), part.scene, dtype=object),
        *found.boxes.T,
        _areas(part),
    )
    return dict(zip(FIELDS, values, strict=True))


def _areas(part: SceneDetections) -> Floats:
    """Measure each box on the ground in square metres: (N,), NaN without a CRS."""
    boxes = part.detections.boxes
    sides = boxes[:, 2:] - boxes[:, :2]
    areas: Floats = sides[:, 0] * sides[:, 1] * part.geobox.pixel_area(part.detections.centres)
    return areas


_HEAD = [("order", "u1"), ("type", "<u4")]
_POINT = np.dtype([*_HEAD, ("xy", "<f8", (1, 2))])
_POLYGON = np.dtype([*_HEAD, ("rings", "<u4"), ("points", "<u4"), ("xy", "<f8", (5, 2))])

_LITTLE_ENDIAN = 1
_POINT_TYPE, _POLYGON_TYPE = 1, 3


def pack_wkb(coordinates: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Encode points or rings of four corners in WKB.

    Args:
        coordinates: (N, 1, 2) points, or (N, 4, 2) corners in order, which are closed here.

    Returns:
        (N, 21) bytes of points or (N, 93) of polygons.

    Reference:
        OGC 06-103r4, "Simple feature access, part 1", section 8.
    """
    records = (
        _pack_points(coordinates) if coordinates.shape[1] == 1 else _pack_polygons(coordinates)
    )
    return records.view(np.uint8).reshape(len(records), records.dtype.itemsize)


def _pack_points(coordinates: NDArray[np.float64]) -> NDArray[Any]:
    points = np.zeros(len(coordinates), _POINT)
    points["order"], points["type"], points["xy"] = _LITTLE_ENDIAN, _POINT_TYPE, coordinates
    return points


def _pack_polygons(coordinates: NDArray[np.float64]) -> NDArray[Any]:
    polygons = np.zeros(len(coordinates), _POLYGON)
    polygons["order"], polygons["type"] = _LITTLE_ENDIAN, _POLYGON_TYPE
    polygons["rings"], polygons["points"] = 1, 5
    polygons["xy"][:, :4] = coordinates
    polygons["xy"][:, 4] = coordinates[:, 0]
    return polygons


def to_arrow(rows: Rows, geometry: str) -> nanoarrow.c_array.CArray:
    """Make a batch of the fields and then the geometry in WKB; an unknown area is null.

    Args:
        rows: The rows.
        geometry: The name of the column with the geometry.
    """
    columns = {
        name: _texts(rows.fields[name].tolist()) if name in TEXTS else _floats(rows.fields[name])
        for name in FIELDS
    }
    columns[geometry] = _binary(pack_wkb(rows.coordinates))
    schema = nanoarrow.struct({name: column.schema for name, column in columns.items()})
    children = list(columns.values())
    return nanoarrow.c_array_from_buffers(schema, len(rows), [None], children=children)


def _texts(values: Sequence[str]) -> nanoarrow.c_array.CArray:
    encoded = {value: value.encode() for value in set(values)}  # few: classes and scenes
    lengths = {value: len(code) for value, code in encoded.items()}
    ends = np.zeros(len(values) + 1, np.int32)
    np.cumsum([lengths[value] for value in values], out=ends[1:])
    buffers = [None, ends, b"".join(map(encoded.__getitem__, values))]
    return nanoarrow.c_array_from_buffers(nanoarrow.string(), len(values), buffers)


def _floats(values: NDArray[np.float64]) -> nanoarrow.c_array.CArray:
    known = ~np.isnan(values)
    validity = None if known.all() else np.packbits(known, bitorder="little")
    buffers = [validity, np.ascontiguousarray(values, np.float64)]
    return nanoarrow.c_array_from_buffers(nanoarrow.float64(), len(values), buffers)


def _binary(values: NDArray[np.uint8]) -> nanoarrow.c_array.CArray:
    """Make a column of values of the same length: (N, length) bytes."""
    count, length = values.shape
    ends = np.arange(count + 1, dtype=np.int32) * np.int32(length)
    return nanoarrow.c_array_from_buffers(nanoarrow.binary(), count, [None, ends, values.ravel()])
