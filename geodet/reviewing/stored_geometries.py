"""Geometries as a GeoPackage stores them."""

from __future__ import annotations

import struct

import shapely

from geodet.geometry.arrays import Floats

__all__ = ["decode_geometry", "encode_polygon"]

_ENVELOPES = (0, 32, 48, 48, 64)  # bytes, by the kind that a geometry's flags name


def decode_geometry(stored: bytes | None) -> shapely.Geometry | None:
    """Return a geometry in two dimensions; None where there is none, or it is empty.

    Reference:
        OGC 12-128r18, "GeoPackage encoding standard", section 2.1.3.
    """
    if stored is None:
        return None
    start = 8 + _ENVELOPES[(stored[3] >> 1) & 0b111]
    shape = shapely.from_wkb(stored[start:], on_invalid="ignore")
    return None if shape is None or shape.is_empty else shapely.force_2d(shape)


def encode_polygon(corners: Floats, reference: int) -> bytes:
    """Return a polygon as a GeoPackage stores it, without an envelope.

    Args:
        corners: (V, 2) x and y.
        reference: Number of the CRS in the file.

    Reference:
        OGC 12-128r18, "GeoPackage encoding standard", section 2.1.3.
    """
    wkb: bytes = shapely.to_wkb(shapely.polygons(corners), byte_order=1)
    return b"GP\x00\x01" + struct.pack("<i", reference) + wkb
