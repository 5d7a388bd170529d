"""The ground that was searched for the objects of a file: beyond it nothing is known."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from geodet.errors import VectorError
from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox, find_transformer
from geodet.geometry.reprojection import Shapes, only_polygons, polygons_to_pixels
from geodet.vector.area_of_interest import AreaOfInterest, subdivided
from geodet.vector.extents import compare_file_extent
from geodet.vector.geopackage_scenes import have_models_different_grounds
from geodet.vector.provenance import read_examined_ground
from geodet.vector.vector_files import read_extent

__all__ = ["ExaminedGround", "find_examined_ground"]

logger = logging.getLogger(__name__)

_SIDE = 1 << 20  # pixels of the plane in which ground is moved to another CRS
_COARSE = 1000  # pixels along the bounds of the ground, to compare them with others


@dataclass(frozen=True, slots=True)
class ExaminedGround:
    """The ground that was searched for the objects of a file.

    Example:
        >>> ground = ExaminedGround(Path("a.gpkg"), shapely.box(0, 0, 10, 10), None)
        >>> ground.has_examined(np.array([[5.0, 5.0], [11.0, 5.0], [np.nan, 5.0]]), None).tolist()
        [True, False, False]
    """

    path: Path
    """The file, for messages."""
    shape: shapely.Geometry
    """A polygon or several; empty where no scene had data."""
    crs: CRS | None
    """CRS of the ground."""

    def pieces_in(self, crs: CRS | None, bounds: Floats) -> Shapes:
        """Return the ground near some bounds as polygons of few vertices that do not overlap.

        Args:
            crs: Another CRS; None: the ground's.
            bounds: (4,) x1 y1 x2 y2 in that CRS; what is far from them is left out. Not finite:
                there is no place, and so no ground.

        Returns:
            (K,) polygons, in the turn of the globe in which the bounds lie.

        Raises:
            VectorError: There is no transformation between the CRSs.
        """
        if not np.isfinite(bounds).all():
            return np.zeros(0, object)
        geobox = _plane(bounds, crs, _SIDE)
        pixels = polygons_to_pixels(only_polygons(np.array([self.shape])), self.crs, geobox)
        return only_polygons(shapely.transform(subdivided(pixels), geobox.to_world))

    def bounds_in(self, crs: CRS) -> Floats:
        """Return the extent of the ground in another CRS: x1 y1 x2 y2, NaN without any.

        Args:
            crs: A projected CRS, in which both sides of the antimeridian are near each other.
        """
        bounds = shapely.bounds(only_polygons(np.array([self.shape])))
        if self.crs is not None and not crs.equals(self.crs):
            to_crs = find_transformer(self.crs, crs)
            bounds = np.array([to_crs.transform_bounds(*one) for one in bounds])
        if not len(bounds):
            return np.full(4, np.nan)
        return np.hstack([bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)])

    def has_examined(self, xy: Floats, crs: CRS | None) -> NDArray[np.bool_]:
        """Whether places lie on the ground or on its edge: (N,).

        Args:
            xy: (N, 2) places; those that are not finite lie nowhere.
            crs: CRS of the places; None: the ground's.

        Raises:
            VectorError: There is no transformation between the CRSs.
        """
        known = np.asarray(np.isfinite(xy).all(axis=1), np.bool_)
        if not known.any() or self.shape.is_empty:
            return np.zeros(len(xy), np.bool_)
        bounds = np.hstack([xy[known].min(axis=0), xy[known].max(axis=0)])
        geobox = _plane(bounds, crs, _SIDE)
        pixels = polygons_to_pixels(only_polygons(np.array([self.shape])), self.crs, geobox)
        area = AreaOfInterest(pixels, geobox.width, geobox.height, "")
        inside = known.copy()
        inside[known] = area.contains(geobox.to_pixels(xy[known]))
        return inside

    def explain_apart(self, path: Path, what: str) -> str:
        """Describe why the objects of another file may not lie on the ground.

        Args:
            path: The other file.
            what: What its objects are, in the plural, such as ``labels``.
        """
        if self.shape.is_empty:
            return "none of the searched scenes has data"
        geobox = _plane(np.array(self.shape.bounds), self.crs, _COARSE)
        return compare_file_extent(path, geobox, what=what, raster="the examined area")

    def apart_error(self, path: Path, what: str) -> VectorError:
        """Return the error of a file none of whose objects lies on the ground.

        Args:
            path: The other file.
            what: What its objects are, in the plural, such as ``polygons``.
        """
        return VectorError(
            f"none of the {what} in {path} intersects the examined area of {self.path}",
            hint=self.explain_apart(path, what),
            path=path,
        )


def find_examined_ground(path: Path) -> ExaminedGround | None:
    """Read the ground that was searched for the objects of a file.

    For a file of several models it is their ground together; a warning says so where they differ.

    Args:
        path: A file, or ``FILE|layername=NAME``.

    Returns:
        None where the file does not name it, as files of other programs.

    Raises:
        VectorError: The file cannot be read.
    """
    shape = read_examined_ground(path)
    if shape is None:
        return None
    if have_models_different_grounds(path):
        logger.warning(
            "%s: its models searched different areas, which all count as examined for each class: "
            "where the model of a class was not run, its objects seem to be absent, so densities, "
            "estimates and gone, new or missed objects are wrong; write the detections of each "
            "model to a separate file",
            path,
        )
    return ExaminedGround(path, shape, read_extent(path)[0])


def _plane(bounds: Floats, crs: CRS | None, side: int) -> GeoBox:
    """Return square pixels over bounds, as many along the longer side as are asked for."""
    x1, y1, x2, y2 = map(float, bounds)
    size = max(x2 - x1, y2 - y1, 1e-6 * max(abs(x1), abs(y1), 1.0)) / side
    width, height = (max(round(length / size), 1) for length in (x2 - x1, y2 - y1))
    return GeoBox(width, height, Affine(size, 0, x1, 0, -size, y2), crs)
