"""Oriented boxes: rectangles at any angle, as plain arrays.

A row is cx, cy, length, width and angle: the centre, the longer and the shorter side in pixels, and
the direction of the longer side in radians, from the x axis towards the y axis, which runs down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import shapely

from geodet.geometry.arrays import Floats, Ints

__all__ = [
    "any_tilted",
    "bounding_oriented",
    "cut_oriented",
    "extents_across",
    "fit_labels",
    "fit_outlines",
    "fit_quads",
    "hulls",
    "map_oriented",
    "oriented_corners",
    "oriented_of_boxes",
    "oriented_shapes",
    "shared_areas",
    "with_longer_side_first",
]

_TILTED = 1e-3  # of an angle, in radians times two
_SIGNS = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) / 2


def with_longer_side_first(oriented: Floats) -> Floats:
    """Swap the sides where the first is the shorter one; bring angles into [-pi/2, pi/2).

    Args:
        oriented: (N, 5) whose sides are in any order and whose angles are any.

    Example:
        >>> with_longer_side_first(np.array([[0.0, 0, 2, 4, 0]])).round(3).tolist()
        [[0.0, 0.0, 4.0, 2.0, -1.571]]
    """
    centre, sides, angle = oriented[:, :2], oriented[:, 2:4], oriented[:, 4]
    turned = angle + np.where(sides[:, 0] < sides[:, 1], np.pi / 2, 0.0)
    turned = (turned + np.pi / 2) % np.pi - np.pi / 2
    turned[turned >= np.pi / 2] = -np.pi / 2  # by rounding
    return np.column_stack([centre, sides.max(axis=1), sides.min(axis=1), turned])


def oriented_of_boxes(boxes: Floats) -> Floats:
    """Convert (N, 4) axis-aligned boxes to (N, 5) oriented ones.

    Example:
        >>> oriented_of_boxes(np.array([[0.0, 0, 4, 2]])).tolist()
        [[2.0, 1.0, 4.0, 2.0, 0.0]]
    """
    low, high = boxes[:, :2], boxes[:, 2:]
    flat = np.hstack([(low + high) / 2, high - low, np.zeros((len(boxes), 1))])
    return with_longer_side_first(flat)


def oriented_corners(oriented: Floats) -> Floats:
    """Return the corners of oriented boxes, clockwise where y runs down.

    Args:
        oriented: (N, 5).

    Returns:
        (N, 4, 2); at an angle of 0 in the order of :func:`geodet.geometry.boxes.box_corners`.
    """
    along, across = _axes(oriented)
    steps = _SIGNS * oriented[:, None, 2:4]  # (N, 4, 2) in lengths and widths
    corners: Floats = oriented[:, None, :2] + steps[..., :1] * along + steps[..., 1:] * across
    return corners


def _axes(oriented: Floats) -> tuple[Floats, Floats]:
    """Return unit vectors along and across the boxes: (N, 1, 2) each."""
    cos, sin = np.cos(oriented[:, 4]), np.sin(oriented[:, 4])
    return np.stack([cos, sin], axis=-1)[:, None], np.stack([-sin, cos], axis=-1)[:, None]


def hulls(oriented: Floats) -> Floats:
    """Return the bounds of oriented boxes: (N, 4) x1 y1 x2 y2.

    Example:
        >>> hulls(np.array([[0.0, 0, 4, 2, -np.pi / 2]])).round(6).tolist()
        [[-1.0, -2.0, 1.0, 2.0]]
    """
    cos, sin = np.abs(np.cos(oriented[:, 4])), np.abs(np.sin(oriented[:, 4]))
    length, width = oriented[:, 2], oriented[:, 3]
    reach = np.stack([length * cos + width * sin, length * sin + width * cos], axis=-1) / 2
    return np.hstack([oriented[:, :2] - reach, oriented[:, :2] + reach])


def fit_labels(boxes: Floats, quads: Mapping[int, Sequence[tuple[float, float]]]) -> Floats | None:
    """Fit oriented boxes to labels of which some have four corners.

    Args:
        boxes: (N, 4) boxes of all labels, which stand for those without corners.
        quads: Four corners, by the row of the label.

    Returns:
        (N, 5); None if no label stands at an angle, so that the boxes say everything.
    """
    if not quads:
        return None
    fitted = fit_quads(np.array(list(quads.values()), np.float64))
    has_area = fitted[:, 3] > 0  # not of corners on one line
    rows, fitted = np.array(list(quads))[has_area], fitted[has_area]
    if not (np.abs(np.sin(2 * fitted[:, 4])) > _TILTED).any():
        return None
    oriented = oriented_of_boxes(boxes)
    oriented[rows] = fitted
    return oriented


def any_tilted(edges: Floats) -> bool:
    """Whether any of (N, 2, 2) edges from one point to another is not along an axis."""
    dx, dy = (edges[:, 1] - edges[:, 0]).T
    with np.errstate(invalid="ignore"):  # points that have no place
        return bool((2 * np.abs(dx * dy) > _TILTED * (dx**2 + dy**2)).any())


def oriented_shapes(oriented: Floats) -> Floats:
    """Return bounds and oriented boxes side by side: (N, 9)."""
    return np.hstack([hulls(oriented), oriented])


_EDGES = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2], [1, 3]])


def fit_quads(corners: Floats) -> Floats:
    """Fit the rectangles of least area around the corners of quadrilaterals.

    A side of such a rectangle lies along a side of the convex hull, so the directions of the sides
    and diagonals are all that need be tried.

    Args:
        corners: (N, 4, 2), in order around each quadrilateral or not.

    Returns:
        (N, 5) oriented boxes; of a rectangle, itself.

    Reference:
        Freeman & Shapira 1975, doi:10.1145/360881.360919.
    """
    sides = corners[:, _EDGES[:, 1]] - corners[:, _EDGES[:, 0]]  # (N, 6, 2)
    length = np.hypot(sides[..., 0], sides[..., 1])[..., None]
    along = np.divide(sides, length, out=np.zeros_like(sides), where=length > 0)
    along[..., 0] += length[..., 0] == 0  # any direction will do
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    places = np.stack([corners @ axis.swapaxes(1, 2) for axis in (along, across)])  # (2, N, 4, 6)
    low, high = places.min(axis=2), places.max(axis=2)
    best = np.argmin(np.prod(high - low, axis=0).round(9), axis=1)
    rows = np.arange(len(corners))
    middle, spans = ((low + high) / 2)[:, rows, best], (high - low)[:, rows, best]
    u, v = along[rows, best], across[rows, best]
    centre = middle[0, :, None] * u + middle[1, :, None] * v
    angle = np.arctan2(u[:, 1], u[:, 0])
    return with_longer_side_first(np.column_stack([centre, *spans, angle]))


def fit_outlines(outlines: Floats, owner: Ints) -> Floats:
    """Fit the rectangles of least area around outlines of any number of points.

    Args:
        outlines: (V, 2) points of all outlines, one after the other.
        owner: (V,) number of each point's outline, ascending from 0.

    Returns:
        (N, 5) oriented boxes.
    """
    counts = np.bincount(owner) if len(owner) else np.zeros(0, np.int64)
    starts = np.cumsum(counts) - counts
    fours = counts == 4
    fitted = np.zeros((len(counts), 5))
    fitted[fours] = fit_quads(outlines[starts[fours, None] + np.arange(4)])
    others = np.flatnonzero(~fours)
    clouds = [shapely.MultiPoint(outlines[starts[i] : starts[i] + counts[i]]) for i in others]
    if clouds:
        fitted[others] = fit_quads(np.stack([_quad_around(cloud) for cloud in clouds]))
    return fitted


def _quad_around(cloud: shapely.MultiPoint) -> Floats:
    """Return the corners of the rectangle around points, of which some may coincide: (4, 2)."""
    found: Floats = shapely.get_coordinates(shapely.oriented_envelope(cloud))
    return found[[0, 1, 2, 3]] if len(found) == 5 else found[[0, 0, -1, -1]]


def bounding_oriented(oriented: Floats, starts: Ints) -> Floats:
    """Fit the rectangles of least area around groups of boxes.

    Args:
        oriented: (N, 5) boxes, group after group.
        starts: (G,) first row of each group.

    Returns:
        (G, 5).
    """
    groups = np.zeros(len(oriented), np.int64)
    groups[starts[1:]] = 1
    owner = np.repeat(np.cumsum(groups), 4)
    return fit_outlines(oriented_corners(oriented).reshape(-1, 2), owner)


def extents_across(a: Floats, b: Floats) -> Floats:
    """Measure pairs of boxes across the longer one of each pair.

    Args:
        a: (P, 5).
        b: (P, 5).

    Returns:
        (P, 4) where the first box begins and ends, and where the second one does.
    """
    longer = np.where((a[:, 2] >= b[:, 2])[:, None], a, b)
    _, across = _axes(longer)
    places = [
        ((oriented_corners(each) - longer[:, None, :2]) * across).sum(axis=-1) for each in (a, b)
    ]
    return np.stack([f(axis=1) for p in places for f in (p.min, p.max)], axis=-1)


def map_oriented(oriented: Floats, matrix: Floats) -> Floats:
    """Map oriented boxes by a linear map: exact for turns, flips and zooms.

    A map that changes angles turns a rectangle into a parallelogram. The result then keeps the
    direction and the length of its longer side, and its area.

    Args:
        oriented: (N, 5).
        matrix: (2, 2) that maps column vectors.
    """
    along, _ = _axes(oriented)
    centre, ahead = oriented[:, :2] @ matrix.T, along[:, 0] @ matrix.T
    stretch = np.hypot(*ahead.T)
    area = abs(float(np.linalg.det(matrix)))
    length, width = oriented[:, 2] * stretch, oriented[:, 3] * area / stretch
    angle = np.arctan2(ahead[:, 1], ahead[:, 0])
    return with_longer_side_first(np.column_stack([centre, length, width, angle]))


def cut_oriented(oriented: Floats, width: float, height: float) -> Floats:
    """Cut boxes to what ``[0, width] x [0, height]`` shows of them, at the same angle.

    Args:
        oriented: (N, 5).
        width: Columns of the frame.
        height: Rows of the frame.

    Returns:
        (N, 5) the boxes of the same angles around what is visible, which may reach over the edge
        themselves; without area where nothing is visible.
    """
    bounds = hulls(oriented)
    reaches = np.any((bounds[:, :2] < 0) | (bounds[:, 2:] > [width, height]), axis=1)
    cut = oriented.copy()
    rows = np.flatnonzero(reaches)
    shapes = shapely.polygons(oriented_corners(oriented[rows]))
    seen = shapely.intersection(shapes, shapely.box(0, 0, width, height))
    for row, shape in zip(rows.tolist(), seen, strict=True):
        points = shapely.get_coordinates(shape) if shape.area > 0 else np.zeros((0, 2))
        cut[row] = _around(points, oriented[row])
    return with_longer_side_first(cut)


def _around(points: Floats, box: Floats) -> Floats:
    """Return the box of the same angle around points: (5,)."""
    if not len(points):
        return np.array([*box[:2], 0.0, 0.0, box[4]])
    cos, sin = math.cos(box[4]), math.sin(box[4])
    turn = np.array([[cos, sin], [-sin, cos]])  # to lengths and widths
    places = (points - box[:2]) @ turn.T
    low, high = places.min(axis=0), places.max(axis=0)
    return np.array([*(box[:2] + (low + high) / 2 @ turn), *(high - low), box[4]])


def shared_areas(a: Floats, b: Floats) -> Floats:
    """Compute the areas that pairs of oriented boxes share, exactly.

    In the frame of the second box, which is axis-aligned there, the area is the sum over the sides
    of the first one, with signs, of the integral of y, held between the edges of the second box,
    over the x between its other edges. No side needs be compared with another, so sides that
    coincide are no special case.

    Args:
        a: (P, 5).
        b: (P, 5).

    Returns:
        (P,) areas, at least 0.
    """
    turn, half = -b[:, 4], b[:, None, 2:4] / 2
    placed = np.column_stack([_turned(a[:, :2] - b[:, :2], turn), a[:, 2:4], a[:, 4] + turn])
    x, y = np.moveaxis(oriented_corners(placed), -1, 0)  # (P, 4) each
    across, up = np.roll(x, -1, axis=1) - x, np.roll(y, -1, axis=1) - y
    left = x.clip(-half[..., 0], half[..., 0])
    right = (x + across).clip(-half[..., 0], half[..., 0])
    begin, end = _share(left - x, across), _share(right - x, across)
    heights = _mean_between(y + begin * up, (end - begin) * up, half[..., 1])
    total: Floats = np.abs(((right - left) * heights).sum(axis=1))
    return total


def _turned(xy: Floats, angle: Floats) -> Floats:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * xy[:, 0] - sin * xy[:, 1], sin * xy[:, 0] + cos * xy[:, 1]], axis=-1)


def _share(part: Floats, whole: Floats) -> Floats:
    """Divide, 0 where the whole is 0, and keep the result between 0 and 1."""
    share: Floats = np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
    return share.clip(0, 1)


def _mean_between(first: Floats, step: Floats, most: Floats) -> Floats:
    """Compute the mean of values that rise evenly by a step, each held in [-most, most]."""
    bounds = _share(-most - first, step), _share(most - first, step)
    breaks = [np.zeros_like(first), np.minimum(*bounds), np.maximum(*bounds), np.ones_like(first)]
    held = [(first + at * step).clip(-most, most) for at in breaks]
    parts = [(held[i] + held[i + 1]) / 2 * (breaks[i + 1] - breaks[i]) for i in range(3)]
    mean: Floats = parts[0] + parts[1] + parts[2]
    return mean
