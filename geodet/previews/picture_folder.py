"""A folder with a picture of each scene and the objects in it, for looking through them fast."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from geodet.files.outputs import raising_output_errors, replacing
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.previews.marks import draw_objects
from geodet.previews.picture_options import (
    PICTURE_SUFFIXES,
    PictureFormat,
    PictureOptions,
)
from geodet.previews.stretch import Stretch
from geodet.previews.views import SceneView, read_view, to_image
from geodet.raster.scene import Scene

__all__ = ["draw_pictures"]

_SAVING: Mapping[PictureFormat, dict[str, Any]] = {
    "jpeg": {"quality": 85},
    "png": {"compress_level": 1},  # three times as fast as usual, for a tenth more bytes
    "webp": {"quality": 80, "method": 1},
}
_LARGEST = {"jpeg": 65_500, "png": 2**31 - 1, "webp": 16_383}  # sides that the formats have


def draw_pictures(
    folder: Path,
    stem: str,
    scene: Scene,
    detections: Detections,
    options: PictureOptions,
) -> list[Path]:
    """Draw the objects of a scene into pictures: one of a photograph, tiles of any other scene.

    Pictures have no legend, and nothing else than boxes. A photograph is reduced to the longest
    side of a picture. A scene with a georeference is cut into tiles at its own resolution, whose
    names end in the column and the row of their upper left corners. Pictures of an earlier run in
    the same folder are removed.

    Args:
        folder: Created if it is not there.
        stem: What the names of the pictures begin with.
        scene: Open, with the bands to be shown selected.
        detections: Boxes in the scene's pixels.
        options: Format, size, and whether pictures without objects are drawn.

    Returns:
        The pictures, in order.

    Raises:
        OutputError: A picture cannot be written.
        SceneError: The scene cannot be read.
    """
    with raising_output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _remove_earlier(folder, stem, options.format)
    stretch = None if scene.dtype == np.uint8 else Stretch.of(read_view(scene, None, 1024).chip)
    drawn = []
    for name, window in _iter_windows(scene, stem, options.max_side):
        inside = detections if window is None else _overlapping(detections, window)
        if options.only_with_objects and not len(inside):
            continue
        view = read_view(scene, window, _side(options))
        path = folder / f"{name}{PICTURE_SUFFIXES[options.format]}"
        _save(path, _draw(view, inside, stretch), options.format)
        drawn.append(path)
    return drawn


def _side(options: PictureOptions) -> int:
    return min(options.max_side, _LARGEST[options.format])


def _iter_windows(scene: Scene, stem: str, side: int) -> Iterator[tuple[str, Window | None]]:
    """Yield the name and the window of each picture; no window for the whole of a photograph."""
    width, height = scene.geobox.width, scene.geobox.height
    if scene.geobox.crs is None or max(width, height) <= side:
        yield stem, None
        return
    for row in range(0, height, side):
        for column in range(0, width, side):
            size = min(side, width - column), min(side, height - row)
            yield f"{stem}_{column}_{row}", Window(column, row, *size)


def _overlapping(detections: Detections, window: Window) -> Detections:
    x1, y1, x2, y2 = detections.boxes.T
    columns = (x2 > window.col_off) & (x1 < window.col_end)
    return detections.select(columns & (y2 > window.row_off) & (y1 < window.row_end))


def _draw(view: SceneView, detections: Detections, stretch: Stretch | None) -> Image.Image:
    chip = view.chip
    if chip.valid.all():  # without the checkers of no data, which take longer than all else
        image = Image.fromarray((stretch or Stretch.of(chip)).to_rgb(chip))
    else:
        image = to_image(chip, max(chip.valid.shape), stretch)
    draw_objects(image, view.place(detections, image.size))
    return image


def _save(path: Path, image: Image.Image, format: PictureFormat) -> None:
    with replacing(path) as temporary:
        image.save(temporary, format=format, **_SAVING[format])


def _remove_earlier(folder: Path, stem: str, format: PictureFormat) -> None:
    """Remove the pictures of a scene of an earlier run, of which this one may draw fewer."""
    name = re.compile(re.escape(stem) + r"(_\d+_\d+)?" + re.escape(PICTURE_SUFFIXES[format]))
    for path in list(folder.iterdir()):
        if name.fullmatch(path.name):
            path.unlink()
