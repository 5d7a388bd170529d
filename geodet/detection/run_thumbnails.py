"""Small pictures of scenes with a dot where something was found, gathered while a run finds it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.files.command_line import hide_secrets
from geodet.geometry.scene_detections import SceneDetections
from geodet.previews.closeups import to_jpeg
from geodet.previews.stretch import Stretch
from geodet.raster.chip import Chip
from geodet.reports.parts import Gallery, Picture
from geodet.vector.palette import class_colour

__all__ = ["RunThumbnails", "SceneReader"]

SceneReader = Callable[[PlannedScene, int], Chip]
"""Reads a scene with the bands to show, reduced to so many pixels on its longer side."""

_MOST = 6  # scenes with a picture
_SIDE = 640  # pixels
_HUES = ("yellow", "sky blue", "reddish purple", "vermilion", "bluish green", "orange", "blue")
"""Names of the first colours of :func:`geodet.vector.palette.class_colour`."""


class RunThumbnails:
    """Dots in small pictures of scenes, one for each pixel in which something was found.

    Args:
        plan: The scenes; the first six get a picture.
        classes: Names of the classes, by label.
    """

    def __init__(self, plan: DetectionPlan, classes: Sequence[str]) -> None:
        self._scenes, self._classes = plan.scenes[:_MOST], tuple(classes)
        self._left_out = len(plan.scenes) - len(self._scenes)
        self._dots = {scene.name: self._blank(scene) for scene in self._scenes}

    def add(self, part: SceneDetections) -> None:
        """Mark the places of detections."""
        dots = self._dots.get(part.scene)
        if dots is None or not len(part.detections):
            return
        sides = np.array([part.geobox.width, part.geobox.height])
        size = np.array(dots.shape[::-1])
        places = (part.detections.centres * size / sides).astype(np.int64)
        columns, rows = np.clip(places, 0, size - 1).T
        dots[rows, columns] = part.detections.labels

    def draw(self, read: SceneReader, failed: Collection[str]) -> Gallery:
        """Draw the pictures.

        Args:
            read: Reads a scene for its picture.
            failed: Names of scenes without a picture.

        Raises:
            SceneError: A scene cannot be read.
        """
        shown = [scene for scene in self._scenes if scene.name not in failed]
        pictures = tuple(self._picture(scene, read(scene, _SIDE)) for scene in shown)
        left_out = f" {self._left_out:,} more scenes have none." if self._left_out else ""
        return Gallery("Pictures", pictures, f"{self._legend()}{left_out}", "large")

    def _blank(self, scene: PlannedScene) -> NDArray[np.int16]:
        shrink = min(1.0, _SIDE / max(scene.geobox.width, scene.geobox.height))
        size = [max(round(side * shrink), 1) for side in (scene.geobox.height, scene.geobox.width)]
        return np.full(size, -1, np.int16)

    def _picture(self, scene: PlannedScene, chip: Chip) -> Picture:
        pixels = Stretch.of(chip).to_rgb(chip).copy()
        dots = self._dots[scene.name]
        height, width = pixels.shape[:2]
        rows, columns = np.nonzero(dots >= 0)
        labels = dots[rows, columns]
        places = rows * height // dots.shape[0], columns * width // dots.shape[1]
        _paint(pixels, *places, np.zeros((len(labels), 3)), reach=3)
        colours = np.array([class_colour(int(label)) for label in labels]).reshape(-1, 3)
        _paint(pixels, *places, colours, reach=2)
        return Picture(to_jpeg(Image.fromarray(pixels)), width, height, hide_secrets(scene.name))

    def _legend(self) -> str:
        named = zip(_HUES, self._classes, strict=False)
        return "A dot for each object. " + ", ".join(f"{hue}: {name}" for hue, name in named) + "."


def _paint(
    pixels: NDArray[np.uint8], rows: Any, columns: Any, colours: NDArray[Any], *, reach: int
) -> None:
    """Paint squares of ``2 * reach - 1`` pixels around places; clipped at the edges."""
    height, width = pixels.shape[:2]
    for down in range(1 - reach, reach):
        for right in range(1 - reach, reach):
            at = np.clip(rows + down, 0, height - 1), np.clip(columns + right, 0, width - 1)
            pixels[at] = colours
