"""Detect in one open scene window by window, in memory that does not grow with the scene."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from geodet.config import DetectConfig
from geodet.detection.batches import BatchPipeline, BatchResult, ChipBatch, iter_batches
from geodet.detection.chip_reading import is_uniform, iter_chips
from geodet.detection.predictor import Predictor
from geodet.detection.stopwatch import Stopwatch
from geodet.detection.window_plan import plan_windows, warn_of_seams
from geodet.geometry.boxes import Detections
from geodet.merging.fragments import JoinRule, cut_sides
from geodet.merging.merger import RowMerger, keep_owned
from geodet.merging.suppression import SuppressionRule
from geodet.raster.scene import Chip, Scene
from geodet.vector.area_of_interest import AreaOfInterest

__all__ = ["DetectCounts", "DetectProgress", "SceneResult", "SceneRun", "detect_scene"]

_INSIDE = 0.5  # share of a fragment inside a complete box above which the fragment is dropped
_CUT_PX = 4.0  # a box that ends so near to its window's edge is a fragment


@dataclass(slots=True)
class DetectCounts:
    """What a run has looked at, in one scene or in several."""

    chips: int = 0
    """Windows that were read."""
    empty_chips: int = 0
    """Windows without a valid pixel, or without features, which the network did not see."""
    capped: int = 0
    """Candidates dropped by the caps of the configuration; 0 unless a cap takes effect."""
    megapixels: float = 0.0
    """Pixels of the windows, each counted once, at the resolution of detection."""

    def add(self, other: DetectCounts) -> None:
        """Add the counts of another scene."""
        self.chips += other.chips
        self.empty_chips += other.empty_chips
        self.capped += other.capped
        self.megapixels += other.megapixels


@dataclass(frozen=True, slots=True)
class DetectProgress:
    """Progress of the detection in one scene.

    Example:
        >>> def show(step: geodet.DetectProgress) -> None:
        ...     print(f"{step.scene}: {step.total} windows")
        >>> trees = geodet.detect(scene, progress=show)
        scene.tif: 1 windows
    """

    scene: str
    """File name of the scene."""
    chips: int
    """Windows done since the last report, with those that were skipped."""
    total: int
    """Windows of the scene."""
    pixels: int
    """Pixels of the grid done since the last report, each counted once."""
    detections: int
    """Detections so far, before duplicates at seams are removed."""


class SceneResult(NamedTuple):
    """The detections of one scene."""

    detections: Detections
    """In the scene's own pixels, ranked."""
    capped: int
    """Candidates dropped by the caps of the configuration."""


class SceneRun:
    """Detection in one scene, to be iterated over once.

    The detections come in parts from top to bottom, each as soon as no later window can change it:
    neither the scene nor its detections have to fit in memory. All parts together are the same for
    any number of workers and, apart from rounding in the convolutions, for any batch size.

    Args:
        scene: Read window by window, in its grid.
        predictor: Finds the objects of chips.
        config: The settings of windows, batches and reader threads.
        aoi: Area of interest in the scene's own pixels; None: all of the scene.
        watch: Times the stages.
        progress: Called after each batch.
    """

    def __init__(
        self,
        scene: Scene,
        predictor: Predictor,
        config: DetectConfig,
        *,
        aoi: AreaOfInterest | None = None,
        watch: Stopwatch | None = None,
        progress: Callable[[DetectProgress], None] = lambda _: None,
    ) -> None:
        self._scene, self._predictor, self._config = scene, predictor, config
        self._aoi, self._progress = aoi, progress
        self._watch = watch or Stopwatch()
        self.grid, self._batch_size = plan_windows(
            predictor, config, *scene.grid, rows_kept=scene.rows_kept
        )
        if len(self.grid) > 1:
            warn_of_seams(config)
        self._slack = _slack(self.grid.overlap, predictor.iou_threshold)
        self._wanted = self._list_wanted()
        self._pipeline = BatchPipeline(predictor)
        self._merger = RowMerger(
            SuppressionRule(predictor.iou_threshold, _INSIDE),
            JoinRule(tolerance=2 * _CUT_PX) if config.join_fragments else None,
        )
        self._found = self._settled = 0
        self.counts = DetectCounts(
            chips=len(self._wanted), megapixels=self._count_pixels(self._wanted) / 1e6
        )
        """What is looked at; complete after the last part."""

    def __iter__(self) -> Iterator[Detections]:
        """Yield the detections in the scene's own pixels, each part ranked."""
        with closing(self._iter_chips()) as chips:  # ends the reader threads, also after an error
            for batch in self._pipeline.run(self._iter_batches(chips)):
                self._merge(batch)
                with self._watch.measure("merge"):
                    settled = self._settle(batch.waiting_from)
                self._report(batch)
                yield from settled
        with self._watch.measure("merge"):
            rest = self._to_scene(self._merger.finish())
        yield rest

    def _list_wanted(self) -> Sequence[int]:
        """List the windows that may own a detection in the area."""
        if self._aoi is None:
            return range(len(self.grid))
        x, y = self._scene.scale
        aoi = self._aoi.scaled(1 / x, 1 / y)
        return [
            index
            for index in range(len(self.grid))
            if aoi.touches(self.grid.core(index), margin=self._slack)
        ]

    def _iter_chips(self) -> Generator[tuple[int, Chip], None, None]:
        workers = self._config.workers
        ahead = max(2 * self._batch_size, workers)
        return iter_chips(
            self._scene, self.grid, workers=workers, ahead=ahead, indices=self._wanted
        )

    def _iter_batches(self, chips: Iterator[tuple[int, Chip]]) -> Iterator[ChipBatch]:
        timed = self._watch.measure_each("read", chips)
        return iter_batches(timed, batch_size=self._batch_size, is_blank=self._is_blank)

    def _is_blank(self, chip: Chip) -> bool:
        if not chip.valid.any():
            return True
        return self._config.skip_uniform and is_uniform(
            chip, self._predictor.values.std, contrast=self._config.uniform_contrast
        )

    def _merge(self, batch: BatchResult) -> None:
        """Pass the detections that the windows of a batch own to the merger."""
        self.counts.empty_chips += len(batch.empty)
        for index, decoded in zip(batch.indices, batch.found, strict=True):
            window = self.grid[index]
            self.counts.capped += decoded.capped
            here = decoded.detections.shifted(window.col_off, window.row_off)
            owned = keep_owned(here, self.grid.core(index), slack=self._slack)
            # The merger relies on it: no box begins higher above its window than the overlap.
            owned.boxes[:, 1::2] = owned.boxes[:, 1::2].clip(min=self._row_of(index))
            cut = cut_sides(
                owned,
                window,
                width=self.grid.width,
                height=self.grid.height,
                tolerance=_CUT_PX,
            )
            self._merger.add(owned, cut)
            self._found += len(owned)

    def _settle(self, waiting_from: int) -> list[Detections]:
        """Return what is final, row by row of windows, so that batches do not affect the order."""
        rows = range(self._settled + 1, waiting_from // self.grid.columns + 1)
        self._settled = max(self._settled, *rows, 0)
        parts = [self._merger.settle(self._row_of(row * self.grid.columns)) for row in rows]
        return [self._to_scene(part) for part in parts]

    def _row_of(self, index: int) -> float:
        """Return the row of the grid above which no box of this or a later window begins."""
        if index >= len(self.grid):
            return math.inf
        return self.grid[index].row_off - self.grid.overlap

    def _to_scene(self, found: Detections) -> Detections:
        """Scale detections to the scene's own pixels; keep those in the scene and the area."""
        width, height = self._scene.geobox.width, self._scene.geobox.height
        whole = found.scaled(*self._scene.scale).clipped(width, height)
        whole = whole.select(np.all(whole.boxes[:, 2:] > whole.boxes[:, :2], axis=1))
        return whole if self._aoi is None else whole.select(self._aoi.contains(whole.centres))

    def _report(self, batch: BatchResult) -> None:
        seen, total = [*batch.indices, *batch.empty], len(self._wanted)
        pixels = self._count_pixels(seen)
        self._progress(DetectProgress(self._scene.name, len(seen), total, pixels, self._found))

    def _count_pixels(self, indices: Sequence[int]) -> int:
        """Count the pixels that windows own, each pixel once."""
        cores = (self.grid.core(index) for index in indices)
        return sum(core.width * core.height for core in cores)


def detect_scene(scene: Scene, predictor: Predictor, config: DetectConfig) -> SceneResult:
    """Detect objects in one open scene and hold them all in memory, see :class:`SceneRun`.

    Args:
        scene: Read window by window, in its grid.
        predictor: Finds the objects of chips.
        config: The settings of windows, batches and reader threads.
    """
    run = SceneRun(scene, predictor, config)
    return SceneResult(Detections.concatenate(list(run)).ranked(), run.counts.capped)


def _slack(overlap: int, iou_threshold: float) -> float:
    """Choose how far outside its core a window keeps the centres of detections, in pixels.

    Two windows predict slightly different centres for an object on a seam, and without slack both
    could reject it. Too much slack keeps fragments: one whose centre lies in the slack s shows at
    least 1 - 2 s / overlap of each side of an object that is no longer than the overlap. The square
    of that, its IoU with the whole object at a corner, must exceed the IoU threshold.
    """
    most = overlap // 2 * (1 - math.sqrt(iou_threshold))
    return min(overlap // 2 / 4, 0.9 * most)  # a quarter covers how much two predictions differ
