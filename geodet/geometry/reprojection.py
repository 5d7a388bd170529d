"""Reprojection of polygons to the pixels of a raster; edges that become curves are densified."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geodet.errors import VectorError
from geodet.geometry.arrays import Floats
from geodet.geometry.full_turns import full_turn, move_beside
from geodet.geometry.geobox import GeoBox, find_transformer

__all__ = [
    "Shapes",
    "only_polygons",
    "pixel_map",
    "polygons_to_pixels",
    "raster_bounds",
]

Shapes = NDArray[np.object_]
_Map = Callable[[Floats], Floats]

_TOLERANCE = 0.01  # pixels between a curve and its chords
_HALVINGS = 24  # of an edge, at most; one as long as the equator comes down to metres
_SIDE = 21  # points along a side that stand for a raster
_MARGIN = 0.1  # of the raster's size, on each side


def polygons_to_pixels(polygons: Shapes, crs: CRS | None, geobox: GeoBox) -> Shapes:
    """Map polygons to the pixels of a raster, cut to its surroundings.

    An edge is straight in the CRS of the polygons and a curve in another, so it gets as many
    vertices as keep it within a hundredth of a pixel. What is far from the raster is cut off first:
    the raster's CRS need not be defined there, as UTM is not for the whole world. Longitudes
    that differ by a full turn are the same.

    Args:
        polygons: (N,) valid polygons.
        crs: CRS of the polygons; None: that of the raster.
        geobox: Geobox of the raster.

    Returns:
        (M,) valid polygons in continuous pixel coordinates; they may overlap.

    Raises:
        VectorError: There is no transformation between the CRSs, or it is not defined at a vertex.
    """
    near = _cut(polygons, raster_bounds(geobox, crs), full_turn(crs or geobox.crs))
    forward = pixel_map(crs, geobox)
    rings, owner = shapely.get_rings(near, return_index=True)
    if not len(rings):
        return near
    vertices, ring = shapely.get_coordinates(rings, return_index=True)
    pixels, ring = _map_rings(vertices, ring, forward, curved=not _is_same(crs, geobox.crs))
    if not np.isfinite(pixels).all():
        raise VectorError(
            f"{_name(geobox.crs)} is not defined at some vertices of the area",
            hint="cut the area to the surroundings of the scene, or save it in the scene's CRS",
        )
    mapped = shapely.polygons(shapely.linearrings(pixels, indices=ring), indices=owner)
    return only_polygons(mapped)


def only_polygons(shapes: Shapes) -> Shapes:
    """Repair shapes and return the polygons in them, without points and lines: (M,)."""
    flat = shapely.force_2d(shapes)
    valid = shapely.is_valid(flat)  # quicker than to repair what is whole
    repaired = np.concatenate([flat[valid], shapely.make_valid(flat[~valid])])
    parts = shapely.get_parts(shapely.get_parts(repaired))
    kinds = shapely.get_type_id(parts)
    polygons: Shapes = parts[(kinds == shapely.GeometryType.POLYGON) & ~shapely.is_empty(parts)]
    return polygons


def raster_bounds(geobox: GeoBox, crs: CRS | None) -> Floats:
    """Return the extent of a raster in a CRS.

    Args:
        geobox: Geobox of the raster.
        crs: Another CRS; None: the raster's own.

    Returns:
        (4,) x1 y1 x2 y2, not finite where the CRS is not defined for the whole raster. In degrees
        they run on over the antimeridian: 179 to 181.

    Raises:
        VectorError: There is no transformation between the CRSs.
    """
    steps = np.linspace(0, 1, _SIDE)
    grid = np.stack(np.meshgrid(steps * geobox.width, steps * geobox.height), axis=-1)
    pixels = grid.reshape(-1, 2)
    places = _backward(crs, geobox)(pixels)
    turn = 0.0 if _is_same(crs, geobox.crs) else full_turn(crs)
    places = move_beside(places, places[len(places) // 2, 0], turn)
    with np.errstate(invalid="ignore"):
        astray = np.abs(pixel_map(crs, geobox)(places) - pixels).max()
    # Far outside of its area a projection can give numbers that mean nothing.
    if not astray < 1 + 1e-3 * max(geobox.width, geobox.height):
        return np.full(4, np.nan)
    return np.hstack([places.min(axis=0), places.max(axis=0)])


def pixel_map(crs: CRS | None, geobox: GeoBox) -> _Map:
    """Return the map from a CRS to the pixels of a raster: of (V, 2) places, one by one.

    Args:
        crs: The CRS; None: the raster's.
        geobox: Geobox of the raster.

    Returns:
        A function whose results are not finite where the raster's CRS has no place.

    Raises:
        VectorError: There is no transformation between the CRSs.
    """
    if crs is None or geobox.crs is None or not geobox.needs_transformation(crs):
        return geobox.to_pixels
    transform = _transform(crs, geobox.crs)
    centre = geobox.to_world(np.array([geobox.width, geobox.height]) / 2)
    turn = full_turn(geobox.crs)

    def forward(xy: Floats) -> Floats:
        with np.errstate(invalid="ignore"):  # infinite where the CRS has no place
            return geobox.to_pixels(move_beside(transform(xy), centre[0], turn))

    return forward


def _cut(polygons: Shapes, bounds: Floats, turn: float) -> Shapes:
    """Cut polygons to the surroundings of some bounds, in any turn of the globe."""
    if not np.isfinite(bounds).all():
        return polygons
    margin = _MARGIN * (bounds[2:] - bounds[:2]).max()
    x1, y1, x2, y2 = bounds + np.array([-margin, -margin, margin, margin])
    turned = [_moved(polygons, shift) for shift in (-turn, turn)] if turn else []
    copies = np.concatenate([polygons, *turned])
    left, bottom, right, top = shapely.bounds(copies).T
    near = (left <= x2) & (right >= x1) & (bottom <= y2) & (top >= y1)
    whole = (left >= x1) & (right <= x2) & (bottom >= y1) & (top <= y2)
    cut = shapely.intersection(copies[near & ~whole], shapely.box(x1, y1, x2, y2))
    return np.concatenate([copies[whole], only_polygons(cut)])


def _moved(polygons: Shapes, shift: float) -> Shapes:
    moved: Shapes = shapely.transform(polygons, lambda xy: xy + np.array([shift, 0.0]))
    return moved


def _map_rings(
    vertices: Floats, ring: NDArray[np.intp], forward: _Map, *, curved: bool
) -> tuple[Floats, NDArray[np.intp]]:
    """Map the vertices of rings, with more of them where an edge becomes a curve.

    Args:
        vertices: (V, 2) of all the rings.
        ring: (V,) the ring of each vertex.
        forward: The map.
        curved: Whether the map may bend edges.

    Returns:
        (W, 2) mapped vertices and (W,) their rings.
    """
    mapped = forward(vertices)
    edges = np.flatnonzero(ring[1:] == ring[:-1]) if curved else np.zeros(0, np.intp)
    for _ in range(_HALVINGS):
        ends = np.isfinite(mapped[edges] + mapped[edges + 1]).all(axis=1)
        edges = edges[ends]  # the others have no curve to follow
        bent = edges[_sagitta(vertices, mapped, edges, forward) > _TOLERANCE]
        if not len(bent):
            break
        middle = (vertices[bent] + vertices[bent + 1]) / 2
        vertices = np.insert(vertices, bent + 1, middle, axis=0)
        mapped = np.insert(mapped, bent + 1, forward(middle), axis=0)
        ring = np.insert(ring, bent + 1, ring[bent])
        first = bent + np.arange(len(bent))  # each insertion pushes the later ones on
        edges = np.stack([first, first + 1], axis=1).ravel()
    return mapped, ring


def _sagitta(vertices: Floats, mapped: Floats, edges: NDArray[np.intp], forward: _Map) -> Floats:
    """Measure how far the mapped edges are from straight: (E,) pixels.

    At three places, since a curve that winds both ways may cross its chord in the middle.
    """
    most = np.zeros(len(edges))
    for t in (0.25, 0.5, 0.75):
        here = (1 - t) * vertices[edges] + t * vertices[edges + 1]
        chord = (1 - t) * mapped[edges] + t * mapped[edges + 1]
        most = np.fmax(most, np.linalg.norm(forward(here) - chord, axis=1))
    return most


def _backward(crs: CRS | None, geobox: GeoBox) -> _Map:
    """Return the map from the pixels of a raster to a CRS."""
    if crs is None or geobox.crs is None or not geobox.needs_transformation(crs):
        return geobox.to_world
    transform = _transform(geobox.crs, crs)
    return lambda pixels: transform(geobox.to_world(pixels))


def _is_same(a: CRS | None, b: CRS | None) -> bool:
    return a is None or b is None or bool(a.equals(b, ignore_axis_order=True))


def _transform(source: CRS, target: CRS) -> _Map:
    transformer = find_transformer(source, target)

    def transform(xy: Floats) -> Floats:
        moved: Floats = np.stack(transformer.transform(xy[:, 0], xy[:, 1]), axis=-1)
        return moved

    return transform


def _name(crs: CRS | None) -> str:
    return "the scene" if crs is None else str(crs.name)
