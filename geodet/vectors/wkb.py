"""Boxes and points in well-known binary, put together by NumPy: every object has the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pack_geopackage", "pack_wkb"]

Floats = NDArray[np.float64]

_WKB_HEAD = [("order", "u1"), ("type", "<u4")]
_POINT = np.dtype([*_WKB_HEAD, ("xy", "<f8", (1, 2))])
_POLYGON = np.dtype([*_WKB_HEAD, ("rings", "<u4"), ("points", "<u4"), ("xy", "<f8", (5, 2))])
_BLOB_HEAD = [("magic", "S2"), ("version", "u1"), ("flags", "u1"), ("srs", "<i4")]
_ENVELOPE = [("envelope", "<f8", (2, 2))]  # least and greatest x, least and greatest y

_LITTLE_ENDIAN = 1
_POINT_TYPE, _POLYGON_TYPE = 1, 3
_WITH_ENVELOPE = 1 << 1


def pack_wkb(coordinates: Floats) -> list[bytes]:
    """Encode points or rings of four corners in WKB.

    Args:
        coordinates: (N, 1, 2) points, or (N, 4, 2) corners in order, which are closed here.

    Returns:
        N values of 21 bytes (points) or 93 (polygons).

    Reference:
        OGC 06-103r4, "Simple feature access, part 1", section 8.
    """
    return _split(_to_records(coordinates))


def pack_geopackage(coordinates: Floats, srs_id: int) -> list[bytes]:
    """Encode points or rings of four corners as a GeoPackage holds them.

    Polygons have an envelope, so that readers need not parse them to know their bounds.

    Args:
        coordinates: (N, 1, 2) points, or (N, 4, 2) corners in order, which are closed here.
        srs_id: The file's own number of the CRS.

    Reference:
        OGC 12-128r19, "GeoPackage encoding standard", section 2.1.3.
    """
    shapes = _to_records(coordinates)
    has_envelope = coordinates.shape[1] > 1
    envelope = _ENVELOPE if has_envelope else []
    blobs = np.zeros(len(shapes), [*_BLOB_HEAD, *envelope, ("shape", shapes.dtype)])
    blobs["magic"] = b"GP"
    blobs["flags"] = _LITTLE_ENDIAN | (_WITH_ENVELOPE if has_envelope else 0)
    blobs["srs"] = srs_id
    blobs["shape"] = shapes
    if has_envelope:
        blobs["envelope"] = np.stack([coordinates.min(axis=1), coordinates.max(axis=1)], axis=-1)
    return _split(blobs)


def _to_records(coordinates: Floats) -> NDArray[Any]:
    if coordinates.shape[1] == 1:
        points = np.zeros(len(coordinates), _POINT)
        points["order"], points["type"], points["xy"] = _LITTLE_ENDIAN, _POINT_TYPE, coordinates
        return points
    polygons = np.zeros(len(coordinates), _POLYGON)
    polygons["order"], polygons["type"] = _LITTLE_ENDIAN, _POLYGON_TYPE
    polygons["rings"], polygons["points"] = 1, 5
    polygons["xy"][:, :4] = coordinates
    polygons["xy"][:, 4] = coordinates[:, 0]
    return polygons


def _split(records: NDArray[Any]) -> list[bytes]:
    """Give the bytes of each record; NumPy's own conversion would drop zeros at the end."""
    data, size = records.tobytes(), records.dtype.itemsize
    return [data[start : start + size] for start in range(0, len(data), size)]
