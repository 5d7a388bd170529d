"""Read the objects of a vector file as boxes in the pixels of a scene."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geodet.geometry.boxes import Detections
from geodet.raster.scene import Scene
from geodet.tilesets.scene_labels import read_scored_objects
from geodet.vector.formats import path_of
from geodet.vector.styles import read_classes
from geodet.vector.vector_files import read_fields

__all__ = ["SceneObjects", "read_objects"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SceneObjects:
    """Objects of a vector file in the pixels of a scene."""

    detections: Detections
    """Bounds of the objects in the scene's pixels; a point has no extent."""
    classes: tuple[str, ...]
    """Names of the classes, by label."""


def read_objects(path: Path, scene: Scene, *, score_field: str | None = None) -> SceneObjects:
    """Read the objects of a vector file by their geometry, in the scene or outside of it.

    If the file has a style of geodet's, the classes keep its order and so their colours; other
    classes follow by name. If the scene has no CRS, objects that belong to another scene by their
    attribute ``scene`` are left out, since all scenes without a CRS share coordinates.

    Args:
        path: A file with one layer of points or polygons, in any CRS. The class is ``label``,
            ``class`` or ``name``, if there is one.
        scene: The scene whose pixels the boxes are in.
        score_field: Attribute with the score; None: ``score`` if there is one; empty: every object
            has score 1.

    Raises:
        VectorError: The file cannot be read, or has no such scores.
    """
    if score_field is None:
        score_field = "score" if "score" in read_fields(path) else ""
    found = read_scored_objects(path, scene.geobox.crs, score_field=score_field)
    boxes = found.objects.to_pixels(scene.geobox)
    placed = np.asarray(np.isfinite(boxes).all(axis=1), np.bool_)
    if not placed.all():
        logger.warning(
            "%s: %d objects are left out: their coordinates do not exist in the scene's CRS",
            path,
            (~placed).sum(),
        )
    if scene.geobox.crs is None:
        placed &= found.is_of(scene.path)
    classes = _order_classes(path, found.objects.names)
    number = {name: label for label, name in enumerate(classes)}
    labels = np.array([number[name] for name in found.objects.names], np.int64)
    detections = Detections(boxes, found.scores.astype(np.float32), labels).select(placed)
    return SceneObjects(detections, classes)


def _order_classes(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of the file's style in its order, then the others by name."""
    styled = read_classes(Path(path_of(path)))
    return (*styled, *sorted(set(names) - set(styled)))
