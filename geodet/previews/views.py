"""Read what a picture shows: a part of a scene, and the objects of a vector file in its pixels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from geodet.files.shown_names import shown_name
from geodet.geometry.arrays import Bools, Floats
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.previews.stretch import Stretch
from geodet.raster.chip import Chip
from geodet.raster.scene import Scene
from geodet.tilesets.arrow_objects import read_arrow_objects
from geodet.tilesets.scene_labels import read_scored_objects
from geodet.tilesets.unplaced_labels import check_objects_have_place
from geodet.vector.extents import compare_file_extent
from geodet.vector.formats import path_of
from geodet.vector.stored_styles import read_classes
from geodet.vector.vector_files import read_fields

__all__ = ["SceneObjects", "SceneView", "read_objects", "read_view", "to_image", "warn_of_miss"]

_ENLARGED_SIDE = 1024
"""Smaller images are enlarged by a whole factor up to this side."""
_STRIP_ROWS = 2048
"""Rows of the scene that are read at once, which limits the memory."""


def to_image(chip: Chip, max_side: int, stretch: Stretch | None = None) -> Image.Image:
    """Return an image of a chip, enlarged by a whole factor if it is small.

    The first three bands are red, green and blue; a chip with fewer is grey. Values that are not
    uint8 are stretched between their percentiles 2 and 98. Light checkers stand for no data.

    Args:
        chip: The pixels.
        max_side: The longest side that an enlarged image may have, in pixels.
        stretch: How values become brightness; None: as above.
    """
    image = Image.fromarray((stretch or Stretch.of(chip)).to_rgb(chip))
    factor = max(1, min(_ENLARGED_SIDE, max_side) // max(image.size))
    size = (image.width * factor, image.height * factor)
    image = image.resize(size, Image.Resampling.BICUBIC)
    valid = Image.fromarray(chip.valid).resize(size, Image.Resampling.NEAREST)
    return Image.composite(image, _checkers(size), valid)


def _checkers(size: tuple[int, int]) -> Image.Image:
    """Return an image of light checkers."""
    side = max(8, max(size) // 128)
    columns, rows = np.arange(size[0]) // side, np.arange(size[1]) // side
    grey = np.where((columns[None, :] + rows[:, None]) % 2, 222, 240).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


@dataclass(frozen=True, slots=True)
class SceneView:
    """A part of a scene and its pixels at the resolution of a picture.

    Law: mapping the scene to an image of the view rounds nothing. The view begins and ends at
    edges of its own pixels, which may lie a fraction of a pixel beside the wanted window.
    """

    chip: Chip
    """The pixels, as a window of a coarser grid over the scene."""
    left: float
    """First column, in continuous pixels of the scene."""
    top: float
    """First row, in continuous pixels of the scene."""
    width: float
    """Width in pixels of the scene."""
    height: float
    """Height in pixels of the scene."""

    def place(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Move boxes into an image of the view, and leave out those outside of it.

        Args:
            detections: Boxes in the scene's pixels.
            size: Width and height of the image.

        Returns:
            Boxes in the image's pixels, by increasing score.
        """
        moved = detections.shifted(-self.left, -self.top)
        moved = moved.scaled(size[0] / self.width, size[1] / self.height)
        x1, y1, x2, y2 = moved.boxes.T
        seen = np.flatnonzero((x2 >= 0) & (y2 >= 0) & (x1 <= size[0]) & (y1 <= size[1]))
        return moved.select(seen[np.argsort(moved.scores[seen], kind="stable")])


def read_view(scene: Scene, window: Window | None, max_side: int) -> SceneView:
    """Read a part of a scene, reduced to at most ``max_side`` pixels on its longer side.

    Args:
        scene: Its grid is as before afterwards.
        window: Part of the scene, in the scene's pixels; None: all of it.
        max_side: Longest side in pixels.

    Raises:
        SceneError: The scene cannot be read.
        ValueError: The window is not within the scene.
    """
    width, height = scene.geobox.width, scene.geobox.height
    if window is None and not scene.skips_damage:
        return SceneView(scene.read_overview(max_side), 0, 0, width, height)
    window = window or Window(0, 0, width, height)  # in strips, which can be left blank alone
    if min(window.col_off, window.row_off) < 0 or window.col_end > width or window.row_end > height:
        raise ValueError(f"{window} is not within {scene.name}, {width} x {height} px")
    shrink = min(1.0, max_side / max(window.width, window.height))
    before = scene.grid
    scene.resample(round(width * shrink), round(height * shrink))
    try:
        sx, sy = scene.scale
        col_off, columns = _span(window.col_off / sx, window.col_end / sx, max_side)
        row_off, rows = _span(window.row_off / sy, window.row_end / sy, max_side)
        chip = _read_strips(scene, Window(col_off, row_off, columns, rows))
    finally:
        scene.resample(*before)
    return SceneView(chip, col_off * sx, row_off * sy, columns * sx, rows * sy)


def _span(start: float, end: float, longest: int) -> tuple[int, int]:
    """Return the start and the length of a span in whole pixels."""
    first = int(start)
    return first, min(max(round(end) - first, 1), longest)


def _read_strips(scene: Scene, window: Window) -> Chip:
    """Read a window of the grid, strip after strip."""
    rows = max(int(_STRIP_ROWS / scene.scale[1]), 1)
    starts = range(window.row_off, window.row_end, rows)
    strips = [
        scene.read(Window(window.col_off, row, window.width, min(rows, window.row_end - row)))
        for row in starts
    ]
    return Chip(
        window,
        np.concatenate([strip.pixels for strip in strips], axis=1),
        np.concatenate([strip.valid for strip in strips]),
    )


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SceneObjects:
    """Objects of a vector file in the pixels of a scene."""

    detections: Detections
    """Bounds of the objects in the scene's pixels; a point has no extent."""
    classes: tuple[str, ...]
    """Names of the classes, by label."""
    attributes: Any = None
    """The attributes of each object as rows of a frame or of a table of Arrow; None without
    objects."""
    has_scores: bool = True
    """Whether the file has scores; they are 1 where it has none."""


def read_objects(path: Path, scene: Scene, *, score_field: str | None = None) -> SceneObjects:
    """Read the objects of a vector file by their geometry, in the scene or outside of it.

    If the file has a style of geodet's, the classes keep its order and so their colours; other
    classes follow by name. If the scene has no CRS, objects that belong to another scene by their
    attribute ``scene`` are left out, since all scenes without a CRS share coordinates.

    Args:
        path: A file with one layer of points or polygons, in any CRS. The class is ``label``,
            ``class`` or ``name``, if there is one; otherwise ``object``.
        scene: The scene whose pixels the boxes are in.
        score_field: Attribute with the score; None: ``score`` if there is one; empty: every object
            has score 1.

    Raises:
        VectorError: The file cannot be read, has no such scores, or is in a CRS while the scene has
            no geotransform to its own.
    """
    check_objects_have_place(path, scene.path, scene.unplaced_crs)
    if score_field is None:
        score_field = "score" if "score" in read_fields(path) else ""
    quick = read_arrow_objects(path, scene.geobox, score_field=score_field)
    if quick is None:
        return _read_others(path, scene, score_field)
    classes = _order_classes(path, quick.names)
    has_scores = bool(score_field)
    labels = np.array([classes.index(name) for name in quick.names], np.int64)[quick.places]
    scores = quick.scores.astype(np.float32)
    detections = Detections(quick.boxes, scores, labels, quick.oriented)
    placed = _have_place(quick.boxes, path)
    if placed.all():
        return SceneObjects(detections, classes, quick.attributes, has_scores)
    attributes = quick.attributes.filter(placed)
    return SceneObjects(detections.select(placed), classes, attributes, has_scores)


def _read_others(path: Path, scene: Scene, score_field: str) -> SceneObjects:
    """Read objects of any shapes."""
    found = read_scored_objects(path, scene.geobox.crs, score_field=score_field, is_shown=True)
    boxes = found.objects.to_pixels(scene.geobox)
    placed = _have_place(boxes, path)
    if scene.geobox.crs is None:
        placed &= found.is_of(scene.path)
    classes = _order_classes(path, found.objects.names)
    number = {name: label for label, name in enumerate(classes)}
    labels = np.array([number[name] for name in found.objects.names], np.int64)
    turned = found.objects.to_oriented(scene.geobox)
    detections = Detections(boxes, found.scores.astype(np.float32), labels, turned).select(placed)
    return SceneObjects(detections, classes, found.attributes[placed], bool(score_field))


def _have_place(boxes: Floats, path: Path) -> Bools:
    """Return which boxes have coordinates, and warn of the others."""
    placed = np.asarray(np.isfinite(boxes).all(axis=1), np.bool_)
    if not placed.all():
        logger.warning(
            "%s: objects whose coordinates do not exist in the scene's CRS are left out: %d",
            shown_name(path),
            (~placed).sum(),
        )
    return placed


def warn_of_miss(path: Path, objects: Detections, scene: Scene) -> None:
    """Warn if none of the objects of a file meets a scene.

    Args:
        path: The file.
        objects: Its objects in the pixels of the scene.
        scene: The scene.

    Raises:
        VectorError: The file cannot be read.
    """
    boxes, size = objects.boxes, np.array([scene.geobox.width, scene.geobox.height])
    is_meeting = ((boxes[:, 2:] >= 0) & (boxes[:, :2] <= size)).all(axis=1)
    if len(boxes) and not is_meeting.any():
        logger.warning(
            "%s: no object meets %s: %s",
            shown_name(path),
            scene.name,
            compare_file_extent(path, scene.geobox, what="objects"),
        )


def _order_classes(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of the file's style in its order, then the others by name."""
    styled = read_classes(Path(path_of(path)))
    return (*styled, *sorted(set(names) - set(styled)))
