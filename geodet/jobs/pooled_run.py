"""Detect with several workers, processes of this machine or others: the rows of one process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from geodet.config import DetectConfig
from geodet.detection.band_parts import BandStore
from geodet.detection.band_search import BandPiece
from geodet.detection.detect import DetectionRun, prepare_run
from geodet.detection.detect_options import DetectOptions
from geodet.detection.detection_plan import PlannedScene
from geodet.detection.journal import Journal
from geodet.detection.layer_run import LayerRun
from geodet.detection.progress import DetectProgress
from geodet.detection.scene_run import PiecesRun
from geodet.detection.scene_source import SceneSource
from geodet.detection.scene_windows import SceneWindows
from geodet.errors import OutputError, SceneError
from geodet.jobs.fleet_progress import FleetProgress
from geodet.jobs.job_plan import JobPlan, WindowNumbers, plan_bands
from geodet.jobs.merge import begin_merge, describe_values
from geodet.jobs.pool_engines import Pool, PoolEngine
from geodet.jobs.worker_pool import scene_error
from geodet.jobs.worker_process import Done, Failed
from geodet.models.model import Model

__all__ = ["PooledRun", "begin_detection"]


class PooledRun(LayerRun):
    """A detection whose bands several processes search, to be iterated over once.

    Args:
        scenes: As for :class:`geodet.detection.detect.DetectionRun`.
        outputs: As for it.
        model: What to look for.
        config: The settings.
        options: Area of interest, formats, and what else the settings do not hold; the device
            is that of the engine.
        engine: Starts the workers.
        progress: Called when workers have searched bands, with the progress of all of them.

    Raises:
        GeodetError: As ``DetectionRun`` raises them.
    """

    def __init__(
        self,
        scenes: Sequence[str | Path],
        outputs: Sequence[Path],
        model: Model,
        config: DetectConfig,
        options: DetectOptions,
        engine: PoolEngine,
        *,
        progress: Callable[[DetectProgress], None] = lambda _: None,
    ) -> None:
        self._engine, self._show = engine, progress
        chosen = replace(options, device=engine.device)
        prepared = prepare_run(scenes, outputs, model, config, chosen)
        super().__init__(prepared, outputs, chosen, lambda _: None)

    def _open_source(self, journal: Journal | None, stack: ExitStack) -> SceneSource:
        """Start the processes; their parts are in the journal, or else in a temporary folder."""
        folder = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="geodet-")))
            if journal is None
            else journal.folder
        )
        plan = plan_bands(self._prepared, "", keep=partial(_keep_windows, journal))
        store = partial(_store, folder)
        missing = _list_missing(plan, store)
        model, precision = self._prepared.model, self._predictor.precision
        others = sum(
            size
            for number, scene in enumerate(plan.scenes)
            for band, size in enumerate(scene.bands)
            if band not in missing.get(number, ())
        )
        fleet = FleetProgress(plan, missing.items(), self._show, others=others)
        pool = self._engine.open(plan, model, precision, store, missing.items())
        stack.callback(pool.close)
        return _PooledScenes(plan, store, missing, pool, self, fleet, journal)

    def describe_values(self, plan: JobPlan) -> dict[str, str]:
        """Return the values that count as dark and bright, by data type."""
        return describe_values(plan, self._prepared.model.description)


def begin_detection(
    scenes: Sequence[str | Path],
    outputs: Sequence[Path],
    model: Model,
    config: DetectConfig,
    options: DetectOptions,
    engine: PoolEngine | None,
    *,
    progress: Callable[[DetectProgress], None] = lambda _: None,
) -> LayerRun:
    """Return a detection in this process, or in the workers of an engine.

    Args:
        scenes: As for :class:`geodet.detection.detect.DetectionRun`.
        outputs: As for it.
        model: What to look for.
        config: The settings.
        options: Area of interest, formats, and what else the settings do not hold.
        engine: Starts the workers; None: this process searches.
        progress: Called after each batch, or with workers when these have searched bands.

    Raises:
        GeodetError: As ``DetectionRun`` raises them.
    """
    if engine is None:
        return DetectionRun(scenes, outputs, model, config, options, progress=progress)
    return PooledRun(scenes, outputs, model, config, options, engine, progress=progress)


class _PooledScenes:
    """The parts that worker processes write, waited for in order."""

    def __init__(
        self,
        plan: JobPlan,
        store: Callable[[int], BandStore],
        missing: Mapping[int, list[int]],
        pool: Pool,
        run: PooledRun,
        fleet: FleetProgress,
        journal: Journal | None,
    ) -> None:
        self._plan, self._store, self._fleet, self._journal = plan, store, fleet, journal
        self._waited = {(number, band) for number, bands in missing.items() for band in bands}
        self._computed = frozenset(self._waited)
        self._events = iter(pool)
        self._failed: dict[int, SceneError] = {}
        self.values = run.describe_values(plan)

    def begin(
        self, number: int, planned: PlannedScene, progress: Callable[[DetectProgress], None]
    ) -> PiecesRun:
        assert self._plan.scenes[number].planned.name == planned.name
        pieces = partial(self._iter_pieces, number)
        return begin_merge(self._plan, number, pieces, progress=progress)

    def end(self, planned: PlannedScene) -> None:
        pass

    def note_unreadable(self, number: int) -> None:
        if self._journal is not None:
            self._journal.note_unreadable(number)

    def _iter_pieces(self, number: int, windows: SceneWindows) -> Generator[BandPiece, None, None]:
        store = self._store(number)
        for band, indices in enumerate(windows.bands):
            self._wait_for(number, band)
            part = store.read(band)
            if part is None:
                raise OutputError(
                    f"{store.folder} has lost the band of windows {band} during the run",
                    hint="run the command again, and do not change the folder meanwhile",
                )
            is_old = (number, band) not in self._computed
            yield BandPiece(part, indices, indices[-1] + 1, resumed=is_old)

    def _wait_for(self, number: int, band: int) -> None:
        while (number, band) in self._waited:
            if number in self._failed:
                raise self._failed[number]
            event = next(self._events)
            if isinstance(event, Done):
                self._waited -= {(event.number, one) for one in event.bands}
                self._fleet.note_done(event.number, event.bands, event.found)
            elif isinstance(event, Failed):
                path = self._plan.scenes[event.number].planned.path
                self._failed.setdefault(event.number, scene_error(event, path))
                self._fleet.note_failure(event.number)


def _keep_windows(journal: Journal | None, number: int, numbers: WindowNumbers) -> WindowNumbers:
    return numbers if journal is None else journal.open_scene(number).choose_windows(numbers)


def _store(folder: Path, number: int) -> BandStore:
    """Return the parts of a scene, where the journal of a single process has them."""
    return BandStore(folder / f"{number:04d}")


def _list_missing(plan: JobPlan, store: Callable[[int], BandStore]) -> dict[int, list[int]]:
    """List the bands of each scene that have no part, or one that is not intact."""
    found = {number: list(_iter_missing(plan, store, number)) for number in range(len(plan.scenes))}
    return {number: bands for number, bands in found.items() if bands}


def _iter_missing(plan: JobPlan, store: Callable[[int], BandStore], number: int) -> Iterator[int]:
    for band in range(len(plan.scenes[number].bands)):
        if store(number).read(band) is None:
            yield band
