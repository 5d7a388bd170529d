"""Place a scene on the square map of the browser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from affine import Affine
from pyproj import CRS

from geodet.errors import VectorError
from geodet.geometry.arrays import Floats
from geodet.geometry.geobox import GeoBox

__all__ = ["TILE_PX", "MapFrame", "MercatorFrame", "OwnGridFrame", "choose_frame"]

TILE_PX = 512
"""Side of a tile in pixels; at zoom 0, the square is one tile."""

_MERCATOR = CRS.from_epsg(3857)
_ROUND = 40075016.685578488  # metres around the earth, the side of the square
_SQUARE = GeoBox(1, 1, Affine(_ROUND, 0, -_ROUND / 2, 0, -_ROUND, _ROUND / 2), _MERCATOR)
_FINEST_ZOOM = 22
_EMPTY_ZOOMS = 8  # zooms at which a scene in its own pixels is smaller than a tile


class MapFrame(ABC):
    """Maps the pixels of a scene to the square of the map, and back.

    The square is that of Web Mercator: u runs from 0 to 1 eastwards, v from 0 to 1 southwards. A
    tile ``z/x/y`` is its part from ``x / 2**z`` and ``y / 2**z`` on.

    Law: ``to_pixels(to_square(p)) == p``.
    """

    geobox: GeoBox
    """Geobox of the scene."""

    @abstractmethod
    def to_square(self, xy: Floats) -> Floats:
        """Map continuous pixels of the scene (..., 2) to u and v."""

    @abstractmethod
    def to_pixels(self, uv: Floats) -> Floats:
        """Map u and v (..., 2) to continuous pixels of the scene."""

    @property
    def native_zoom(self) -> float:
        """The zoom at which a pixel of a tile is as large as one of the scene, at its centre."""
        centre = np.array([self.geobox.width, self.geobox.height]) / 2
        at, right, below = self.to_square(centre + np.array([[0, 0], [1, 0], [0, 1]]))
        side = np.sqrt(np.hypot(*(right - at)) * np.hypot(*(below - at)))
        return float(-np.log2(side * TILE_PX))

    @property
    def finest_zoom(self) -> int:
        """The zoom of the finest tiles, at which no detail of the scene is lost."""
        return min(max(int(np.ceil(self.native_zoom - 0.01)), 0), _FINEST_ZOOM)

    def mesh(self, cells: int) -> Floats:
        """Return u and v of the nodes of a mesh over the scene: (cells + 1, cells + 1, 2).

        Args:
            cells: Columns and rows of the mesh; the first node is the scene's first corner.
        """
        steps = np.linspace(0, 1, cells + 1)
        x, y = np.meshgrid(steps * self.geobox.width, steps * self.geobox.height)
        return self.to_square(np.stack([x, y], axis=-1))


@dataclass(frozen=True)
class MercatorFrame(MapFrame):
    """The scene in Web Mercator, north up."""

    geobox: GeoBox

    def to_square(self, xy: Floats) -> Floats:
        """Map continuous pixels of the scene (..., 2) to u and v."""
        return _SQUARE.to_pixels(self.geobox.to_world(xy, _MERCATOR))

    def to_pixels(self, uv: Floats) -> Floats:
        """Map u and v (..., 2) to continuous pixels of the scene; infinite where there are none."""
        return self.geobox.to_pixels(_SQUARE.to_world(uv, self.geobox.crs))


@dataclass(frozen=True)
class OwnGridFrame(MapFrame):
    """The scene in its own pixels, with its first corner in the middle of the square."""

    geobox: GeoBox
    reason: str
    """Why it is not in Web Mercator."""

    @property
    def _side(self) -> float:
        """Pixels of the scene along the square."""
        longest = max(self.geobox.width, self.geobox.height) / TILE_PX
        zooms = max(int(np.ceil(np.log2(longest))), 0)
        return float(TILE_PX * 2 ** (zooms + _EMPTY_ZOOMS))

    def to_square(self, xy: Floats) -> Floats:
        """Map continuous pixels of the scene (..., 2) to u and v."""
        return np.asarray(xy, np.float64) / self._side + 0.5

    def to_pixels(self, uv: Floats) -> Floats:
        """Map u and v (..., 2) to continuous pixels of the scene."""
        return (np.asarray(uv, np.float64) - 0.5) * self._side


def choose_frame(geobox: GeoBox, *, own_grid: bool = False) -> MapFrame:
    """Choose Web Mercator for a scene, or its own pixels where Web Mercator has no place for it.

    Args:
        geobox: Geobox of the scene.
        own_grid: Whether its own pixels are wished.
    """
    if own_grid:
        return OwnGridFrame(geobox, "as wished")
    if geobox.crs is None:
        return OwnGridFrame(geobox, "the scene has no CRS")
    frame = MercatorFrame(geobox)
    return frame if _is_on_square(frame) else OwnGridFrame(geobox, _OUTSIDE)


_OUTSIDE = "the scene is near a pole, on the antimeridian, or not on the earth"


def _is_on_square(frame: MercatorFrame) -> bool:
    """Whether all of a scene lies on the square, and its pixels can be found from there."""
    try:
        nodes = frame.mesh(8)
        again = frame.to_pixels(nodes)
    except VectorError:
        return False
    size = np.array([frame.geobox.width, frame.geobox.height])
    expected = np.stack(np.meshgrid(*[np.linspace(0, 1, 9)] * 2), axis=-1) * size
    if not (np.isfinite(nodes).all() and np.isfinite(again).all()):
        return False
    is_inside = bool((nodes >= 0).all() and (nodes <= 1).all())
    return is_inside and bool(np.abs(again - expected).max() < 0.5)
