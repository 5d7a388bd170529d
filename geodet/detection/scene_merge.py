"""Merge the detections that the windows of a scene own, window by window."""

from __future__ import annotations

import numpy as np

from geodet.config import DetectConfig
from geodet.detection.band_search import BandPiece
from geodet.detection.scene_windows import CUT_PX, SceneWindows
from geodet.geometry.boxes import Detections
from geodet.merging.fragments import JoinRule
from geodet.merging.merger import RowMerger
from geodet.merging.suppression import SuppressionRule
from geodet.vector.area_of_interest import AreaOfInterest

__all__ = ["SceneMerge"]

_INSIDE = 0.5  # share of a fragment inside a complete box above which the fragment is dropped


class SceneMerge:
    """Merges the pieces of a scene, which are added in the order of their windows.

    Args:
        windows: How the scene is cut.
        size: Columns and rows of the scene itself.
        config: Whether fragments are joined.
        iou_threshold: IoU threshold of the suppression of duplicates.
        aoi: Area of interest in the scene's own pixels; None: all of the scene.
    """

    def __init__(
        self,
        windows: SceneWindows,
        size: tuple[int, int],
        config: DetectConfig,
        *,
        iou_threshold: float,
        aoi: AreaOfInterest | None = None,
    ) -> None:
        self._windows, self._size, self._aoi = windows, size, aoi
        self._merger = RowMerger(
            SuppressionRule(iou_threshold, _INSIDE),
            JoinRule(tolerance=2 * CUT_PX) if config.join_fragments else None,
        )
        self._settled = 0

    def add(self, piece: BandPiece) -> list[Detections]:
        """Add a piece, and return the detections that are now final, in the scene's own pixels.

        They come line by line of windows, so that batches do not affect their order.
        """
        self._merger.add(piece.part.detections, piece.part.cut)
        lines = range(self._settled + 1, self._windows.grid.line(piece.waiting_from) + 1)
        self._settled = max(self._settled, *lines, 0)
        parts = [self._merger.settle(*self._windows.open_part(line)) for line in lines]
        return [self._to_scene(part) for part in parts]

    def finish(self) -> Detections:
        """Return the detections that are left after the last piece."""
        return self._to_scene(self._merger.finish())

    def _to_scene(self, found: Detections) -> Detections:
        """Scale detections to the scene's own pixels; keep those in the scene and the area."""
        (width, height), grid = self._size, self._windows.grid
        whole = found.scaled(width / grid.width, height / grid.height).clipped(width, height)
        whole = whole.select(np.all(whole.boxes[:, 2:] > whole.boxes[:, :2], axis=1))
        return whole if self._aoi is None else whole.select(self._aoi.contains(whole.centres))
