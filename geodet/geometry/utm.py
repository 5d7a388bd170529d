"""The UTM zone of a place."""

from __future__ import annotations

from pyproj import CRS, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info

from geodet.errors import VectorError
from geodet.geometry.arrays import Floats
from geodet.geometry.full_turns import full_turn
from geodet.geometry.geobox import WGS_84, is_on_earth

__all__ = ["has_ground_lengths", "utm_at"]


def has_ground_lengths(crs: CRS) -> bool:
    """Whether lengths in a CRS are nearly those on the ground, up to its unit.

    They are in a local grid and in most projections, but not in degrees, nor in a projection around
    the whole globe, such as Web Mercator, whose scale changes with the latitude.
    """
    return crs.geodetic_crs is None or (crs.is_projected and not full_turn(crs))


def utm_at(crs: CRS, xy: Floats) -> CRS:
    """Return the UTM zone of WGS 84 that a place lies in.

    Args:
        crs: CRS of the place.
        xy: (2,) coordinates of the place.

    Raises:
        VectorError: No zone contains it, as at the poles and on another planet.

    Example:
        >>> utm_at(WGS_84, [15.0, 45.0]).to_epsg()
        32633
    """
    if not is_on_earth(crs):
        raise VectorError(
            f"{crs.name} is not on the earth, where UTM zones are",
            hint="reproject the objects to a CRS in metres around them, such as a transverse "
            "Mercator",
        )
    x, y = Transformer.from_crs(crs, WGS_84, always_xy=True).transform(*xy)
    x = (x + 180) % 360 - 180
    zones = query_utm_crs_info("WGS 84", AreaOfInterest(x, y, x, y))
    if not zones:
        raise VectorError(
            f"no UTM zone contains the longitude {x:.6g} and latitude {y:.6g}",
            hint="reproject the objects to a projected CRS",
        )
    return CRS.from_epsg(int(zones[0].code))
