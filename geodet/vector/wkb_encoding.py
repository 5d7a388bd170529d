"""Points and boxes as well-known binary."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pack_wkb"]

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
