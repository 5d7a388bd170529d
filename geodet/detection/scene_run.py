"""Detect in one open scene window by window, in memory that does not grow with the scene."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np

from geodet.config import DetectConfig
from geodet.detection.batches import BatchPipeline, BatchResult, ChipBatch, iter_batches
from geodet.detection.chip_reading import count_readers, is_uniform, iter_chips
from geodet.detection.journal import BandPart, SceneJournal
from geodet.detection.predictor import Predictor
from geodet.detection.progress import DetectCounts, DetectProgress
from geodet.detection.stopwatch import Stopwatch
from geodet.detection.window_plan import (
    WindowPlan,
    choose_slack,
    list_bands,
    plan_windows,
    warn_of_seams,
)
from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window, WindowGrid
from geodet.merging.fragments import JoinRule, cut_sides
from geodet.merging.merger import RowMerger, keep_owned
from geodet.merging.suppression import SuppressionRule
from geodet.raster.scene import Chip, Scene
from geodet.vector.area_of_interest import AreaOfInterest

__all__ = ["SceneResult", "SceneRun", "detect_scene"]

logger = logging.getLogger(__name__)

_INSIDE = 0.5  # share of a fragment inside a complete box above which the fragment is dropped
_CUT_PX = 4.0  # a box that ends so near to its window's edge is a fragment


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

    No batch has windows of two bands, see :func:`geodet.detection.window_plan.list_bands`. So a run
    that takes some bands from a journal computes the others in the batches of a run without one,
    and finds the same to the last digit.

    Args:
        scene: Read window by window, in its grid.
        predictor: Finds the objects of chips.
        config: The settings of windows, batches and reader threads.
        aoi: Area of interest in the scene's own pixels; None: all of the scene.
        watch: Times the stages.
        progress: Called after each batch.
        journal: Keeps what the windows of each finished band own; bands that it has are not
            computed.
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
        journal: SceneJournal | None = None,
    ) -> None:
        self._scene, self._predictor, self._config = scene, predictor, config
        self._aoi, self._progress, self._journal = aoi, progress, journal
        self._watch = watch or Stopwatch()
        self.grid, self._batch_size = self._plan_windows()
        if len(self.grid) > 1:
            warn_of_seams(config)
        self._slack = choose_slack(self.grid.overlap, predictor.iou_threshold)
        self._wanted = self._list_wanted()
        self._bands = list_bands(self.grid, self._batch_size, self._wanted)
        self._pipeline = BatchPipeline(predictor, overlaps=not self._watch.settles)
        self._merger = RowMerger(
            SuppressionRule(predictor.iou_threshold, _INSIDE),
            JoinRule(tolerance=2 * _CUT_PX) if config.join_fragments else None,
        )
        self._found = self._settled = 0
        self.counts = DetectCounts(
            chips=len(self._wanted), megapixels=self._count_pixels(self._wanted) / 1e6
        )
        """What is looked at; complete after the last part."""
        self.not_examined: dict[Window, str] = {}
        """Areas that could not be read, in the scene's own pixels, and why."""

    def __iter__(self) -> Iterator[Detections]:
        """Yield the detections in the scene's own pixels, each part ranked."""
        numbers = range(len(self._bands))
        finished = {number for number in numbers if self._is_finished(number)}
        if finished:
            logger.info(
                "%s: %d of %d bands were finished by an earlier run",
                self._scene.name,
                len(finished),
                len(numbers),
            )
        missing = [self._bands[number] for number in numbers if number not in finished]
        with (  # ends the threads, also after an error
            closing(self._iter_chips(missing)) as chips,
            closing(self._pipeline.run(self._iter_batches(chips, missing))) as results,
        ):
            for number in numbers:
                if number in finished:
                    yield from self._take_band(number)
                else:
                    yield from self._compute_band(number, results)
        with self._watch.measure("merge"):
            rest = self._to_scene(self._merger.finish())
        yield rest

    def _compute_band(
        self, number: int, results: Iterator[BatchResult]
    ) -> Generator[Detections, None, None]:
        """Yield what becomes final while a band is computed; add the band to the journal."""
        band, parts, seen = self._bands[number], list[BandPart](), 0
        logger.debug("%s: band %d is computed", self._scene.name, number)
        while seen < len(band):
            batch = next(results)
            windows = [*batch.indices, *batch.empty]
            seen += len(windows)
            parts.append(self._own(batch))
            settled = self._merge(parts[-1], batch.waiting_from)
            if seen == len(band):
                parts.append(self._note_unreadable(band))
            if self._journal is None:
                parts.clear()
            elif seen == len(band):
                with self._watch.measure("journal"):
                    self._journal.write(number, BandPart.concatenate(parts))
                logger.debug("%s: band %d is finished", self._scene.name, number)
            self._report(windows)
            yield from settled

    def _note_unreadable(self, band: Sequence[int]) -> BandPart:
        """Note the areas of a band that could not be read; return them as a part of it."""
        places = [self._scene.source_area(self.grid[index]) for index in band]
        areas = self._scene.unreadable.meeting(places)
        if self._aoi is not None:
            areas = {area: why for area, why in areas.items() if self._aoi.touches(area, margin=0)}
        part = replace(BandPart.concatenate([]), not_examined=areas)
        self._add_unreadable(part)
        return part

    def _add_unreadable(self, part: BandPart) -> None:
        self.not_examined.update(part.not_examined)
        self.counts.not_examined = len(self.not_examined)

    def _plan_windows(self) -> WindowPlan:
        """Choose the windows, or take those of the journal."""
        scene = self._scene
        plan = plan_windows(self._predictor, self._config, *scene.grid, rows_kept=scene.rows_kept)
        if self._journal is None:
            return plan
        numbers = {name: getattr(plan.grid, name) for name in ("size", "overlap", "align")}
        chosen = self._journal.choose_windows({**numbers, "batch_size": plan.batch_size})
        grid = WindowGrid(*scene.grid, chosen["size"], chosen["overlap"], chosen["align"])
        return WindowPlan(grid, chosen["batch_size"])

    def _is_finished(self, number: int) -> bool:
        return self._journal is not None and self._journal.read(number) is not None

    def _take_band(self, number: int) -> list[Detections]:
        """Return what becomes final with a band that an earlier run has computed."""
        part = self._journal.read(number) if self._journal is not None else None
        if part is None:
            raise OutputError(
                f"band {number} of {self._scene.name} was in the journal a moment ago",
                hint="run the command again, and leave its .partial folder alone meanwhile",
            )
        band = self._bands[number]
        self._add_unreadable(part)
        settled = self._merge(part, band[-1] + 1)
        self._report(band, resumed=True)
        return settled

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

    def _iter_chips(
        self, bands: Sequence[Sequence[int]]
    ) -> Generator[tuple[int, Chip], None, None]:
        workers = count_readers(self._config.workers, self._predictor.device.type)
        return iter_chips(
            self._scene,
            self.grid,
            workers=workers,
            ahead=max(2 * self._batch_size, workers),
            indices=[index for band in bands for index in band],
        )

    def _iter_batches(
        self, chips: Iterator[tuple[int, Chip]], bands: Sequence[Sequence[int]]
    ) -> Iterator[ChipBatch]:
        timed = self._watch.measure_each("read", chips)
        for band in bands:
            yield from iter_batches(
                islice(timed, len(band)), batch_size=self._batch_size, is_blank=self._is_blank
            )

    def _is_blank(self, chip: Chip) -> bool:
        if not chip.valid.any():
            return True
        return self._config.skip_uniform and is_uniform(
            chip, self._predictor.values.std, contrast=self._config.uniform_contrast
        )

    def _own(self, batch: BatchResult) -> BandPart:
        """Return the detections that the windows of a batch own."""
        parts = [BandPart.concatenate([])]
        for index, decoded in zip(batch.indices, batch.found, strict=True):
            window = self.grid[index]
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
            parts.append(BandPart(owned, cut, capped=decoded.capped))
        return replace(BandPart.concatenate(parts), empty=len(batch.empty))

    def _merge(self, part: BandPart, waiting_from: int) -> list[Detections]:
        """Pass what windows own to the merger, and return what is final now."""
        self.counts.empty_chips += part.empty
        self.counts.capped += part.capped
        self._found += len(part.detections)
        self._merger.add(part.detections, part.cut)
        with self._watch.measure("merge"):
            return self._settle(waiting_from)

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

    def _report(self, seen: Sequence[int], *, resumed: bool = False) -> None:
        total, pixels = len(self._wanted), self._count_pixels(seen)
        step = DetectProgress(self._scene.name, len(seen), total, pixels, self._found)
        self._progress(replace(step, resumed=resumed))

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
