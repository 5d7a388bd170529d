"""The area of interest (AOI) of a scene: what lies outside is neither read nor reported."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from geodet.errors import ConfigError, VectorError
from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox
from geodet.geometry.reprojection import Shapes, only_polygons, polygons_to_pixels
from geodet.geometry.windows import Window
from geodet.vector.extents import FILE_REMEDY, compare_extents, guess_why_apart
from geodet.vector.vector_files import read_frame, scenes_of_rows

__all__ = ["AreaOfInterest", "aoi_of_bounds", "read_aoi", "subdivided"]

_VERTICES = 256  # most of a piece
_CUTS = 24  # in halves, at most

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AreaOfInterest:
    """An area in the pixels of a raster: the union of some polygons, with their edges.

    Its queries build an index on first use, so only one thread may call them.

    Example:
        >>> aoi = AreaOfInterest(np.array([shapely.box(10, 10, 30, 20)]), 100, 100, "")
        >>> aoi.contains(np.array([[10.0, 15.0], [31.0, 15.0]])).tolist()
        [True, False]
        >>> aoi.touches(Window(0, 0, 10, 10)), aoi.touches(Window(40, 0, 10, 10))
        (True, False)
    """

    polygons: Shapes
    """(M,) valid polygons in continuous pixel coordinates, which may overlap; none far from the
    raster."""
    width: float
    """Columns of the raster."""
    height: float
    """Rows of the raster."""
    extents: str
    """The places of the area and the raster, in words."""

    def touches(self, window: Window, *, margin: float = 0.0) -> bool:
        """Whether a window, widened by a margin, shares a point with the area.

        Law: an area that contains a point of a window touches the window. So a window whose core,
        widened by the slack, does not touch the area owns no detection in it and is not read.

        Args:
            window: In the pixels of the raster.
            margin: Pixels that the window grows on every side.
        """
        x1, y1 = window.col_off - margin, window.row_off - margin
        x2, y2 = window.col_end + margin, window.row_end + margin
        return len(self._tree.query(shapely.box(x1, y1, x2, y2), predicate="intersects")) > 0

    def contains(self, xy: Floats) -> NDArray[np.bool_]:
        """Whether points lie in the area or on its edge: (N,).

        Args:
            xy: (N, 2) points in the pixels of the raster, such as the centres of detections.
        """
        xy = np.asarray(xy, np.float64).reshape(-1, 2)
        rows, near = self._tree.query(shapely.points(xy))
        pieces = self._tree.geometries[near]
        inside = np.zeros(len(xy), dtype=np.bool_)
        inside[rows[shapely.intersects_xy(pieces, xy[rows])]] = True
        return inside

    def scaled(self, x: float, y: float) -> AreaOfInterest:
        """Multiply every coordinate, for example from the scene's pixels to a resampled grid's."""
        polygons = shapely.transform(self.polygons, lambda xy: xy * np.array([x, y]))
        return AreaOfInterest(polygons, self.width * x, self.height * y, self.extents)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 of its extent, which may reach beyond the raster."""
        x1, y1, x2, y2 = shapely.total_bounds(self.polygons).tolist()
        return x1, y1, x2, y2

    @cached_property
    def is_empty(self) -> bool:
        """Whether the area has no point in the raster."""
        frame = shapely.box(0, 0, self.width, self.height)
        return not len(self._tree.query(frame, predicate="intersects"))

    def check_meets_scene(self) -> None:
        """Check that the area has a point in the raster.

        Raises:
            VectorError: It has none; names both extents.
        """
        if self.is_empty:
            raise VectorError(
                f"the area does not intersect the scene: {self.extents}",
                hint="check that both are in the same region, and the CRS of each",
            )

    @cached_property
    def _tree(self) -> shapely.STRtree:
        pieces = subdivided(self.polygons)
        shapely.prepare(pieces)
        return shapely.STRtree(pieces)


def read_aoi(
    path: str | Path, geoboxes: Sequence[GeoBox], *, scenes: Sequence[str | None] = ()
) -> list[AreaOfInterest]:
    """Read an area of interest, the union of the polygons in a vector file, for each scene.

    Args:
        path: A file with one layer of polygons, or ``FILE|layername=NAME``, in any CRS. Without a
            CRS it is taken as being in each scene's.
        geoboxes: Geoboxes of the scenes.
        scenes: For each scene, the value of the attribute ``scene`` of its polygons; polygons
            without a value belong to all scenes. None for a scene: all polygons are its own;
            empty: all polygons belong to every scene.

    Raises:
        VectorError: The file cannot be read, has several layers, other geometries or no polygon,
            or has a CRS while a scene has none.
    """
    has_scenes = any(name is not None for name in scenes)
    crs, shapes, owners = _read_shapes(str(path), has_scenes=has_scenes)
    if crs is not None and any(geobox.crs is None for geobox in geoboxes):
        raise VectorError(
            f"{path} has the CRS {crs.name}, and the scene has none",
            hint="give the scene its CRS with gdal_edit, or save the area in the scene's own "
            "coordinates and without a CRS",
            path=path,
        )
    if crs is None and any(geobox.crs is not None for geobox in geoboxes):
        logger.warning("%s has no CRS: it is assumed to be in the scene's CRS", path)
    coordinates, owner = shapely.get_coordinates(shapes, return_index=True)
    finite = np.isfinite(coordinates).all(axis=1)
    if not finite.all():
        raise VectorError(
            f"{path}, object {owner[~finite][0] + 1} has a coordinate that is not a finite number",
            hint="correct the coordinates, or remove the object",
            path=path,
        )
    polygons = only_polygons(shapes)
    if not len(polygons):
        raise VectorError(
            f"{path} has no polygon with an area", hint="draw the area of interest", path=path
        )
    if not has_scenes:
        return [_to_aoi(polygons, crs, geobox, FILE_REMEDY) for geobox in geoboxes]
    return [
        _to_aoi(polygons, crs, geobox, FILE_REMEDY, None if name is None else shapes[own])
        for geobox, name in zip(geoboxes, scenes, strict=True)
        for own in ((owners == name) | (owners == ""),)
    ]


def aoi_of_bounds(
    bounds: Sequence[float], geobox: GeoBox, crs: str | CRS | None = None
) -> AreaOfInterest:
    """Return the area of a rectangle of world coordinates.

    Args:
        bounds: xmin, ymin, xmax, ymax; longitude before latitude. In degrees xmin may be the larger
            one: then the rectangle crosses the antimeridian.
        geobox: Geobox of the scene.
        crs: CRS of the bounds, such as ``EPSG:4326``; None: the scene's.

    Raises:
        ConfigError: The bounds are not four numbers in this order, the CRS is not one, or the scene
            has none.
    """
    named = None if crs is None else _parse_crs(crs)
    if named is not None and geobox.crs is None:
        raise ConfigError(
            f"the bounds are in {named.name}, and the scene has no CRS",
            hint="give the bounds in the scene's own coordinates, without a CRS",
        )
    system = named or geobox.crs
    x1, y1, x2, y2 = _check_bounds(bounds, wraps=system is not None and system.is_geographic)
    typed = ",".join(f"{value:.10g}" for value in bounds)
    remedy = f'name their CRS: --bounds {typed},EPSG:4326, in Python bounds_crs="EPSG:4326"'
    return _to_aoi(np.array([shapely.box(x1, y1, x2, y2)]), named, geobox, remedy)


def _to_aoi(
    polygons: Shapes, crs: CRS | None, geobox: GeoBox, remedy: str, own: Shapes | None = None
) -> AreaOfInterest:
    """Return the area of some polygons, or of the scene's own polygons where these are given."""
    chosen = polygons if own is None else only_polygons(own)
    pixels = polygons_to_pixels(chosen, crs, geobox)
    extents = _to_extents(polygons, crs, geobox, remedy)
    return AreaOfInterest(pixels, geobox.width, geobox.height, extents)


def subdivided(polygons: Shapes) -> Shapes:
    """Cut polygons into pieces of few vertices: queries of a coast of 100,000 are slow."""
    done = []
    for _ in range(_CUTS):
        large = shapely.get_num_coordinates(polygons) > _VERTICES
        done.append(polygons[~large])
        if not large.any():
            break
        x1, y1, x2, y2 = shapely.bounds(polygons[large]).T
        wide = x2 - x1 > y2 - y1
        x, y = np.where(wide, (x1 + x2) / 2, x2), np.where(wide, y2, (y1 + y2) / 2)
        first = shapely.box(x1, y1, x, y)
        second = shapely.box(np.where(wide, x, x1), np.where(wide, y1, y), x2, y2)
        halves = [shapely.intersection(polygons[large], half) for half in (first, second)]
        polygons = only_polygons(np.concatenate(halves))
    else:
        done.append(polygons)  # their vertices lie too close to be told apart
    return np.concatenate(done)


def _to_extents(polygons: Shapes, crs: CRS | None, geobox: GeoBox, remedy: str) -> str:
    """Describe where the polygons and the raster lie, and why they may not meet."""
    bounds = shapely.total_bounds(polygons)
    text = f"the area spans {compare_extents(bounds, crs, geobox)}"
    guess = guess_why_apart(bounds, crs, geobox, remedy=remedy)
    return f"{text}; {guess}" if guess else text


def _read_shapes(path: str, *, has_scenes: bool) -> tuple[CRS | None, Shapes, NDArray[np.object_]]:
    """Read the CRS, the polygons, and names of their scenes of a file's layer."""
    frame = read_frame(path, columns=["scene"] if has_scenes else [])
    shapes = shapely.force_2d(frame.geometry.to_numpy())
    owners = scenes_of_rows(frame) if has_scenes else np.full(len(shapes), "", object)
    is_there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    shapes = shapes[is_there]
    _check_kinds(shapes, path)
    return frame.crs, shapes, owners[is_there]


def _check_kinds(shapes: Shapes, path: str) -> None:
    """Check that there are no points and lines, also none in collections."""
    kinds = shapely.get_type_id(shapely.get_parts(shapely.get_parts(shapes)))
    names = {int(kind): shapely.GeometryType(kind).name.lower() for kind in np.unique(kinds)}
    names.pop(shapely.GeometryType.POLYGON, None)
    for kind, name in names.items():
        raise VectorError(
            f"{path}: {int((kinds == kind).sum())} of {len(kinds)} geometries are of the type "
            f"{name}, which has no area",
            hint="an area of interest is made of polygons; buffer points and lines first",
            path=path,
        )


def _parse_crs(crs: str | CRS) -> CRS:
    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise ConfigError(
            f"{crs!r} is not a CRS: {error}", hint="name one such as EPSG:4326 or EPSG:32633"
        ) from error


def _check_bounds(bounds: Sequence[float], *, wraps: bool) -> tuple[float, float, float, float]:
    hint = "give xmin,ymin,xmax,ymax: left, bottom, right and top, longitude before latitude"
    if len(bounds) != 4 or not all(math.isfinite(value) for value in bounds):
        raise ConfigError(f"bounds are four numbers, not {bounds!r}", hint=hint)
    x1, y1, x2, y2 = map(float, bounds)
    if wraps and x1 > x2:
        x2 += 360
    if x1 >= x2 or y1 >= y2:
        raise ConfigError(
            f"the bounds {x1:.10g},{y1:.10g},{x2:.10g},{y2:.10g} have no area", hint=hint
        )
    return x1, y1, x2, y2
