"""Rasters whose only georeference is ground control points or RPCs, on a grid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pyproj import CRS, Transformer
from rasterio._err import CPLE_BaseError  # what a WarpedVRT raises is no RasterioError
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from geodet.errors import SceneError

__all__ = ["utm_zone", "warped"]

_POLES = {True: 5041, False: 5042}  # Universal Polar Stereographic, north and south
_UTM_ENDS = (-80.0, 84.0)


def warped(dataset: Any) -> tuple[Any | None, str]:
    """Warp a raster by its ground control points or RPCs, unless it has a transform.

    The grid is in the CRS of the points, or in the UTM zone of the scene where that is geographic
    or the raster has RPCs; its pixels are as large as gdalwarp would make them. Outside of the
    raster's footprint alpha is 0.

    Args:
        dataset: Open; has to stay open as long as the result.

    Returns:
        An open virtual raster and what it is warped by; None and "" when it is not needed.

    Raises:
        SceneError: The points or the RPCs place the raster nowhere, such as points in one line.
    """
    points, crs = dataset.gcps
    if dataset.transform != Affine.identity() or (dataset.crs is not None and not points):
        return None, ""
    if points and crs is not None:
        known = CRS.from_user_input(crs)
        places = np.array([(point.x, point.y) for point in points])
        target = _zone_of(places, known) if known.is_geographic else known
        what = f"its {len(points)} ground control points"
        return _warp(dataset, target, what, src_crs=crs), "ground control points"
    if dataset.rpcs is not None:
        target = utm_zone(dataset.rpcs.long_off, dataset.rpcs.lat_off)
        # Without an elevation model the ground lies at the height that the model was made for.
        what = "its rational polynomial coefficients"
        return _warp(dataset, target, what, RPC_HEIGHT=dataset.rpcs.height_off), (
            "rational polynomial coefficients, on flat ground"
        )
    return None, ""


def utm_zone(longitude: float, latitude: float) -> CRS:
    """Give the UTM zone of a place on WGS 84, or the polar system beyond the zones.

    Example:
        >>> utm_zone(32.6, 0.3).to_epsg(), utm_zone(-70.9, -53.2).to_epsg()
        (32636, 32719)
    """
    if not _UTM_ENDS[0] <= latitude <= _UTM_ENDS[1]:
        return CRS.from_epsg(_POLES[latitude > 0])
    zone = math.floor((longitude + 180) / 6) % 60 + 1
    return CRS.from_epsg((32600 if latitude >= 0 else 32700) + zone)


def _zone_of(places: Any, crs: CRS) -> CRS:
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    longitude, latitude = to_degrees.transform(*places.mean(axis=0))
    return utm_zone(longitude, latitude)


def _warp(dataset: Any, target: CRS, what: str, **options: Any) -> Any:
    try:
        return WarpedVRT(
            dataset,
            crs=target.to_wkt(),
            resampling=Resampling.bilinear,
            add_alpha=ColorInterp.alpha not in dataset.colorinterp,
            **options,
        )
    except (CPLE_BaseError, RasterioError) as error:
        raise SceneError(
            f"cannot place {dataset.name} on the ground by {what}: {error}",
            hint="give it points that are not in one line with gdal_translate -gcp, or take them "
            "away with gdal_edit -unsetgcp or -unsetrpc",
        ) from error
