"""The public function that reads what cameras wrote into photographs."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geodet.api.call_arguments import Paths, list_paths
from geodet.config import DetectConfig
from geodet.detection.photographed_scenes import photograph_of
from geodet.geometry.geobox import WGS_84
from geodet.photographs.photograph import Photograph
from geodet.raster.scene_lists import list_scenes
from geodet.raster.scene_names import scene_names

__all__ = ["read_photographs"]

_TEXTS = ("scene", "time", "camera", "gsd_from", "reason")
_NUMBERS = ("gsd_m", "altitude_m", "height_m", "yaw_deg", "pitch_deg")


def read_photographs(
    pictures: Paths,
    *,
    gsd: float | None = None,
    ground_altitude: float | None = None,
) -> gpd.GeoDataFrame:
    """Read where and when photographs were taken, and how large their pixels are on the ground.

    Nothing is decoded but what the cameras wrote: EXIF data, and the XMP packet of drones of DJI.

    Args:
        pictures: A picture, a folder, a quoted pattern, a list (``@pictures.txt``), or several.
        gsd: Metres per pixel, in place of those by altitude and focal length.
        ground_altitude: Elevation of the ground in metres above sea level, for pictures that
            record only their altitude above sea level.

    Returns:
        A row for each picture, in WGS 84: ``scene`` (its name, as :func:`detect` names it),
        ``time``, ``camera``, ``gsd_m``, ``gsd_from``, ``reason`` (why the metres per pixel are
        unknown), ``altitude_m``, ``height_m`` (above the ground), ``yaw_deg``, ``pitch_deg``,
        ``geometry`` (the point where the camera was; None where it is unknown) and ``footprint``
        (the polygon of the area that it shows, if its pose is known).

    Raises:
        SceneError: There is no such file.

    Example:
        >>> read_photographs(scene).gsd_from.tolist()  # no camera took the painted scene
        ['unknown']
    """
    paths = list_scenes([str(path) for path in list_paths(pictures, "pictures")])
    config = DetectConfig(gsd=gsd, ground_altitude=ground_altitude)
    names = scene_names(paths)
    images = [photograph_of(*pair, config) for pair in zip(paths, names, strict=True)]
    columns: dict[str, object] = {name: [getattr(i, name) for i in images] for name in _TEXTS}
    for name in _NUMBERS:
        columns[name] = np.array([getattr(image, name) for image in images], np.float64)
    ground = gpd.GeoSeries([_footprint(image) for image in images], crs=WGS_84)
    points = [
        shapely.Point(image.longitude, image.latitude) if image.has_place else None
        for image in images
    ]
    table = pd.DataFrame(columns)
    frame = gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(points, crs=WGS_84))
    return frame.assign(footprint=ground)


def _footprint(image: Photograph) -> shapely.Geometry | None:
    return None if image.view is None else shapely.polygons(image.view.footprint)
