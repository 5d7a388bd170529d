"""True positives, false positives and misses as layers of a GeoPackage, for GIS programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.geometry.arrays import Floats
from geodet.geometry.boxes import box_corners
from geodet.geometry.geobox import WGS_84, GeoBox
from geodet.geometry.oriented_boxes import oriented_corners
from geodet.vector.polygon_layers import write_polygons

__all__ = ["ErrorBoxes", "write_layers"]


@dataclass(frozen=True, slots=True)
class ErrorBoxes:
    """Boxes of one image, with attributes."""

    geobox: GeoBox
    """The geobox of the image."""
    boxes: Floats
    """(R, 4) in the image's pixels."""
    fields: Mapping[str, NDArray[Any] | Sequence[Any]]
    """Columns of R values."""
    oriented: Floats | None = None
    """(R, 5) oriented boxes, which are drawn in the place of the boxes; None: there are none."""


def write_layers(path: Path, layers: Mapping[str, Sequence[ErrorBoxes]]) -> None:
    """Write layers of polygons to a new GeoPackage.

    The layers are in the CRS of the images, or in WGS 84 if the images have several. If an image
    has no CRS, the layers have none either: that image keeps the coordinates of its world file, or
    else is in pixels, with x to the right and y = -row, as QGIS shows it; so are all other images.

    Args:
        path: Ends in ``.gpkg`` and does not exist.
        layers: By name, each with boxes of at least one image; all with the same columns.

    Raises:
        OSError: The file cannot be written.
    """
    crs = _choose_crs([part.geobox.crs for parts in layers.values() for part in parts])
    for name, parts in layers.items():
        shapes = np.concatenate([_to_polygons(part, crs) for part in parts])
        keys = parts[0].fields
        columns = {key: np.concatenate([part.fields[key] for part in parts]) for key in keys}
        write_polygons(path, name, geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs))


def _choose_crs(found: Sequence[CRS | None]) -> CRS | None:
    known = [crs for crs in found if crs is not None]
    if len(known) < len(found):
        return None
    distinct = {crs.to_wkt(): crs for crs in known}
    return known[0] if len(distinct) == 1 else WGS_84


def _to_polygons(part: ErrorBoxes, crs: CRS | None) -> NDArray[np.object_]:
    """Return the polygon of each box: (R,)."""
    turned = part.oriented
    corners = box_corners(part.boxes) if turned is None else oriented_corners(turned)
    if crs is None and part.geobox.crs is not None:
        return np.asarray(shapely.polygons(corners * [1.0, -1.0]), np.object_)
    return np.asarray(shapely.polygons(part.geobox.to_world(corners, crs)), np.object_)
