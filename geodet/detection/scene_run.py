"""Detect in one scene window by window, in memory that does not grow with the scene."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from geodet.config import DetectConfig
from geodet.detection.band_parts import BandPart
from geodet.detection.band_search import BandPiece, BandSearch
from geodet.detection.journal import SceneJournal
from geodet.detection.predictor import Predictor
from geodet.detection.progress import DetectCounts, DetectProgress
from geodet.detection.scene_merge import SceneMerge
from geodet.detection.scene_windows import SceneWindows, cut_scene
from geodet.detection.stopwatch import Stopwatch
from geodet.detection.window_plan import WindowPlan, plan_windows, warn_of_seams
from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.raster.scene import Scene
from geodet.vector.area_of_interest import AreaOfInterest

__all__ = ["PiecesRun", "SceneResult", "SceneRun", "detect_scene"]

logger = logging.getLogger(__name__)


class SceneResult(NamedTuple):
    """The detections of one scene."""

    detections: Detections
    """In the scene's own pixels, ranked."""
    capped: int
    """Candidates dropped by the caps of the configuration."""


class PiecesRun:
    """Detection in one scene from pieces that are searched elsewhere, to be iterated over once.

    The detections come in parts from top to bottom, each as soon as no later window can change it:
    neither the scene nor its detections have to fit in memory. All parts together are the same for
    any number of workers and, apart from rounding in the convolutions, for any batch size.

    Args:
        name: Name of the scene.
        windows: How it is cut.
        merge: Merges the detections of the windows.
        iter_pieces: Yields the detections of the windows, all bands in order.
        watch: Times the stages.
        progress: Called after each piece.
    """

    def __init__(
        self,
        name: str,
        windows: SceneWindows,
        merge: SceneMerge,
        iter_pieces: Callable[[], Generator[BandPiece, None, None]],
        *,
        watch: Stopwatch | None = None,
        progress: Callable[[DetectProgress], None] = lambda _: None,
    ) -> None:
        self._name, self._windows, self._merge = name, windows, merge
        self._iter_pieces, self._progress = iter_pieces, progress
        self._watch = watch or Stopwatch()
        self._found = 0
        self.counts = DetectCounts(
            chips=len(windows.wanted), megapixels=windows.count_pixels(windows.wanted) / 1e6
        )
        """Counts of the scene; complete after the last part."""
        self.not_examined: dict[Window, str] = {}
        """Areas that could not be read, in the scene's own pixels, and why."""
        self.no_data: list[Window] = []
        """Areas without data, in the pixels of the scene's grid."""

    def __iter__(self) -> Iterator[Detections]:
        """Yield the detections in the scene's own pixels, each part ranked."""
        with closing(self._iter_pieces()) as pieces:
            for piece in pieces:
                self._count(piece)
                with self._watch.measure("merge"):
                    settled = self._merge.add(piece)
                self._report(piece)
                yield from settled
        with self._watch.measure("merge"):
            rest = self._merge.finish()
        yield rest

    def _count(self, piece: BandPiece) -> None:
        self.counts.empty_chips += piece.part.empty
        self.counts.capped += piece.part.capped
        self._found += len(piece.part.detections)
        self.not_examined.update(piece.part.not_examined)
        self.no_data += piece.part.no_data
        self.counts.not_examined = len(self.not_examined)

    def _report(self, piece: BandPiece) -> None:
        total, pixels = len(self._windows.wanted), self._windows.count_pixels(piece.windows)
        step = DetectProgress(self._name, len(piece.windows), total, pixels, self._found)
        self._progress(replace(step, resumed=piece.resumed))


class SceneRun(PiecesRun):
    """Detection in one open scene, to be iterated over once, see :class:`PiecesRun`.

    Args:
        scene: Read window by window, in its grid.
        predictor: Finds the objects of chips.
        config: The settings of windows, batches and reader threads.
        aoi: Area of interest in the scene's own pixels; None: all of the scene.
        watch: Times the stages.
        progress: Called after each batch.
        journal: Stores the part of each finished band; bands that it has are not computed.
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
        iou_threshold = predictor.iou_threshold
        windows = cut_scene(
            _plan_windows(scene, predictor, config, journal),
            iou_threshold=iou_threshold,
            aoi=aoi,
            scale=scene.scale,
        )
        self.grid = windows.grid
        """The windows."""
        if len(self.grid) > 1:
            warn_of_seams(config)
        self._journal = journal
        self._search = BandSearch(
            scene, predictor, config, windows, aoi=aoi, watch=watch, journal=journal
        )
        size = (scene.geobox.width, scene.geobox.height)
        merge = SceneMerge(windows, size, config, iou_threshold=iou_threshold, aoi=aoi)
        super().__init__(
            scene.name, windows, merge, self._find_pieces, watch=watch, progress=progress
        )

    def _find_pieces(self) -> Generator[BandPiece, None, None]:
        """Yield pieces from the journal and from the search, band by band."""
        bands = self._windows.bands
        finished = {number for number in range(len(bands)) if self._is_finished(number)}
        if finished:
            logger.info(
                "%s: %d of %d bands of windows were finished by an earlier run",
                self._name,
                len(finished),
                len(bands),
            )
        missing = [number for number in range(len(bands)) if number not in finished]
        with closing(self._search.run(missing)) as found:
            for number, band in enumerate(bands):
                if number in finished:
                    yield BandPiece(self._take(number), band, band[-1] + 1, resumed=True)
                    continue
                left = len(band)
                while left:
                    piece = next(found)
                    left -= len(piece.windows)
                    yield piece

    def _is_finished(self, number: int) -> bool:
        return self._journal is not None and self._journal.read(number) is not None

    def _take(self, number: int) -> BandPart:
        part = self._journal.read(number) if self._journal is not None else None
        if part is None:
            raise OutputError(
                f"band {number} of {self._name} was removed from the journal during the run",
                hint="run the command again, and do not change the .partial folder while it runs",
            )
        return part


def detect_scene(scene: Scene, predictor: Predictor, config: DetectConfig) -> SceneResult:
    """Detect objects in one open scene and hold them all in memory, see :class:`SceneRun`.

    Args:
        scene: Read window by window, in its grid.
        predictor: Finds the objects of chips.
        config: The settings of windows, batches and reader threads.
    """
    run = SceneRun(scene, predictor, config)
    return SceneResult(Detections.concatenate(list(run)).ranked(), run.counts.capped)


def _plan_windows(
    scene: Scene, predictor: Predictor, config: DetectConfig, journal: SceneJournal | None
) -> WindowPlan:
    """Choose the windows, or take those of the journal."""
    first_cell = scene.geobox.first_cell(scene.grid)
    plan = plan_windows(
        predictor, config, *scene.grid, limits=scene.window_limits, first_cell=first_cell
    )
    if journal is None:
        return plan
    return WindowPlan.from_numbers(scene.grid, journal.choose_windows(plan.numbers))
