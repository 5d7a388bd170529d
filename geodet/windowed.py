"""Detect in one open scene, window by window: memory does not grow with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from geodet.boxes import Detections
from geodet.config import DetectConfig
from geodet.inference import Predictor
from geodet.merge import keep_owned, suppress
from geodet.reading import iter_batches
from geodet.scene import Scene
from geodet.windows import WindowGrid

__all__ = ["DetectProgress", "SceneResult", "detect_scene"]


@dataclass(frozen=True, slots=True)
class DetectProgress:
    """How far detection has come in one scene."""

    scene: str
    """The file's name."""
    chips: int
    """Windows done since the last report, those without data included."""
    total: int
    """Windows of the scene."""
    pixels: int
    """Pixels of the grid done since the last report, each counted once."""
    detections: int
    """Objects so far, before duplicates at seams are removed."""


@dataclass(frozen=True, slots=True)
class SceneResult:
    """What was found in one scene and how."""

    detections: Detections
    """Objects in the scene's own pixels, ranked."""
    chips: int
    """Windows looked at."""
    empty_chips: int
    """Windows without a valid pixel, which were skipped."""
    capped: int
    """Candidates lost to the caps of the configuration."""
    pixels: int
    """Of the grid that was read."""


def detect_scene(
    scene: Scene,
    predictor: Predictor,
    config: DetectConfig,
    progress: Callable[[DetectProgress], None] = lambda _: None,
) -> SceneResult:
    """Detect objects in one open scene.

    The result is the same for any batch size and any number of workers.

    Args:
        scene: Read window by window, in its grid.
        predictor: Finds the objects of chips.
        config: Windows, batches and readers.
        progress: Called after each batch.
    """
    grid = WindowGrid(*scene.grid, size=config.chip_size, overlap=config.overlap)
    slack = _slack(config.overlap, predictor.iou_threshold)
    parts: list[Detections] = []
    count = empty = capped = 0
    for batch in iter_batches(scene, grid, workers=config.workers, batch_size=config.batch_size):
        chips = [(index, chip) for index, chip in batch if chip is not None]
        found = predictor([chip for _, chip in chips]) if chips else []
        for (index, chip), decoded in zip(chips, found, strict=True):
            here = decoded.detections.shifted(chip.window.col_off, chip.window.row_off)
            parts.append(keep_owned(here, grid.core(index), slack=slack))
            capped += decoded.capped
            count += len(parts[-1])
        empty += len(batch) - len(chips)
        pixels = sum(grid.core(index).width * grid.core(index).height for index, _ in batch)
        progress(DetectProgress(scene.name, len(batch), len(grid), pixels, count))
    merged = suppress(Detections.concatenate(parts), iou_threshold=predictor.iou_threshold)
    whole = merged.scaled(*scene.scale).clipped(scene.geobox.width, scene.geobox.height)
    whole = whole.select(np.all(whole.boxes[:, 2:] > whole.boxes[:, :2], axis=1))
    return SceneResult(whole, len(grid), empty, capped, scene.grid[0] * scene.grid[1])


def _slack(overlap: int, iou_threshold: float) -> float:
    """Choose how far outside its core a window keeps detections, in pixels.

    A fragment with its centre in the slack s shows at least 1 - 2 s / overlap of each side of an
    object that is no longer than the overlap. Its overlap with the whole object, the square of
    that, must be above the threshold of suppression, or a fragment at a corner would survive.
    """
    most = overlap // 2 * (1 - math.sqrt(iou_threshold))
    return min(overlap // 2 / 4, 0.9 * most)  # a quarter is ample for two windows that differ
