"""The georeference of a raster: shape, affine transform and CRS in one value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from geodet.errors import VectorError
from geodet.geometry.arrays import Floats
from geodet.geometry.boxes import box_corners
from geodet.geometry.full_turns import full_turn, within_half_turn
from geodet.geometry.windows import Window

__all__ = ["PIXEL_TRANSFORM", "WGS_84", "GeoBox", "find_transformer", "is_on_earth", "step_lengths"]

PIXEL_TRANSFORM = Affine(1, 0, 0, 0, -1, 0)
"""The transform of a raster without a georeference: x is the column, and y is -row, as in QGIS."""
WGS_84 = CRS.from_epsg(4326)
"""The CRS of longitudes and latitudes."""

_ROUNDING = 0.41


@dataclass(frozen=True)
class GeoBox:
    """The shape, the affine transform and the CRS of a raster.

    World coordinates are always float64: a float32 step is 0.5 m at a northing of 5,000,000 m.

    Laws:
        ``box.crop(w).to_world(p) == box.to_world(p + (w.col_off, w.row_off))`` and
        ``box.to_pixels(box.to_world(p)) == p``.

    Example:
        >>> box = GeoBox(100, 50, Affine(0.5, 0, 600000, 0, -0.5, 4000000), CRS.from_epsg(32610))
        >>> box.to_world(np.array([[2.0, 4.0]])).tolist()
        [[600001.0, 3999998.0]]
        >>> box.crop(Window(10, 0, 5, 5)).transform.c
        600005.0
    """

    width: int
    """Columns."""
    height: int
    """Rows."""
    transform: Affine
    """From continuous pixel coordinates (column, row) to world coordinates (x, y)."""
    crs: CRS | None
    """The CRS of the world coordinates; None if the raster has none."""

    @property
    def is_in_pixels(self) -> bool:
        """Whether the raster has no georeference: its world coordinates are its own pixels."""
        return self.crs is None and self.transform == PIXEL_TRANSFORM

    def crop(self, window: Window) -> GeoBox:
        """Return the geobox of a window of this raster."""
        transform = self.transform @ Affine.translation(window.col_off, window.row_off)
        return GeoBox(window.width, window.height, transform, self.crs)

    def first_cell(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Return where the first cell of a grid over the raster lies, in cells from the origin.

        The cells are counted from the origin of the world coordinates, so that rasters that were
        cut from one mosaic give each place of it the same number. Cells whose edges do not pass
        through the origin are rounded to one place for all of them.

        Args:
            grid: Columns and rows; the raster's own, or those that it is resampled to.

        Returns:
            Column and row; (0, 0) without a georeference.

        Example:
            >>> box = GeoBox(100, 50, Affine(0.5, 0, 600000, 0, -0.5, 4000000), None)
            >>> box.first_cell((100, 50)), box.first_cell((50, 25))
            ((1200000, -8000000), (600000, -4000000))
        """
        if self.transform.is_degenerate:
            return 0, 0
        column, row = ~self.transform @ (0.0, 0.0)
        cells = -column * grid[0] / self.width, -row * grid[1] / self.height
        if not np.isfinite(cells).all():
            return 0, 0
        # Half and third cells are frequent: neither lies near to where rounding changes.
        return math.floor(cells[0] + _ROUNDING), math.floor(cells[1] + _ROUNDING)

    def to_world(self, xy: Floats, crs: CRS | None = None) -> Floats:
        """Map pixel coordinates to world coordinates.

        Args:
            xy: (..., 2) columns and rows, continuous.
            crs: Another CRS to transform to; None, or a raster without a CRS: the raster's own.

        Returns:
            (..., 2) float64 x and y; infinite where ``crs`` is not defined. Longitudes of another
            CRS run on over the antimeridian, so that they are continuous within the raster.

        Raises:
            VectorError: There is no transformation between the two CRSs.
        """
        world = _apply(self.transform, xy)
        if not self.needs_transformation(crs):
            return world
        transformer = find_transformer(self.crs, crs)
        x, y = transformer.transform(world[..., 0], world[..., 1])
        turn = full_turn(crs)
        if turn:
            middle = _apply(self.transform, np.array([self.width, self.height]) / 2)
            x = within_half_turn(x, transformer.transform(*middle)[0], turn)
        return np.stack([x, y], axis=-1)

    def corners(self, boxes: Floats, crs: CRS | None = None) -> Floats:
        """Map boxes to the world coordinates of their corners, exact under rotation and shear.

        Args:
            boxes: (N, 4) x1 y1 x2 y2 in pixels.
            crs: As in :meth:`to_world`.

        Returns:
            (N, 4, 2) float64 in the order of :func:`geodet.geometry.boxes.box_corners`: clockwise
            on the ground where rows run down and y runs up.
        """
        return self.to_world(box_corners(boxes), crs)

    def needs_transformation(self, crs: CRS | None) -> bool:
        """Whether coordinates in ``crs`` differ from the raster's own; not if either is None."""
        if crs is None or self.crs is None:
            return False
        return not self.crs.equals(crs, ignore_axis_order=True)

    def to_pixels(self, xy: Floats) -> Floats:
        """Map world coordinates to pixel coordinates, the inverse of :meth:`to_world`."""
        return _apply(~self.transform, xy)

    @cached_property
    def ground_resolution(self) -> tuple[float, float] | None:
        """Width and height of the centre pixel in metres on the ground, None without a CRS.

        None, too, where the CRS places the centre nowhere on the ground.

        Measured on the ellipsoid, so a Web Mercator or a geographic raster gets its true size.
        """
        steps = self.centre_matrix
        return None if steps is None else step_lengths(steps)

    @cached_property
    def centre_matrix(self) -> Floats | None:
        """(2, 2) of :meth:`ground_matrices` at the centre, None where it is unknown."""
        centre = np.array([[self.width / 2, self.height / 2]])
        matrix: Floats = self.ground_matrices(centre)[0]
        return matrix if np.isfinite(matrix).all() else None

    @property
    def gsd(self) -> float | None:
        """Ground sample distance in metres at the centre, None without a CRS.

        It is the geometric mean of the pixel's width and height on the ground.
        """
        size = self.ground_resolution
        return None if size is None else float(np.sqrt(size[0] * size[1]))

    def pixel_area(self, xy: Floats) -> Floats:
        """Measure the area of a pixel on the ground, in square metres.

        Args:
            xy: (N, 2) pixel coordinates at which to measure.

        Returns:
            (N,) float64; NaN without a CRS.
        """
        if self.crs is None:
            return np.full(len(xy), np.nan)
        (ax, ay), (bx, by) = self._ground_steps(np.asarray(xy, np.float64))
        area: Floats = np.abs(ax * by - ay * bx)
        return area

    def ground_matrices(self, xy: Floats) -> Floats:
        """Measure how a step in pixels goes over the ground.

        Args:
            xy: (N, 2) pixel coordinates at which to measure.

        Returns:
            (N, 2, 2) that map columns and rows to metres east and north; NaN without a CRS.
        """
        if self.crs is None:
            return np.full((len(xy), 2, 2), np.nan)
        steps: Floats = np.stack(self._ground_steps(np.asarray(xy, np.float64)), axis=-1)
        return steps.swapaxes(0, 1)

    def _ground_steps(self, xy: Floats) -> tuple[Floats, Floats]:
        """Measure one pixel to the right and one down as (2, N) metres east and north."""
        assert self.crs is not None
        ground = _Ground.of(self.crs)
        here, right, below = (ground.place(self.to_world(xy + step)) for step in _STEPS)
        return ground.offset(here, right), ground.offset(here, below)


def is_on_earth(crs: CRS | None) -> bool:
    """Whether coordinates have a longitude and a latitude on the earth.

    Those of a local grid have neither, and PROJ transforms those of another planet or of the Moon
    to no CRS of the earth.

    Example:
        >>> is_on_earth(CRS.from_epsg(32633)), is_on_earth(CRS.from_user_input("IAU_2015:49910"))
        (True, False)
    """
    if crs is None or crs.geodetic_crs is None or crs.ellipsoid is None:
        return False
    return abs(float(crs.ellipsoid.semi_major_metre) / _EARTH_M - 1) < _SAME_BODY


@lru_cache(maxsize=32)
def find_transformer(source: CRS, target: CRS) -> Transformer:
    """Return the transformer from one CRS to another, x before y; building one is slow.

    Raises:
        VectorError: There is none, as between two planets, or to a local grid.
    """
    try:
        return Transformer.from_crs(source, target, always_xy=True)
    except ProjError as error:
        raise VectorError(
            f"there is no transformation from {source.name} to {target.name}",
            hint="save one in the CRS of the other",
        ) from error


def step_lengths(matrix: Floats) -> tuple[float, float]:
    """Return the metres on the ground of a step to the next column and to the next row.

    Args:
        matrix: (2, 2) as of :meth:`GeoBox.ground_matrices`.
    """
    x, y = np.hypot(*matrix).tolist()
    return x, y


_EARTH_M = 6_378_137.0
_SAME_BODY = 0.005  # of the radius, as in PROJ; the next is that of Venus, 0.05 less
_NEAR_A_POLE = 5000.0  # metres, where a plane errs by less than 1e-6
_STEPS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def _apply(transform: Affine, xy: Floats) -> Floats:
    """Apply an affine transform to (..., 2) coordinates."""
    points = np.asarray(xy, dtype=np.float64)
    x, y = points[..., 0], points[..., 1]
    a, b, c, d, e, f = transform[:6]
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=-1)


class _Ground:
    """Short distances on the ground, in metres, between points of one CRS."""

    def __init__(self, crs: CRS) -> None:
        self._geographic = crs.geodetic_crs
        self._metres = float(crs.axis_info[0].unit_conversion_factor) if crs.axis_info else 1.0
        if self._geographic is not None:
            self._to_angles = Transformer.from_crs(crs, self._geographic, always_xy=True)
            # Degrees as a rule, but grads in some French and Belgian systems.
            self._radians = float(self._geographic.axis_info[0].unit_conversion_factor)
            ellipsoid = crs.ellipsoid
            assert ellipsoid is not None  # a geodetic CRS has one
            self._a = float(ellipsoid.semi_major_metre)
            self._e2 = 1.0 - (float(ellipsoid.semi_minor_metre) / self._a) ** 2

    @staticmethod
    @lru_cache(maxsize=32)
    def of(crs: CRS) -> _Ground:
        """Return the ground of a CRS; building its transformer is slow, so it is kept."""
        return _Ground(crs)

    def offset(self, here: Floats, there: Floats) -> Floats:
        """Measure the metres east and north from places to others close by: (2, N).

        The radii of curvature in the meridian and the prime vertical, Snyder, "Map Projections: A
        Working Manual" (USGS Professional Paper 1395), equations 4-18 and 4-20, half way between
        the points: from one end, a step of 50 m at 83 degrees would err by 1e-5 of its length.
        """
        if self._geographic is None:
            return (there - here) * self._metres
        (lon0, lat0), (lon1, lat1) = here, there
        lat = (lat0 + lat1) / 2
        w2 = 1.0 - self._e2 * np.sin(lat) ** 2
        # The short way round, also across the antimeridian.
        turn = (lon1 - lon0 + np.pi) % (2 * np.pi) - np.pi
        meridian = self._a * (1.0 - self._e2) / w2**1.5
        east = turn * np.cos(lat) * self._a / np.sqrt(w2)
        north = (lat1 - lat0) * meridian
        # Around a pole a step may be a half turn, and the ground is a plane with it in the middle.
        from0, from1 = (np.pi / 2 - np.abs([lat0, lat1])) * meridian
        is_polar = np.minimum(from0, from1) < _NEAR_A_POLE
        poleward = np.sign(lat) * (from0 - from1 * np.cos(turn))
        polar = np.stack([from1 * np.sin(turn), poleward])
        return np.where(is_polar, polar, np.stack([east, north]))

    def place(self, xy: Floats) -> Floats:
        """Return longitude and latitude in radians, or the plane of an engineering CRS: (2, N)."""
        if self._geographic is None:
            return xy.T
        angles = self._to_angles.transform(xy[..., 0], xy[..., 1])
        radians: Floats = np.stack(angles) * self._radians
        return np.where(np.isfinite(radians), radians, np.nan)  # no place on the ground
