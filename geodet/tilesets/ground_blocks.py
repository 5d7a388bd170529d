"""Blocks that go to training or to validation as a whole, which scenes of the same ground share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.errors import VectorError
from geodet.geometry.arrays import Bools, Floats, Ints
from geodet.geometry.boxes import box_corners
from geodet.geometry.full_turns import full_turn, turns_together, within_half_turn
from geodet.geometry.geobox import GeoBox
from geodet.tilesets.splits import natural_key

__all__ = ["PlacedWindows", "drop_shared_ground", "find_grounds", "name_block", "place_on_ground"]

_LEAST_SHARED = 1e-6  # share of an area that counts as shared with another
_OUTLINE_STEPS = 8  # points on each side of a footprint, since it bends in another CRS
_DECIMALS = 3  # of a pixel, to which the windows of grids that coincide agree


@dataclass(frozen=True, slots=True)
class PlacedWindows:
    """Windows of scenes in pixels that the scenes of the same ground have in common.

    They are the pixels of one of these scenes, the first.
    """

    owner: Ints
    """(W,) index of the scene of each window."""
    first: Ints
    """(W,) index of the scene in whose pixels the corners are."""
    corners: Floats
    """(W, 4, 2) x and y; not finite for a window that has no place in these pixels."""
    scale: Floats
    """(W,) side of a pixel of the window's scene, in these pixels; 1 for no place."""

    @property
    def is_placed(self) -> Bools:
        """(W,) whether a window has a place."""
        return np.asarray(np.isfinite(self.corners).all(axis=(1, 2)))

    def name_blocks(self, names: Sequence[str], sides: Sequence[int]) -> list[str]:
        """Name the block that contains the centre of each window.

        The blocks of a ground are counted from the corner of its first scene, and are as large as
        the largest that its scenes would have alone.

        Args:
            names: Names of the scenes, all different.
            sides: Side of each scene's blocks in its own pixels.

        Returns:
            (W,) names; of windows on different grounds they differ.
        """
        largest = np.zeros(len(names))
        np.maximum.at(largest, self.first, np.array(sides, np.float64)[self.owner] * self.scale)
        # The sum of two opposite corners, which is exact in a scene's own pixels.
        middles = np.round((self.corners[:, 0] + self.corners[:, 2]) / 2, _DECIMALS)
        is_several = len(set(self.first.tolist())) > 1
        blocks = []
        for (x, y), first, placed in zip(
            middles.tolist(), self.first.tolist(), self.is_placed.tolist(), strict=True
        ):
            block = name_block(x, y, float(largest[first])) if placed else "nowhere"
            blocks.append(f"{names[first]}/{block}" if is_several else block)
        return blocks


def name_block(x: float, y: float, side: float) -> str:
    """Return the name of the block that contains a place, by its row and its column.

    Example:
        >>> name_block(170.0, 20.0, 64)
        '0_2'
    """
    return f"{int(y // side)}_{int(x // side)}"


def place_on_ground(
    names: Sequence[str], geoboxes: Sequence[GeoBox], boxes: Floats, owner: Ints
) -> PlacedWindows:
    """Place the windows of scenes in pixels that scenes of the same ground share.

    Args:
        names: Names of the scenes.
        geoboxes: Their grids.
        boxes: (W, 4) windows, x1 y1 x2 y2 in the pixels of their scene.
        owner: (W,) index of the scene of each.
    """
    corners, first = box_corners(boxes), owner.copy()
    scale = np.ones(len(owner))
    for members in find_grounds(names, geoboxes):
        for member in members[1:]:
            rows = np.flatnonzero(owner == member)
            first[rows] = members[0]
            corners[rows] = _move(boxes[rows], geoboxes[member], geoboxes[members[0]])
            scale[rows] = _measure_scale(corners[rows], boxes[rows])
    return PlacedWindows(owner, first, corners, scale)


def _move(boxes: Floats, source: GeoBox, target: GeoBox) -> Floats:
    """Convert boxes in pixels of a raster to their corners in pixels of another: (W, 4, 2)."""
    try:
        xy = source.corners(boxes, target.crs)
    except VectorError:
        return np.full((len(boxes), 4, 2), np.inf)
    middle = float(target.to_world(np.array([target.width, target.height]) / 2)[0])
    x = xy[..., 0].mean(axis=1, keepdims=True)
    xy[..., 0] += within_half_turn(x, middle, full_turn(target.crs)) - x
    return target.to_pixels(xy)


def _measure_scale(corners: Floats, boxes: Floats) -> float:
    """Measure the pixels of a scene in those of another, in which its windows have corners."""
    placed = np.isfinite(corners).all(axis=(1, 2))
    if not placed.any():
        return 1.0
    own = np.prod(boxes[placed, 2:] - boxes[placed, :2], axis=1)
    areas = shapely.area(shapely.polygons(corners[placed])) / own
    return round(float(np.sqrt(np.median(areas))), 6)


def find_grounds(names: Sequence[str], geoboxes: Sequence[GeoBox]) -> list[list[int]]:
    """Group scenes that show the same ground, directly or through others.

    Scenes that touch alone are not grouped. A scene without a CRS is a group of its own.

    Args:
        names: Names of the scenes, all different.
        geoboxes: Their grids.

    Returns:
        Indices of the scenes of each group, in natural order of their names.
    """
    from scipy.sparse import coo_array  # which previews and detections do without
    from scipy.sparse.csgraph import connected_components

    count = len(geoboxes)
    systems = dict.fromkeys(box.crs for box in geoboxes if box.crs is not None)
    pairs = [_find_overlapping(geoboxes, crs) for crs in systems] if count > 1 else []
    first, second = np.concatenate([np.zeros((2, 0), np.int64), *pairs], axis=1)
    links = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    numbers = connected_components(links, directed=False)[1].tolist()
    groups: dict[int, list[int]] = {}
    for index in sorted(range(count), key=lambda row: natural_key(names[row])):
        groups.setdefault(numbers[index], []).append(index)
    return list(groups.values())


def _find_overlapping(geoboxes: Sequence[GeoBox], crs: CRS) -> Ints:
    """Return which footprints overlap, where one of the two is of this CRS: (2, M)."""
    outlines = np.stack([_outline(box, crs) for box in geoboxes])
    # Scenes on the two sides of the antimeridian may show the same ground.
    outlines[..., 0] += turns_together(outlines[..., 0], crs)
    shapes = _to_polygons(outlines)
    own = np.array([box.crs == crs for box in geoboxes])
    rows = np.flatnonzero(own)
    row, other = shapely.STRtree(shapes).query(shapes[rows], predicate="intersects")
    pairs = np.stack([rows[row], other])
    pairs = pairs[:, ~own[pairs[1]] | (pairs[0] < pairs[1])]
    first, second = shapes[pairs]
    least = _LEAST_SHARED * np.minimum(shapely.area(first), shapely.area(second))
    return pairs[:, shapely.area(shapely.intersection(first, second)) > least]


def _outline(box: GeoBox, crs: CRS) -> Floats:
    """Return points along the edge of a raster in a CRS: (32, 2), infinite without a place."""
    along, low = np.arange(_OUTLINE_STEPS) / _OUTLINE_STEPS, np.zeros(_OUTLINE_STEPS)
    x = np.concatenate([along, low + 1, 1 - along, low]) * box.width
    y = np.concatenate([low, along, low + 1, 1 - along]) * box.height
    xy = np.stack([x, y], axis=-1)
    if box.crs is None:
        return np.full_like(xy, np.inf)
    try:
        return box.to_world(xy, crs)
    except VectorError:
        return np.full_like(xy, np.inf)  # a CRS of a building site has no place on the globe


def _to_polygons(corners: Floats) -> NDArray[np.object_]:
    """Convert rings (N, V, 2) to polygons, None for one that is not finite or crosses itself."""
    shapes = np.full(len(corners), None, object)
    finite = np.isfinite(corners).all(axis=(1, 2))
    shapes[finite] = shapely.polygons(corners[finite])
    shapes[~shapely.is_valid(shapes)] = None
    return shapes


def drop_shared_ground(placed: PlacedWindows, is_val: Bools) -> Bools:
    """Drop the training windows that show ground of a validation window of another scene.

    Args:
        placed: The windows.
        is_val: (W,) True where a window validates; all of these are kept.

    Returns:
        (W,) True where the window is kept.
    """
    stays = np.ones(len(is_val), np.bool_)
    for first in set(placed.first[placed.first != placed.owner].tolist()):
        rows = np.flatnonzero(placed.first == first)
        shapes, owner = _to_polygons(placed.corners[rows]), placed.owner[rows]
        val, train = np.flatnonzero(is_val[rows]), np.flatnonzero(~is_val[rows])
        row, other = shapely.STRtree(shapes[val]).query(shapes[train], predicate="intersects")
        row, other = train[row], val[other]
        apart = owner[row] != owner[other]
        row, other = row[apart], other[apart]
        shared = shapely.area(shapely.intersection(shapes[row], shapes[other]))
        stays[rows[row[shared > _LEAST_SHARED * shapely.area(shapes[row])]]] = False
    return stays
