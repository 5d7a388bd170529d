"""Detect with several worker processes on one machine: the rows of one process."""

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
from geodet.jobs.job_plan import JobPlan, WindowNumbers, plan_bands
from geodet.jobs.merge import begin_merge, describe_values
from geodet.jobs.worker_pool import WorkerPool, divide_tasks, scene_error
from geodet.jobs.worker_process import Done, Failed, WorkerSetup, share_of_machine
from geodet.models.model import Model

__all__ = ["PooledRun", "begin_run"]


class PooledRun(LayerRun):
    """A detection whose bands several processes search, to be iterated over once.

    Args:
        scenes: As for :class:`geodet.detection.detect.DetectionRun`.
        outputs: As for it.
        model: What to look for.
        config: The settings.
        options: Area of interest, formats, and what else the settings do not hold; the first device
            is used to plan.
        devices: The device of each process.
        progress: Called when a band is merged.
        prepare: Called first in each process, with its device.

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
        devices: Sequence[str],
        *,
        progress: Callable[[DetectProgress], None] = lambda _: None,
        prepare: Callable[[str], None] | None = None,
    ) -> None:
        self._devices, self._prepare = tuple(devices), prepare
        chosen = replace(options, device=devices[0])
        prepared = prepare_run(scenes, outputs, model, config, chosen)
        super().__init__(prepared, outputs, chosen, progress)

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
        tasks = divide_tasks(missing.items(), len(self._devices))
        count = min(len(self._devices), len(tasks))
        pool = stack.enter_context(WorkerPool([self._set_up(plan, store, n) for n in range(count)]))
        pool.add(tasks)
        return _PooledScenes(plan, store, missing, pool, self, journal)

    def describe_values(self, plan: JobPlan) -> dict[str, str]:
        """Return the values that count as dark and bright, by data type."""
        return describe_values(plan, self._prepared.model.description)

    def _set_up(self, plan: JobPlan, store: Callable[[int], BandStore], number: int) -> WorkerSetup:
        device, count = self._devices[number], len(self._devices)
        threads, readers = share_of_machine(device, count, plan.config.workers)
        return WorkerSetup(
            plan,
            replace(self._prepared.model),  # without the network, if it was loaded
            store,
            device,
            self._predictor.precision,
            threads,
            readers,
            self._prepare,
        )


def begin_run(
    scenes: Sequence[str | Path],
    outputs: Sequence[Path],
    model: Model,
    config: DetectConfig,
    options: DetectOptions,
    devices: Sequence[str],
    *,
    progress: Callable[[DetectProgress], None] = lambda _: None,
    prepare: Callable[[str], None] | None = None,
) -> LayerRun:
    """Return a detection in this process where one device is named, else in a process for each.

    Args:
        scenes: As for :class:`geodet.detection.detect.DetectionRun`.
        outputs: As for it.
        model: What to look for.
        config: The settings.
        options: Area of interest, formats, and what else the settings do not hold.
        devices: The device of each process.
        progress: Called after each batch, or with several processes when a band is merged.
        prepare: Called first in each worker process, with its device.

    Raises:
        GeodetError: As ``DetectionRun`` raises them.
    """
    if len(devices) == 1:
        alone = replace(options, device=devices[0])
        return DetectionRun(scenes, outputs, model, config, alone, progress=progress)
    return PooledRun(
        scenes, outputs, model, config, options, devices, progress=progress, prepare=prepare
    )


class _PooledScenes:
    """The parts that worker processes write, waited for in order."""

    def __init__(
        self,
        plan: JobPlan,
        store: Callable[[int], BandStore],
        missing: Mapping[int, list[int]],
        pool: WorkerPool,
        run: PooledRun,
        journal: Journal | None,
    ) -> None:
        self._plan, self._store, self._pool, self._journal = plan, store, pool, journal
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
                    f"{store.folder} lacks band {band}, which was there a moment ago",
                    hint="run the command again, and leave the folder alone meanwhile",
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
            elif isinstance(event, Failed):
                path = self._plan.scenes[event.number].planned.path
                self._failed.setdefault(event.number, scene_error(event, path))


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
