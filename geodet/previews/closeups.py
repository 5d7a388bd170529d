"""Cut small pictures of objects from an open scene, to look at one by one."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from geodet.geometry.arrays import Floats
from geodet.geometry.oriented_boxes import map_oriented
from geodet.geometry.windows import Window
from geodet.previews.stretch import Stretch
from geodet.previews.views import read_view
from geodet.raster.scene import Scene

__all__ = ["Closeup", "cut_closeups", "to_jpeg"]

_LEAST_SIDE = 40  # pixels of the scene around a small object
_CONTEXT = 3.0  # sides of the object in a picture
_MOST_SIDE = 224  # pixels of a picture
_OVERVIEW = 512  # pixels of the scene that values are stretched by
_QUALITY = 82


@dataclass(frozen=True, slots=True)
class Closeup:
    """A small picture of a place in a scene."""

    jpeg: bytes
    """The picture as a JPEG file."""
    width: int
    """Its width in pixels."""
    height: int
    """Its height in pixels."""
    window: Window
    """The window that it shows, in the scene's pixels."""

    def place(self, boxes: Floats) -> Floats:
        """Move (N, 4) boxes from the scene's pixels into those of the picture."""
        moved: Floats = (boxes - np.tile(self._offset, 2)) * np.tile(self._scale, 2)
        return moved

    def place_oriented(self, oriented: Floats) -> Floats:
        """Move (N, 5) oriented boxes from the scene's pixels into those of the picture."""
        return map_oriented(oriented - [*self._offset, 0, 0, 0], np.diag(self._scale))

    @property
    def _offset(self) -> Floats:
        return np.array([self.window.col_off, self.window.row_off], np.float64)

    @property
    def _scale(self) -> Floats:
        return np.array([self.width / self.window.width, self.height / self.window.height])


def cut_closeups(scene: Scene, boxes: Floats) -> Iterator[Closeup]:
    """Yield a picture of each box and what is around it, at most 224 pixels wide and high.

    Values that are not uint8 are stretched as in a preview of the whole scene.

    Args:
        scene: Reads the bands to show, see :func:`geodet.previews.preview.select_colours`.
        boxes: (N, 4) in the scene's pixels.

    Raises:
        SceneError: The scene cannot be read.
    """
    stretch: Stretch | None = None
    for box in boxes:
        window = _around(box, scene)
        shrink = min(1.0, _MOST_SIDE / max(window.width, window.height))
        size = (max(round(window.width * shrink), 1), max(round(window.height * shrink), 1))
        chip = scene.read_part(window, *size)
        if stretch is None:
            is_plain = scene.dtype == np.uint8
            stretch = Stretch.of(chip if is_plain else read_view(scene, None, _OVERVIEW).chip)
        yield Closeup(to_jpeg(Image.fromarray(stretch.to_rgb(chip))), *size, window)


def to_jpeg(image: Image.Image) -> bytes:
    """Return an image as a JPEG file."""
    file = io.BytesIO()
    image.convert("RGB").save(file, format="JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()


def _around(box: Floats, scene: Scene) -> Window:
    """Return the square around a box, moved into the scene, and cut where the scene is smaller."""
    side = max(math.ceil(_CONTEXT * float((box[2:] - box[:2]).max())), _LEAST_SIDE)
    x, y = (box[:2] + box[2:]) / 2
    left, width = _span_around(float(x), side, scene.geobox.width)
    top, height = _span_around(float(y), side, scene.geobox.height)
    return Window(left, top, width, height)


def _span_around(centre: float, side: int, length: int) -> tuple[int, int]:
    """Return the start and the length of a span around a place, within a whole length."""
    span = min(side, length)
    return min(max(round(centre - span / 2), 0), length - span), span
