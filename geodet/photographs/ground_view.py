"""Map the pixels of a picture from above to places on flat ground."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Geod

from geodet.geometry.arrays import Floats
from geodet.geometry.boxes import box_corners

__all__ = ["GroundView", "to_stored"]

_EARTH = Geod(ellps="WGS84")
_AS_STORED = Affine.identity()


@dataclass(frozen=True)
class GroundView:
    """A camera above flat ground.

    The ground is taken to be level, as far below as the height says, and the lens to be without
    distortion, so places are approximate.

    Example:
        >>> view = GroundView(15.0, 45.0, height_m=100.0, focal_px=1000.0, width=400, height=300)
        >>> view.to_metres(np.array([[200.0, 150.0], [210.0, 150.0], [200.0, 140.0]])).round(9)
        array([[0., 0.], [1., 0.], [0., 1.]])
    """

    longitude: float
    """Longitude of the camera, in degrees of WGS 84."""
    latitude: float
    """Latitude of the camera, in degrees of WGS 84."""
    height_m: float
    """Metres of the camera above the ground."""
    focal_px: float
    """Focal length in pixels."""
    width: int
    """Columns of the picture as displayed."""
    height: int
    """Rows of the picture as displayed."""
    yaw: float = 0.0
    """Degrees clockwise from north to the side where the top of the picture is."""
    pitch: float = -90.0
    """Degrees of the camera above the horizon; -90: it looks straight down."""
    roll: float = 0.0
    """Degrees by which the camera is turned about its axis, clockwise as it looks."""
    stored: Affine = _AS_STORED
    """From displayed pixels to stored ones, see :func:`to_stored`."""

    def to_metres(self, xy: Floats) -> Floats:
        """Return where pixels lie, in metres east and north of the place below the camera.

        Args:
            xy: (..., 2) displayed pixels, continuous.

        Returns:
            (..., 2); NaN where a pixel shows no ground.
        """
        x, y = np.moveaxis(np.asarray(xy, np.float64), -1, 0)
        centre = self._to_stored(self.width / 2, self.height / 2)
        across, down = (
            at - middle for at, middle in zip(self._to_stored(x, y), centre, strict=True)
        )
        rays = np.stack([np.full(np.shape(x), self.focal_px), across, down], axis=-1)
        north, east, below = np.moveaxis(rays @ self._rotation.T, -1, 0)
        reach = np.divide(
            self.height_m, below, out=np.full(np.shape(below), np.nan), where=below > 0
        )
        return np.stack([east * reach, north * reach], axis=-1)

    def to_degrees(self, xy: Floats) -> Floats:
        """Return longitudes and latitudes of WGS 84, where :meth:`to_metres` returns metres."""
        east, north = np.moveaxis(self.to_metres(xy), -1, 0)
        azimuths = np.degrees(np.arctan2(east, north))
        lengths = np.hypot(east, north)
        here = np.full(np.shape(east), self.longitude), np.full(np.shape(east), self.latitude)
        longitudes, latitudes, _ = _EARTH.fwd(*here, azimuths, lengths)
        # They run on over the antimeridian, so that they are continuous within the picture.
        turned = (np.asarray(longitudes) - self.longitude + 180) % 360 - 180
        return np.stack([self.longitude + turned, np.asarray(latitudes)], axis=-1)

    def corners(self, boxes: Floats) -> Floats:
        """Return the corners of boxes in degrees: (N, 4, 2), in the order of ``box_corners``."""
        return self.to_degrees(box_corners(boxes))

    def areas(self, boxes: Floats) -> Floats:
        """Measure boxes (N, 4) on the ground in square metres: (N,)."""
        return self.quad_areas(box_corners(boxes))

    def quad_areas(self, corners: Floats) -> Floats:
        """Measure what (N, 4, 2) corners enclose on the ground, in square metres: (N,)."""
        x, y = np.moveaxis(self.to_metres(corners), -1, 0)
        crossed = x * np.roll(y, -1, axis=-1) - y * np.roll(x, -1, axis=-1)
        areas: Floats = np.abs(crossed.sum(axis=-1)) / 2
        return areas

    @property
    def footprint(self) -> Floats:
        """The corners of the picture in degrees: (4, 2)."""
        return np.asarray(self.corners(np.array([[0.0, 0.0, self.width, self.height]]))[0])

    def _to_stored(self, x: Floats | float, y: Floats | float) -> tuple[Floats, Floats]:
        a, b, c, d, e, f = self.stored[:6]
        return np.asarray(a * x + b * y + c), np.asarray(d * x + e * y + f)

    @cached_property
    def _rotation(self) -> NDArray[np.float64]:
        """From the camera's axes (ahead, right, down) to north, east and down: (3, 3)."""
        (cy, sy), (cp, sp), (cr, sr) = (
            (np.cos(angle), np.sin(angle))
            for angle in np.radians([self.yaw, self.pitch, self.roll])
        )
        about_down = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        about_right = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
        about_ahead = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
        turned: NDArray[np.float64] = about_down @ about_right @ about_ahead
        return turned


def to_stored(orientation: int, width: int, height: int) -> Affine:
    """Return the transform from displayed pixels to stored ones.

    Args:
        orientation: The EXIF orientation, 1 to 8; another number is taken for 1.
        width: Columns as stored.
        height: Rows as stored.
    """
    w, h = width, height
    turns = {
        2: Affine(-1, 0, w, 0, 1, 0),
        3: Affine(-1, 0, w, 0, -1, h),
        4: Affine(1, 0, 0, 0, -1, h),
        5: Affine(0, 1, 0, 1, 0, 0),
        6: Affine(0, 1, 0, -1, 0, h),
        7: Affine(0, -1, w, -1, 0, h),
        8: Affine(0, -1, w, 1, 0, 0),
    }
    return turns.get(orientation, Affine.identity())
