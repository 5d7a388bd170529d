"""Objects counted by the cells of a grid: squares in metres, or the hexagons of H3."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from geodet.counting.found_objects import FoundObjects
from geodet.counting.intervals import Estimator
from geodet.counting.polygon_counts import CountedPolygons, Polygons, count_pairs, examine
from geodet.errors import ConfigError, VectorError
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.geobox import WGS_84, is_on_earth
from geodet.geometry.ground_area import ground_areas
from geodet.geometry.utm import has_ground_lengths, utm_at
from geodet.raster.density import find_cells_of
from geodet.vector.examined_ground import ExaminedGround

__all__ = ["CellGrid", "count_in_hexagons", "count_in_squares"]

_MOST_CELLS = 2**28  # of a raster of densities: 1 GiB
_FINEST = 15  # H3's resolutions are 0 to 15
_INWARDS = np.array([1, 1, -1, -1]) * 1e-6  # of a cell: what rounding makes of its edges


@dataclass(frozen=True, slots=True)
class CellGrid:
    """A raster of square cells that covers all objects, and the examined ground if it is known."""

    transform: Affine
    """From columns and rows of cells to the CRS."""
    width: int
    """Columns."""
    height: int
    """Rows, from north to south."""
    crs: CRS
    """A projected CRS."""
    cells: tuple[Ints, Ints]
    """Rows and columns of the cells with objects, in the order of the counts."""

    def to_raster(self, values: Floats, ground: ExaminedGround | None = None) -> Floats:
        """Return a raster of the values of the cells with objects, 0 in the others: (H, W).

        Args:
            values: Values of the cells with objects.
            ground: Where objects were searched: a cell of which nothing was examined is NaN.
                None: everywhere, as far as is known.
        """
        raster: Floats = np.zeros((self.height, self.width))
        if ground is not None:
            corners = self.transform @ (0, self.height), self.transform @ (self.width, 0)
            pieces = ground.pieces_in(self.crs, np.concatenate(corners))
            raster[~find_cells_of(pieces, raster.shape, self.transform)] = np.nan
        raster[self.cells] = values
        return raster


def count_in_squares(
    found: FoundObjects,
    side: float,
    estimator: Estimator | None = None,
    ground: ExaminedGround | None = None,
) -> tuple[Polygons, CountedPolygons, CellGrid]:
    """Count objects in square cells, whose edges are multiples of their side.

    A cell owns its western and southern edge, so that every object counts once.

    Args:
        found: N objects, in a CRS.
        side: Metres along a cell's edge, in a projected CRS: that of the objects, or their UTM zone
            if it is in degrees or Mercator's.
        estimator: Estimates the true counts; None: there are no estimates.
        ground: Where the objects were searched; None: everywhere, as far as is known.

    Returns:
        The cells with objects, their counts with a total of all examined ground, and the grid.

    Raises:
        VectorError: The objects have no CRS, there is neither an object nor ground, or no UTM zone
            contains them.
        ConfigError: The side is not positive, or so small that the grid would fill the memory.
    """
    if not 0 < side < np.inf:
        raise ConfigError(
            f"the side of a cell is {side} m", hint="give a positive number, such as 100"
        )
    crs = _metric_crs(found, ground)
    xy = shapely.get_coordinates(found.points_in(crs, 0.0, found.path))
    step = side / crs.axis_info[0].unit_conversion_factor
    columns, rows = np.floor(xy / step).astype(np.int64).T
    left, bottom, right, top = _extent(columns, rows, ground, crs, step)
    width, height = right - left, top - bottom
    if width * height > _MOST_CELLS:
        raise ConfigError(
            f"a grid of {side:g} m would have {width:,} x {height:,} cells",
            hint="choose larger cells",
        )
    cells, place = np.unique((top - 1 - rows) * width + columns - left, return_inverse=True)
    row, column = np.divmod(cells, width)
    x, y = (column + left) * step, (top - 1 - row) * step
    polygons = _cells(found.path, shapely.box(x, y, x + step, y + step), crs)
    transform = Affine(step, 0, left * step, 0, -step, top * step)
    grid = CellGrid(transform, width, height, crs, (row, column))
    return polygons, _count(found, polygons, place, estimator, ground), grid


def _extent(
    columns: Ints, rows: Ints, ground: ExaminedGround | None, crs: CRS, step: float
) -> tuple[int, int, int, int]:
    """Return the first and last edges of the cells of all objects and of the examined ground.

    Args:
        columns: (N,) of the objects, counted in cells from the origin of the CRS.
        rows: (N,) likewise, upwards.
        ground: Where the objects were searched; None: unknown.
        crs: CRS of the cells.
        step: Side of a cell, in units of the CRS.

    Returns:
        The left, lower, right and upper edge.
    """
    edges = [(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)] if len(rows) else []
    if ground is not None and ground.crs is not None and not ground.shape.is_empty:
        # Ground that ends at the edge of a cell is over it by the rounding of a change of CRS.
        low, high = np.hsplit(ground.bounds_in(crs) / step + _INWARDS, 2)
        edges.append((*map(math.floor, low), *map(math.ceil, high)))
    lefts, bottoms, rights, tops = zip(*edges, strict=True)
    return int(min(lefts)), int(min(bottoms)), int(max(rights)), int(max(tops))


def count_in_hexagons(
    found: FoundObjects,
    resolution: int,
    estimator: Estimator | None = None,
    ground: ExaminedGround | None = None,
) -> tuple[Polygons, CountedPolygons]:
    """Count objects in the hexagons of H3, whose index is in the column ``h3``.

    Args:
        found: N objects, in a CRS.
        resolution: 0 to 15; at 9 a hexagon has about 10 hectares.
        estimator: Estimates the true counts; None: there are no estimates.
        ground: Where the objects were searched; None: everywhere, as far as is known.

    Returns:
        The cells with objects, in WGS 84, and their counts with a total of all examined ground.

    Raises:
        VectorError: The objects have no CRS, or there is neither an object nor ground.
        ConfigError: The package h3 is not installed, or there is no such resolution.
    """
    try:
        from h3.api import basic_int as h3
    except ImportError as error:
        raise ConfigError(
            "counting by hexagons needs the package h3", hint="pip install 'geodet[h3]'"
        ) from error
    if not 0 <= resolution <= _FINEST:
        raise ConfigError(f"H3 has no resolution {resolution}", hint="choose one of 0 to 15")
    _check_placed(found, ground)
    crs = found.crs
    if not is_on_earth(crs):
        raise VectorError(
            f"{found.path} is not on the earth, which the hexagons of H3 cover",
            hint="count by cells of a grid, or by zones",
            path=found.path,
        )
    longitude, latitude = Transformer.from_crs(crs, WGS_84, always_xy=True).transform(
        *found.centres.T
    )
    places = zip(latitude.tolist(), longitude.tolist(), strict=True)
    indices = np.array([h3.latlng_to_cell(*place, resolution) for place in places], np.uint64)
    cells, place = np.unique(indices, return_inverse=True)
    rings = [np.array(h3.cell_to_boundary(int(cell)))[:, ::-1] for cell in cells]
    polygons = _cells(found.path, np.array([_hexagon(ring) for ring in rings], object), WGS_84)
    polygons.attributes["h3"] = [h3.int_to_str(int(cell)) for cell in cells]
    return polygons, _count(found, polygons, place, estimator, ground)


def _hexagon(ring: Floats) -> shapely.Geometry:
    """Return the polygon of a ring of longitudes and latitudes, beyond 180 degrees in one piece."""
    if np.ptp(ring[:, 0]) > 180:
        ring = np.where([[True, False]], ring % 360, ring)
    return shapely.Polygon(ring)


def _metric_crs(found: FoundObjects, ground: ExaminedGround | None) -> CRS:
    """Return the objects' CRS where it is one in metres on the ground, else their UTM zone."""
    _check_placed(found, ground)
    crs = found.crs
    assert crs is not None  # checked above
    if has_ground_lengths(crs):
        return crs
    if len(found):
        return utm_at(crs, found.middle)
    assert ground is not None  # as _check_placed requires
    assert ground.crs is not None
    return utm_at(ground.crs, shapely.get_coordinates(ground.shape.representative_point())[0])


def _check_placed(found: FoundObjects, ground: ExaminedGround | None) -> None:
    if found.crs is None:
        raise VectorError(
            f"{found.path} has no CRS, so the size of a cell is unknown",
            hint="give it its CRS, such as with ogr2ogr -a_srs EPSG:32633",
            path=found.path,
        )
    if not len(found) and (ground is None or ground.crs is None or ground.shape.is_empty):
        hint = "lower --min-score (min_score), or detect with a lower threshold"
        raise VectorError(
            f"{found.path} has no object to count",
            hint=hint if ground is None else "none of the searched scenes has data",
            path=found.path,
        )


def _cells(path: Path, shapes: NDArray[np.object_], crs: CRS) -> Polygons:
    return Polygons(path, shapes, crs, pd.DataFrame(index=range(len(shapes))))


def _count(
    found: FoundObjects,
    polygons: Polygons,
    place: Ints,
    estimator: Estimator | None,
    ground: ExaminedGround | None,
) -> CountedPolygons:
    """Count objects of which each is in one cell.

    The total is of all ground that was examined: the cells leave out what has no object, and the
    smaller they are, the more of it. Where the ground is unknown, so is the area of the total.
    """
    which = np.arange(len(found))
    examined, areas = examine(polygons.shapes, polygons.crs, ground)
    shares = None if examined is None else examined.shares
    figures = count_pairs(found, place, which, areas, estimator, shares)
    whole, share = np.array([np.nan]), None
    if ground is not None:
        whole, share = ground_areas(np.array([ground.shape], object), ground.crs), np.ones(1)
    total = count_pairs(found, np.zeros_like(which), which, whole, estimator, share)
    rows = pd.concat([polygons.attributes, figures], axis="columns")
    return CountedPolygons(rows, total, elsewhere=0, examined=examined)
