"""One picture of several scenes: a mosaic on the ground, or a sheet of the pictures themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pyproj import CRS

from geodet.errors import SceneError
from geodet.files.outputs import check_destination, replacing
from geodet.geometry.arrays import Floats
from geodet.geometry.boxes import Detections
from geodet.geometry.full_turns import full_turn, move_beside, turns_together
from geodet.geometry.geobox import GeoBox
from geodet.geometry.oriented_boxes import fit_quads
from geodet.geometry.scene_detections import SceneDetections
from geodet.previews.footer import ClassCount, ScaleBar, with_footer
from geodet.previews.lettering import letter, width_of
from geodet.previews.marks import draw_density, draw_objects, is_crowded, is_dot
from geodet.previews.stretch import Stretch
from geodet.raster.scene import Scene
from geodet.vector.palette import class_colour

__all__ = ["OverviewScene", "draw_overview"]

_GROUND = (236, 236, 236)  # where no scene is
_SMALLEST_CELL, _LARGEST_CELL = 64, 512
_GAP = 6
_CAPTION = 14
_FINER = 1.5  # pixels that are read of a scene, along each side, per pixel of the mosaic


@dataclass(frozen=True, slots=True)
class OverviewScene:
    """A scene of an overview."""

    found: SceneDetections
    """The scene's name and geobox, and the objects in it."""
    open: Callable[[], Scene]
    """Opens it with the bands that are shown."""


def draw_overview(
    path: Path,
    scenes: Sequence[OverviewScene],
    classes: Sequence[str],
    *,
    crs: CRS | None,
    max_side: int = 2048,
    overwrite: bool = False,
) -> None:
    """Draw several scenes and their objects into one PNG, with a legend.

    Scenes with a CRS lie where they are on the ground; where several overlap, the first is shown.
    Pictures without one are arranged in rows, each with its name and the number of its objects.

    Args:
        path: Ends in ``.png``; appears when it is complete.
        scenes: At least one; opened one after another.
        classes: Names of the classes, by label.
        crs: CRS of the mosaic; None: the scenes have none.
        max_side: Longest side of the mosaic, and width of the sheet, in pixels.
        overwrite: Replace an existing file.

    Raises:
        OutputError: The file exists or cannot be written.
        SceneError: A scene cannot be read.
    """
    check_destination(path, (".png",), overwrite=overwrite)
    every = Detections.concatenate([scene.found.detections for scene in scenes])
    counts = _count(every, classes)
    if crs is None or any(scene.found.geobox.crs is None for scene in scenes):
        title, image, scale = "pictures", _draw_sheet(scenes, max_side), ScaleBar("", 0)
    else:
        frame = _frame_around([scene.found.geobox for scene in scenes], crs, max_side)
        title, image = "scenes", _draw_mosaic(scenes, frame)
        scale = ScaleBar.fitting(frame.ground_resolution, frame.width, frame.width)
    picture = with_footer(image, f"{len(scenes)} {title}", counts, scale)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def _count(every: Detections, classes: Sequence[str]) -> list[ClassCount]:
    counts = np.bincount(every.labels, minlength=len(classes)).tolist()
    return [
        ClassCount(classes[label], count, class_colour(label))
        for label, count in enumerate(counts)
        if count
    ]


def _frame_around(geoboxes: Sequence[GeoBox], crs: CRS, max_side: int) -> GeoBox:
    """Return the grid of a mosaic of at most ``max_side`` pixels, no finer than its scenes."""
    bounds = np.stack([_bounds(geobox, crs) for geobox in geoboxes])
    bounds[..., 0] += turns_together(bounds[..., 0], crs)
    is_known = np.isfinite(bounds).all(axis=(1, 2))
    corners = bounds[is_known].reshape(-1, 2)
    if not len(corners):
        raise SceneError(
            f"the scenes lie outside of {crs.name}", hint="draw each by itself: --preview FOLDER/"
        )
    (left, bottom), (right, top) = corners.min(axis=0), corners.max(axis=0)
    sides = np.array([[geobox.width, geobox.height] for geobox in geoboxes])[is_known]
    finest = ((bounds[is_known, 1] - bounds[is_known, 0]) / sides).min()
    step = max(right - left, top - bottom, finest * max_side) / max_side
    size = (max(math.ceil((right - left) / step), 1), max(math.ceil((top - bottom) / step), 1))
    return GeoBox(*size, Affine(step, 0, left, 0, -step, top), crs)


def _bounds(geobox: GeoBox, crs: CRS) -> NDArray[np.float64]:
    """Return the lower left and the upper right corner of a scene in a CRS: (2, 2)."""
    world = geobox.corners(np.array([[0.0, 0.0, geobox.width, geobox.height]]), crs)[0]
    return np.stack([world.min(axis=0), world.max(axis=0)])


def _moved_to(geobox: GeoBox, world: Floats) -> Floats:
    """Move places (..., 2) by full turns to the side of the globe where a raster lies."""
    middle = geobox.to_world(np.array([geobox.width, geobox.height]) / 2)[0]
    return move_beside(world, middle, full_turn(geobox.crs))


def _draw_mosaic(scenes: Sequence[OverviewScene], frame: GeoBox) -> Image.Image:
    pixels = np.full((frame.height, frame.width, 3), _GROUND, np.uint8)
    is_free = np.ones((frame.height, frame.width), np.bool_)
    for scene in scenes:
        _add_scene(pixels, is_free, scene, frame)
    image = Image.fromarray(pixels)
    shown = Detections.concatenate([_place(scene.found, frame) for scene in scenes])
    shown = shown.select(np.argsort(shown.scores, kind="stable"))
    are_dots = is_dot(shown)
    if is_crowded(shown.select(are_dots), image.size):
        draw_density(image, shown.select(are_dots))
        shown = shown.select(~are_dots)
    draw_objects(image, shown)
    return image


def _add_scene(
    pixels: NDArray[np.uint8], is_free: NDArray[np.bool_], scene: OverviewScene, frame: GeoBox
) -> None:
    """Add a scene to a mosaic, where it is still free."""
    geobox = scene.found.geobox
    assert frame.crs is not None
    (x1, y2), (x2, y1) = frame.to_pixels(_moved_to(frame, _bounds(geobox, frame.crs)))
    if not np.isfinite([x1, y1, x2, y2]).all():
        return
    left, top = max(int(x1), 0), max(int(y1), 0)
    right, bottom = min(math.ceil(x2), frame.width), min(math.ceil(y2), frame.height)
    with scene.open() as raster:
        chip = raster.read_overview(max(16, round(max(x2 - x1, y2 - y1) * _FINER)))
        rgb = Stretch.of(chip).to_rgb(chip)
    y, x = np.mgrid[top:bottom, left:right] + 0.5
    world = frame.to_world(np.stack([x, y], axis=-1), geobox.crs)
    own = geobox.to_pixels(_moved_to(geobox, world))
    with np.errstate(invalid="ignore"):
        scaled = own * [rgb.shape[1] / geobox.width, rgb.shape[0] / geobox.height]
    is_inside = np.isfinite(scaled).all(axis=-1)
    is_inside &= ((scaled >= 0) & (scaled < [rgb.shape[1], rgb.shape[0]])).all(axis=-1)
    columns, rows = np.where(is_inside[..., None], scaled, 0).astype(np.intp).transpose(2, 0, 1)
    is_shown = is_inside & chip.valid[rows, columns] & is_free[top:bottom, left:right]
    pixels[top:bottom, left:right][is_shown] = rgb[rows, columns][is_shown]
    is_free[top:bottom, left:right][is_shown] = False


def _place(found: SceneDetections, frame: GeoBox) -> Detections:
    """Move the boxes of a scene into the pixels of a mosaic, axis-aligned ones as their bounds."""
    world = found.geobox.to_world(found.detections.corners, frame.crs)
    corners = frame.to_pixels(_moved_to(frame, world))
    is_known = np.asarray(np.isfinite(corners).all(axis=(1, 2)), np.bool_)
    kept, corners = found.detections.select(is_known), corners[is_known]
    if kept.oriented is not None:
        return Detections.of_oriented(fit_quads(corners), kept.scores, kept.labels)
    boxes = np.hstack([corners.min(axis=1), corners.max(axis=1)])
    return Detections(boxes, kept.scores, kept.labels)


def _draw_sheet(scenes: Sequence[OverviewScene], width: int) -> Image.Image:
    """Draw pictures in rows, each with a caption."""
    columns = math.ceil(math.sqrt(len(scenes)))
    sides = [max(scene.found.geobox.width, scene.found.geobox.height) for scene in scenes]
    largest = min(_LARGEST_CELL, max(sides) + _GAP)
    cell = min(max(width // columns, _SMALLEST_CELL), largest)
    columns = min(columns, max(width // cell, 1))
    thumbs = [_draw_thumb(scene, cell - _GAP) for scene in scenes]
    rows = [thumbs[first : first + columns] for first in range(0, len(thumbs), columns)]
    heights = [max(thumb.height for thumb in row) + _GAP for row in rows]
    sheet = Image.new("RGB", (columns * cell, sum(heights)), _GROUND)
    top = _GAP // 2
    for row, height in zip(rows, heights, strict=True):
        for column, thumb in enumerate(row):
            sheet.paste(thumb, (column * cell + (cell - thumb.width) // 2, top))
        top += height
    return sheet


def _draw_thumb(scene: OverviewScene, side: int) -> Image.Image:
    """Draw a small picture with its objects, and its name and their number below it."""
    found = scene.found
    with scene.open() as raster:
        chip = raster.read_overview(side)
    image = Image.fromarray(Stretch.of(chip).to_rgb(chip))
    scale = image.width / found.geobox.width, image.height / found.geobox.height
    draw_objects(image, found.detections.scaled(*scale))
    thumb = Image.new("RGB", (image.width, image.height + _CAPTION), _GROUND)
    thumb.paste(image)
    text = f"{Path(found.scene).name}: {len(found.detections)}"
    while len(text) > 1 and width_of(text, _CAPTION - 4) > image.width:
        text = text[1:]  # the end of a name tells pictures apart, and the number follows
    lettering, draw = letter(text), ImageDraw.Draw(thumb)
    font = lettering.font(_CAPTION - 4)
    draw.text((1, image.height + 1), lettering.text, (60, 60, 60), font)
    return thumb
