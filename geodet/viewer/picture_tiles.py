"""The scene as tiles of pictures, each read when the browser requests it.

rio-tiler cuts tiles of rasters with a CRS. Scenes have any form that detection reads, with ground
control points or without a place, are turned as photographs are, and are stretched as a preview is:
so :class:`geodet.raster.scene.Scene` reads the pixels here as well.
"""

from __future__ import annotations

import io
import math
from concurrent.futures import Future
from threading import Thread

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geodet.geometry.arrays import Bools, Floats
from geodet.geometry.windows import Window
from geodet.previews.stretch import Stretch
from geodet.raster.chip import Chip
from geodet.raster.scene import Scene
from geodet.viewer.map_frame import TILE_PX, MapFrame

__all__ = ["PictureTiles", "tile_positions"]

_OVERVIEW_PX = 2048
_CELLS = 16  # of a mesh over a tile, between whose nodes places are interpolated
_RIM_PX = 2  # pixels of the scene around a tile, for interpolation at its edge


class PictureTiles:
    """Tiles of a scene, stretched as a preview of the whole scene is.

    :meth:`read` may be called from several threads. Tiles that are coarser than an overview of the
    scene are made from it, so that a scene without overviews is read as a whole only once. A thread
    reads the overview meanwhile, since this takes long where a large scene has none.

    Args:
        scene: Open, with the bands to show. It stays open as long as tiles are read; the overview
            that is being read when it is closed is not waited for.
        frame: Where the scene lies on the map.
    """

    def __init__(self, scene: Scene, frame: MapFrame) -> None:
        self._scene, self._frame = scene, frame
        width, height = scene.geobox.width, scene.geobox.height
        self._whole = Window(0, 0, width, height)
        self._overview_step = max(1.0, max(width, height) / _OVERVIEW_PX)
        self._overview: Future[tuple[Chip, Stretch]] = Future()
        Thread(target=self._read_overview, daemon=True).start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the overview is read; return whether it is.

        Args:
            seconds: At most so long; None: as long as it takes.

        Raises:
            SceneError: The scene cannot be read.
        """
        try:
            self._overview.result(seconds)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Wait until no thread reads the overview."""
        self._overview.exception()

    def read(self, z: int, x: int, y: int) -> bytes | None:
        """Return a tile as PNG, transparent where there is no data; None outside of the scene.

        It is None as well as long as the tile needs the overview, and that is not read.

        Raises:
            SceneError: This part of the scene cannot be read.
        """
        places = tile_positions(self._frame, z, x, y)
        part = self._part(places)
        if part is None:
            return None
        step = _pixels_per_step(places)
        if not self._overview.done() and (self._is_coarse(step) or self._has_stretch):
            return None
        chip, part = self._read_chip(part, step)
        return _to_png(*self._placed(chip, part, places))

    def _read_overview(self) -> None:
        whole, step = self._whole, self._overview_step
        size = max(round(whole.width / step), 1), max(round(whole.height / step), 1)
        try:
            chip = self._scene.read_part(whole, *size)
            self._overview.set_result((chip, Stretch.of(chip)))
        except Exception as error:
            self._overview.set_exception(error)

    def _is_coarse(self, step: float) -> bool:
        return 1 < self._overview_step <= step

    @property
    def _has_stretch(self) -> bool:
        """Whether values become brightness by how they are distributed; not those of bytes."""
        return self._scene.dtype != np.uint8

    def _part(self, places: Floats) -> Window | None:
        """Return the pixels of the scene that a tile needs, None without any."""
        if not np.isfinite(places).all():
            return None
        width, height = self._scene.geobox.width, self._scene.geobox.height
        low, high = places.min(axis=(0, 1)) - _RIM_PX, places.max(axis=(0, 1)) + _RIM_PX
        left, top = max(math.floor(low[0]), 0), max(math.floor(low[1]), 0)
        right, bottom = min(math.ceil(high[0]), width), min(math.ceil(high[1]), height)
        if left >= right or top >= bottom:
            return None
        return Window(left, top, right - left, bottom - top)

    def _read_chip(self, part: Window, step: float) -> tuple[Chip, Window]:
        """Read a part at the resolution of a tile, or return the overview of all of the scene."""
        if self._is_coarse(step):
            return self._overview.result()[0], self._whole
        if step <= 1:
            return self._scene.read_part(part, part.width, part.height), part
        size = math.ceil(part.width / step), math.ceil(part.height / step)
        return self._scene.read_part(part, *size), part

    def _placed(self, chip: Chip, part: Window, places: Floats) -> tuple[NDArray[np.uint8], Bools]:
        """Return the colours of a tile, and where it has data."""
        rows, columns = chip.valid.shape
        scale = np.array([columns / part.width, rows / part.height])
        at = ((places - [part.col_off, part.row_off]) * scale - 0.5).astype(np.float32)
        across, down = np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1])
        stretch = self._overview.result()[1] if self._has_stretch else Stretch.of(chip)
        rgb = stretch.to_rgb(chip)
        colours = cv2.remap(rgb, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        valid = chip.valid.astype(np.uint8)
        shown = cv2.remap(valid, across, down, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        size = [self._scene.geobox.width, self._scene.geobox.height]
        inside = ((places >= 0) & (places <= size)).all(axis=-1)
        return np.asarray(colours, np.uint8), np.asarray(inside & (shown > 0), np.bool_)


def tile_positions(frame: MapFrame, z: int, x: int, y: int) -> Floats:
    """Return where the centres of a tile's pixels lie in the pixels of the scene: (512, 512, 2).

    Between the nodes of a mesh they are interpolated, which is exact for the scene's own grid and
    errs by less than a hundredth of a tile's pixel elsewhere.
    """
    steps = np.linspace(0, 1, _CELLS + 1)
    u, v = np.meshgrid((x + steps) / 2**z, (y + steps) / 2**z)
    nodes = frame.to_pixels(np.stack([u, v], axis=-1))
    at = (np.arange(TILE_PX) + 0.5) / TILE_PX * _CELLS
    first = np.minimum(at.astype(int), _CELLS - 1)
    weights = np.zeros((TILE_PX, _CELLS + 1))
    rows = np.arange(TILE_PX)
    weights[rows, first], weights[rows, first + 1] = 1 - (at - first), at - first
    with np.errstate(invalid="ignore"):  # of places that the CRS of the scene does not have
        places: Floats = np.einsum("ia,abk,jb->ijk", weights, nodes, weights, optimize=True)
    return places


def _pixels_per_step(places: Floats) -> float:
    """Return how many pixels of the scene a pixel of a tile covers, along its shorter side."""
    middle = TILE_PX // 2
    right = places[middle, middle + 1] - places[middle, middle]
    below = places[middle + 1, middle] - places[middle, middle]
    return float(min(np.hypot(*right), np.hypot(*below)))


def _to_png(colours: NDArray[np.uint8], shown: Bools) -> bytes:
    image = Image.fromarray(colours)
    if not shown.all():
        image.putalpha(Image.fromarray(shown.astype(np.uint8) * 255))
    file = io.BytesIO()
    image.save(file, format="PNG", compress_level=1)  # it goes no farther than this machine
    return file.getvalue()
