"""Detect in one open scene, window by window: memory does not grow with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from geodet.config import DetectConfig
from geodet.detection.batches import ChipBatch, Done, OneAhead, iter_batches
from geodet.detection.chip_reading import is_uniform, iter_chips
from geodet.detection.predictor import Predictor
from geodet.detection.window_plan import plan_windows, warn_of_seams
from geodet.geometry.boxes import Detections
from geodet.merging.fragments import JoinRule
from geodet.merging.merger import RowMerger, cut_sides, keep_owned
from geodet.merging.suppression import SuppressionRule
from geodet.raster.scene import Chip, Scene
from geodet.vector.regions import Region

__all__ = ["DetectProgress", "SceneResult", "SceneRun", "detect_scene"]

_INSIDE = 0.5  # of a fragment inside of a complete box: it goes, whatever its score
_CUT_PX = 4.0  # a fragment's box ends so near to its window's edge


@dataclass(frozen=True, slots=True)
class DetectProgress:
    """How far detection has come in one scene."""

    scene: str
    """The file's name."""
    chips: int
    """Windows done since the last report, those that were skipped included."""
    total: int
    """Windows of the scene."""
    pixels: int
    """Pixels of the grid done since the last report, each counted once."""
    detections: int
    """Objects so far, before duplicates at seams are removed."""


class SceneResult(NamedTuple):
    """What was found in one scene."""

    detections: Detections
    """Objects in the scene's own pixels, ranked."""
    capped: int
    """Candidates lost to the caps of the configuration."""


class SceneRun:
    """Detection in one scene: iterate over it once for the objects, then ask it for the counts.

    The parts come from top to bottom, each as soon as no window still to come can change it, so
    that neither the scene nor its objects have to fit in memory. All parts together are the same
    for any number of workers, and but for the rounding of the convolutions for any batch size.

    Args:
        scene: Read window by window, in its grid.
        predictor: Finds the objects of chips.
        config: Windows, batches and readers.
        region: Where to look, in the scene's own pixels; None: everywhere.
        progress: Called after each batch.
    """

    def __init__(
        self,
        scene: Scene,
        predictor: Predictor,
        config: DetectConfig,
        *,
        region: Region | None = None,
        progress: Callable[[DetectProgress], None] = lambda _: None,
    ) -> None:
        self._scene, self._predictor, self._config = scene, predictor, config
        self._region, self._progress = region, progress
        self.grid, self._batch_size = plan_windows(
            predictor, config, *scene.grid, rows_kept=scene.rows_kept
        )
        if len(self.grid) > 1:
            warn_of_seams(config)
        self._slack = _slack(self.grid.overlap, predictor.iou_threshold)
        self._wanted = self._list_wanted()
        self._ahead = OneAhead(predictor)
        self._merger = RowMerger(
            SuppressionRule(predictor.iou_threshold, _INSIDE),
            JoinRule(tolerance=2 * _CUT_PX) if config.join_fragments else None,
        )
        self._found = self._settled = 0
        self.capped = 0
        """Candidates lost to the caps of the configuration."""
        self.empty_chips = 0
        """Windows that the network did not see: without data, or without features."""

    @property
    def chips(self) -> int:
        """Count the windows that are read."""
        return len(self._wanted)

    @property
    def pixels(self) -> int:
        """Count the pixels of the grid that are looked at, each once."""
        return self._pixels(self._wanted)

    def __iter__(self) -> Iterator[Detections]:
        """Yield the objects in the scene's own pixels, each part ranked."""
        watch = self._predictor.watch
        with closing(self._iter_chips()) as chips:  # whatever happens, no thread reads on
            for done in self._ahead.run(self._iter_batches(chips)):
                self._add(done)
                with watch.measure("merge"):
                    settled = self._settle(done.waiting_from)
                self._report(done)
                yield from settled
        with watch.measure("merge"):
            rest = self._to_scene(self._merger.finish())
        yield rest

    def _list_wanted(self) -> Sequence[int]:
        """List the windows that may own an object in the region."""
        if self._region is None:
            return range(len(self.grid))
        x, y = self._scene.scale
        region = self._region.scaled(1 / x, 1 / y)
        return [
            index
            for index in range(len(self.grid))
            if region.touches(self.grid.core(index), margin=self._slack)
        ]

    def _iter_chips(self) -> Generator[tuple[int, Chip], None, None]:
        workers = self._config.workers
        ahead = max(2 * self._batch_size, workers)
        return iter_chips(
            self._scene, self.grid, workers=workers, ahead=ahead, indices=self._wanted
        )

    def _iter_batches(self, chips: Iterator[tuple[int, Chip]]) -> Iterator[ChipBatch]:
        timed = self._predictor.watch.measure_each("read", chips)
        return iter_batches(timed, batch_size=self._batch_size, is_blank=self._is_blank)

    def _is_blank(self, chip: Chip) -> bool:
        if not chip.valid.any():
            return True
        return self._config.skip_uniform and is_uniform(
            chip, self._predictor.values.std, contrast=self._config.uniform_contrast
        )

    def _add(self, done: Done) -> None:
        """Hand what the windows of a batch own to the merger."""
        self.empty_chips += len(done.empty)
        for index, decoded in zip(done.indices, done.found, strict=True):
            window = self.grid[index]
            self.capped += decoded.capped
            here = decoded.detections.shifted(window.col_off, window.row_off)
            owned = keep_owned(here, self.grid.core(index), slack=self._slack)
            # The promise to the merger: no box begins higher above its window than the overlap.
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
        """Give what is final, by rows of windows: so the order does not depend on the batches."""
        rows = range(self._settled + 1, waiting_from // self.grid.columns + 1)
        self._settled = max(self._settled, *rows, 0)
        parts = [self._merger.settle(self._row_of(row * self.grid.columns)) for row in rows]
        return [self._to_scene(part) for part in parts]

    def _row_of(self, index: int) -> float:
        """Give the row above which no box of a window, or of a later one, begins."""
        if index >= len(self.grid):
            return math.inf
        return self.grid[index].row_off - self.grid.overlap

    def _to_scene(self, found: Detections) -> Detections:
        """Bring detections to the scene's own pixels; keep what lies in it and in the region."""
        width, height = self._scene.geobox.width, self._scene.geobox.height
        whole = found.scaled(*self._scene.scale).clipped(width, height)
        whole = whole.select(np.all(whole.boxes[:, 2:] > whole.boxes[:, :2], axis=1))
        return whole if self._region is None else whole.select(self._region.contains(whole.centres))

    def _report(self, done: Done) -> None:
        seen = [*done.indices, *done.empty]
        pixels = self._pixels(seen)
        self._progress(DetectProgress(self._scene.name, len(seen), self.chips, pixels, self._found))

    def _pixels(self, indices: Sequence[int]) -> int:
        cores = (self.grid.core(index) for index in indices)
        return sum(core.width * core.height for core in cores)


def detect_scene(scene: Scene, predictor: Predictor, config: DetectConfig) -> SceneResult:
    """Detect objects in one open scene that are few enough to hold, see :class:`SceneRun`.

    Args:
        scene: Read window by window, in its grid.
        predictor: Finds the objects of chips.
        config: Windows, batches and readers.
    """
    run = SceneRun(scene, predictor, config)
    return SceneResult(Detections.concatenate(list(run)).ranked(), run.capped)


def _slack(overlap: int, iou_threshold: float) -> float:
    """Choose how far outside its core a window keeps detections, in pixels.

    A fragment with its centre in the slack s shows at least 1 - 2 s / overlap of each side of an
    object that is no longer than the overlap. Its overlap with the whole object, the square of
    that, must be above the threshold of suppression, or a fragment at a corner would survive.
    """
    most = overlap // 2 * (1 - math.sqrt(iou_threshold))
    return min(overlap // 2 / 4, 0.9 * most)  # a quarter is ample for two windows that differ
