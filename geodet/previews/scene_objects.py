"""Objects of a vector file, by anybody, as boxes in the pixels of a scene."""

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
    """Objects that a vector file places in a scene."""

    detections: Detections
    """Bounds of the objects in the scene's own pixels; a point has no extent."""
    classes: tuple[str, ...]
    """Names of the classes, by label."""


def read_objects(path: Path, scene: Scene, *, score_field: str | None = None) -> SceneObjects:
    """Read the objects of a vector file by their geometry, wherever they lie.

    Classes are in the order of the file's style, if it has one of geodet's, so that they keep their
    colours; the others follow by name. In a scene without a CRS only the objects of this scene
    count, where the file says which those are: all such scenes have the same coordinates.

    Args:
        path: A file with one layer of points or polygons, in any CRS; ``label``, ``class`` or
            ``name`` is the class, if any.
        scene: Where they lie.
        score_field: Attribute with the score; None: ``score``, if any; empty: all are equally sure.

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
            "%s: %d objects lie where the scene's CRS has no place", path, (~placed).sum()
        )
    if scene.geobox.crs is None:
        placed &= found.is_of(scene.path)
    classes = _order_classes(path, found.objects.names)
    number = {name: label for label, name in enumerate(classes)}
    labels = np.array([number[name] for name in found.objects.names], np.int64)
    detections = Detections(boxes, found.scores.astype(np.float32), labels).select(placed)
    return SceneObjects(detections, classes)


def _order_classes(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    styled = read_classes(Path(path_of(path)))
    return (*styled, *sorted(set(names) - set(styled)))
