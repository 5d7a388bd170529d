"""Points and boxes as well-known binary, alone and as GeoPackages hold it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pack_geopackage", "pack_wkb"]

_HEAD = [("order", "u1"), ("type", "<u4")]
_POINT = np.dtype([*_HEAD, ("xy", "<f8", (1, 2))])
_POLYGON = np.dtype([*_HEAD, ("rings", "<u4"), ("points", "<u4"), ("xy", "<f8", (5, 2))])

_GEOPACKAGE_HEAD = [("magic", "S2"), ("version", "u1"), ("flags", "u1"), ("srs", "<i4")]

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


def pack_geopackage(
    coordinates: NDArray[np.float64], bounds: NDArray[np.float64], srs: int
) -> list[bytes | None]:
    """Encode points or rings of four corners as a GeoPackage holds them; rings with their bounds.

    Args:
        coordinates: As of :func:`pack_wkb`.
        bounds: (N, 4) least x and y, greatest x and y.
        srs: The number of their CRS in the file.

    Returns:
        N shapes.

    Reference:
        OGC 12-128r17, section 2.1.3.
    """
    wkb = pack_wkb(coordinates)
    has_bounds = coordinates.shape[1] > 1
    sides = [("sides", "<f8", (4,))] if has_bounds else []
    records = np.zeros(len(wkb), [*_GEOPACKAGE_HEAD, *sides, ("wkb", "u1", (wkb.shape[1],))])
    records["magic"], records["flags"], records["srs"] = b"GP", 3 if has_bounds else 1, srs
    if has_bounds:
        records["sides"] = bounds[:, [0, 2, 1, 3]]
    records["wkb"] = wkb
    shapes: list[bytes | None] = records.view(f"V{records.dtype.itemsize}").tolist()
    return shapes


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
