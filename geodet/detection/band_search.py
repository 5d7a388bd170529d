"""Search the bands of one open scene: what their windows own, batch by batch."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from geodet.config import DetectConfig
from geodet.detection.band_parts import BandPart, BandStore
from geodet.detection.batches import BatchPipeline, BatchResult, ChipBatch, iter_batches
from geodet.detection.blank_ground import choose_cell, list_blank
from geodet.detection.chip_reading import count_readers, is_uniform, iter_chips
from geodet.detection.predictor import Predictor
from geodet.detection.scene_windows import CUT_PX, SceneWindows
from geodet.detection.stopwatch import Stopwatch
from geodet.geometry.windows import Window
from geodet.merging.fragments import cut_sides
from geodet.merging.merger import keep_owned
from geodet.raster.chip import Chip
from geodet.raster.scene import Scene
from geodet.vector.area_of_interest import AreaOfInterest

__all__ = ["BandPiece", "BandSearch"]

logger = logging.getLogger(__name__)


class BandPiece(NamedTuple):
    """The detections that some windows of a band own: those of a batch, or all of them."""

    part: BandPart
    """The detections, and the areas that were not examined."""
    windows: Sequence[int]
    """Indices of the windows."""
    waiting_from: int
    """Every window below this index is in this piece or in one before it."""
    resumed: bool = False
    """Whether an earlier run has computed it."""


class BandSearch:
    """Searches bands of one scene.

    No batch has windows of two bands, see :func:`geodet.detection.window_plan.list_bands`. So any
    bands may be left out, and what is found in the others is the same to the last digit.

    Args:
        scene: Read window by window, in its grid.
        predictor: Finds the objects of chips.
        config: The settings of batches and reader threads.
        windows: How the scene is cut.
        aoi: Area of interest in the scene's own pixels; None: all of the scene.
        watch: Times the stages.
        journal: Gets the part of each band when it is finished; None keeps nothing.
    """

    def __init__(
        self,
        scene: Scene,
        predictor: Predictor,
        config: DetectConfig,
        windows: SceneWindows,
        *,
        aoi: AreaOfInterest | None = None,
        watch: Stopwatch | None = None,
        journal: BandStore | None = None,
    ) -> None:
        self._scene, self._predictor, self._config = scene, predictor, config
        self._windows, self._aoi, self._journal = windows, aoi, journal
        self._watch = watch or Stopwatch()
        self._cell = choose_cell(windows.grid.width, windows.grid.height)
        self._blank: dict[int, tuple[Window, ...]] = {}  # by window, until its band is finished
        self._pipeline = BatchPipeline(predictor, overlaps=not self._watch.settles)

    def run(self, numbers: Sequence[int]) -> Generator[BandPiece, None, None]:
        """Compute bands, and yield what each batch finds.

        The part of a band is in the journal before its last piece is yielded.

        Args:
            numbers: Numbers of the bands, in rising order.

        Raises:
            SceneError: A window cannot be read.
            OutputError: The journal cannot be written.
        """
        bands = [self._windows.bands[number] for number in numbers]
        with (  # ends the threads, also after an error
            closing(self._iter_chips(bands)) as chips,
            closing(self._pipeline.run(self._iter_batches(chips, bands))) as results,
        ):
            for number in numbers:
                yield from self._run_band(number, results)

    def _run_band(self, number: int, results: Iterator[BatchResult]) -> Iterator[BandPiece]:
        band, parts, seen = self._windows.bands[number], list[BandPart](), 0
        logger.debug("%s: band %d is computed", self._scene.name, number)
        while seen < len(band):
            batch = next(results)
            windows = [*batch.indices, *batch.empty]
            seen += len(windows)
            part = self._own(batch)
            if seen == len(band):
                blank = tuple(one for index in band for one in self._blank.pop(index, ()))
                part = replace(part, not_examined=self._list_unreadable(band), no_data=blank)
            if self._journal is not None:
                parts.append(part)
                if seen == len(band):
                    with self._watch.measure("journal"):
                        self._journal.write(number, BandPart.concatenate(parts))
                    logger.debug("%s: band %d is finished", self._scene.name, number)
            yield BandPiece(part, windows, batch.waiting_from)

    def _list_unreadable(self, band: Sequence[int]) -> dict[Window, str]:
        """List the areas of a band that could not be read, and why."""
        grid = self._windows.grid
        places = [self._scene.source_area(grid[index]) for index in band]
        areas = self._scene.unreadable.meeting(places)
        if self._aoi is None:
            return areas
        return {area: why for area, why in areas.items() if self._aoi.touches(area, margin=0)}

    def _iter_chips(
        self, bands: Sequence[Sequence[int]]
    ) -> Generator[tuple[int, Chip], None, None]:
        device = self._predictor.device.type
        is_remote = self._scene.is_remote
        workers = count_readers(self._config.workers, device, is_remote=is_remote)
        return iter_chips(
            self._scene,
            self._windows.grid,
            workers=workers,
            ahead=max(2 * self._windows.batch_size, workers),
            indices=[index for band in bands for index in band],
        )

    def _iter_batches(
        self, chips: Iterator[tuple[int, Chip]], bands: Sequence[Sequence[int]]
    ) -> Iterator[ChipBatch]:
        timed = map(self._note_blank, self._watch.measure_each("read", chips))
        size = self._windows.batch_size
        for band in bands:
            some = islice(timed, len(band))
            yield from iter_batches(some, batch_size=size, is_blank=self._is_blank)

    def _note_blank(self, read: tuple[int, Chip]) -> tuple[int, Chip]:
        """Note where a chip has no data."""
        index, chip = read
        grid = self._windows.grid
        if found := list_blank(chip.valid, grid[index], grid.core(index), cell=self._cell):
            self._blank[index] = found
        return read

    def _is_blank(self, chip: Chip) -> bool:
        if not chip.valid.any():
            return True
        return self._config.skip_uniform and is_uniform(
            chip, self._predictor.values.std, contrast=self._config.uniform_contrast
        )

    def _own(self, batch: BatchResult) -> BandPart:
        """Return the detections that the windows of a batch own."""
        grid, parts = self._windows.grid, [BandPart.concatenate([])]
        for index, decoded in zip(batch.indices, batch.found, strict=True):
            window = grid[index]
            here = decoded.detections.shifted(window.col_off, window.row_off)
            owned = keep_owned(here, grid.core(index), slack=self._windows.slack)
            # The merger relies on it: no box begins farther before its window than the overlap.
            corner = self._windows.first_corner(index)
            owned.boxes[:] = owned.boxes.clip(min=corner * 2)
            cut = cut_sides(owned, window, width=grid.width, height=grid.height, tolerance=CUT_PX)
            parts.append(BandPart(owned, cut, capped=decoded.capped))
        return replace(BandPart.concatenate(parts), empty=len(batch.empty))
