"""Merge the parts of a job into outputs: the rows of one process that does it all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from geodet.detection.band_parts import BandPart
from geodet.detection.band_search import BandPiece
from geodet.detection.detect_options import DetectOptions, check_outputs
from geodet.detection.detect_report import SceneRecord
from geodet.detection.detection_plan import DetectionPlan, PlannedScene, check_files
from geodet.detection.journal import Journal
from geodet.detection.layer_run import LayerRun
from geodet.detection.open_scenes import OpenScenes
from geodet.detection.photographed_scenes import are_placed_by_cameras
from geodet.detection.prepared_run import PreparedRun
from geodet.detection.progress import DetectProgress
from geodet.detection.scene_files import is_per_scene
from geodet.detection.scene_merge import SceneMerge
from geodet.detection.scene_run import PiecesRun
from geodet.detection.scene_source import SceneSource
from geodet.detection.scene_windows import SceneWindows
from geodet.detection.stopwatch import Stopwatch
from geodet.detection.value_range import describe_range
from geodet.errors import OutputError, SceneError
from geodet.geometry.geobox import WGS_84
from geodet.geometry.scene_detections import common_crs
from geodet.geometry.windows import Window
from geodet.jobs.job_folder import JobFolder
from geodet.jobs.job_plan import CHANGED, CHANGED_HINT, JobPlan
from geodet.jobs.placed_parts import PlacedParts
from geodet.models.description import ModelDescription
from geodet.vector.write_detections import check_scene_names

__all__ = ["MergeRun", "begin_merge", "describe_values"]

logger = logging.getLogger(__name__)

_MOST_NAMED = 3  # scenes with missing parts


class MergeRun(LayerRun):
    """A run that takes what is found from the parts of a job; yields what it writes.

    Neither the scenes nor the network are needed. Memory does not grow with the job.

    Args:
        job: The job.
        outputs: Files, as for a detection.
        options: Formats, and whether files are replaced or appended to.
        allow_missing: Whether bands without a part that can be used are written as not examined.
        progress: Called after each part.

    Raises:
        OutputError: Parts are missing, cannot be used or read, or an output exists or cannot
            be written.
        ConfigError: The options contradict each other.
    """

    def __init__(
        self,
        job: JobFolder,
        outputs: Sequence[Path],
        options: DetectOptions,
        *,
        allow_missing: bool = False,
        progress: Callable[[DetectProgress], None] = lambda _: None,
    ) -> None:
        self._job = job
        started, plan = time.monotonic(), _to_plan(job.plan, outputs)
        paths = [record.path for record in plan.records]
        check_outputs(paths, outputs, options)
        check_files(outputs, paths, options)
        for output in outputs:
            check_scene_names(output, [one.name for one in plan.scenes], format=options.format)
        self._allow_missing = allow_missing
        self._failures = _check_complete(job, allow_missing=allow_missing)
        prepared = PreparedRun(
            plan=plan,
            model=job.model,
            config=job.plan.config,
            predictor=job.recorded_facts(),
            opened=OpenScenes(job.model.description, job.plan.config),
            watch=Stopwatch(),
            fingerprint={"job": job.plan.identifier},
            started=started,
        )
        super().__init__(prepared, outputs, options, progress)

    def _open_source(self, journal: Journal | None, stack: ExitStack) -> SceneSource:  # noqa: ARG002
        """Take the detections from the parts."""
        return _StoredScenes(self._job, self._failures, allow_missing=self._allow_missing)


class _StoredScenes:
    """The parts of a job, in place of scenes."""

    def __init__(self, job: JobFolder, failures: Mapping[int, str], *, allow_missing: bool) -> None:
        self._job, self._failures, self._allow_missing = job, failures, allow_missing
        self.values = describe_values(job.plan, job.model.description)

    def begin(
        self, number: int, planned: PlannedScene, progress: Callable[[DetectProgress], None]
    ) -> PiecesRun:
        if number in self._failures:
            reason = self._failures[number]
            hint = f"geodet detect --job {self._job.folder} computes it where it can be read"
            hint = CHANGED_HINT if CHANGED in reason else hint
            raise SceneError(reason, hint=hint, path=planned.path)
        return begin_merge(
            self._job.plan,
            number,
            lambda windows: self._iter_pieces(number, windows),
            progress=progress,
        )

    def end(self, planned: PlannedScene) -> None:
        pass

    def note_unreadable(self, number: int) -> None:
        pass

    def _iter_pieces(self, number: int, windows: SceneWindows) -> Generator[BandPiece, None, None]:
        store, planned = self._job.store(number), self._job.plan.scenes[number].planned
        for band, indices in enumerate(windows.bands):
            part = self._read(store, band) or _missing_part(windows, indices, planned)
            yield BandPiece(part, indices, indices[-1] + 1, resumed=True)

    def _read(self, store: PlacedParts, band: int) -> BandPart | None:
        """Read the part of a band; None where it may be missing, and is, or cannot be used."""
        path, computes = store.path_of(band), f"geodet detect --job {self._job.folder}"
        try:
            return store.read_intact(band)
        except FileNotFoundError as error:
            if self._allow_missing:
                return None
            raise OutputError(
                f"{path} no longer exists",
                hint=f"{computes} computes it again; do not change the folder meanwhile",
                path=path,
            ) from error
        except ValueError as error:
            if self._allow_missing:
                logger.warning("%s cannot be merged: %s", path, error)
                return None
            raise OutputError(
                f"{path} cannot be merged: {error}",
                hint=f"remove it, and {computes} computes it again; --allow-missing writes it as "
                "not examined",
                path=path,
            ) from error


def begin_merge(
    plan: JobPlan,
    number: int,
    iter_pieces: Callable[[SceneWindows], Generator[BandPiece, None, None]],
    *,
    progress: Callable[[DetectProgress], None],
) -> PiecesRun:
    """Begin to merge what others have found in a scene of a job.

    Args:
        plan: The job.
        number: Number of the scene.
        iter_pieces: Yields what is found, band by band, given how the scene is cut.
        progress: Called after each piece.
    """
    planned, windows = plan.scenes[number].planned, plan.cut(number)
    size = (planned.geobox.width, planned.geobox.height)
    merge = SceneMerge(
        windows, size, plan.config, iou_threshold=plan.iou_threshold, aoi=planned.aoi
    )
    return PiecesRun(planned.name, windows, merge, lambda: iter_pieces(windows), progress=progress)


def describe_values(plan: JobPlan, about: ModelDescription) -> dict[str, str]:
    """Return the values that count as dark and bright, by data type, where they were chosen."""
    chosen = {dtype: values for dtype, values in plan.values.items() if values is not None}
    return {dtype: describe_range(values, about) for dtype, values in chosen.items()}


def _to_plan(job: JobPlan, outputs: Sequence[Path]) -> DetectionPlan:
    scenes = tuple(scene.planned for scene in job.scenes)
    has_own_files = any(map(is_per_scene, outputs))
    geoboxes = {scene.name: scene.geobox for scene in scenes}
    are_placed = not has_own_files and are_placed_by_cameras(geoboxes, job.images)
    crs = scenes[0].geobox.crs if has_own_files else common_crs([one.footprint for one in scenes])
    failed = {
        one.scene: SceneError(one.reason, hint="") for one in job.records if one.status == "failed"
    }
    records: tuple[SceneRecord, ...] = tuple(replace(record) for record in job.records)
    layer = WGS_84 if are_placed else crs
    return DetectionPlan(scenes, layer, records, failed, job.images, are_placed)


def _check_complete(job: JobFolder, *, allow_missing: bool) -> dict[int, str]:
    """Check that every band has a part, but for scenes that could not be read.

    Returns:
        Why these could not be read, by their numbers.

    Raises:
        OutputError: Parts are missing, or the system does not let one be read.
    """
    failures, lacking, count = dict[int, str](), dict[str, list[int]](), 0
    for number, scene in enumerate(job.plan.scenes):
        if missing := job.list_missing(number, strict=True):
            if reason := job.read_failure(number):
                failures[number] = reason
            else:
                lacking[scene.planned.name] = missing
                count += len(missing)
    if not lacking or allow_missing:
        return failures
    named = "; ".join(f"{name}: {_ranges(bands)}" for name, bands in _first(lacking))
    more = f"; and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
    bands = sum(len(scene.bands) for scene in job.plan.scenes)
    raise OutputError(
        f"{count} of {bands} bands of {job.folder} are not computed yet: {named}{more}",
        hint=f"geodet detect --job {job.folder} computes them; --allow-missing writes them as not "
        "examined",
        path=job.folder,
    )


def _first(lacking: Mapping[str, list[int]]) -> list[tuple[str, list[int]]]:
    return list(lacking.items())[:_MOST_NAMED]


def _ranges(bands: Sequence[int]) -> str:
    """Name the numbers of bands: 0-3, 7."""
    cuts = np.flatnonzero(np.diff(bands) > 1) + 1
    runs = np.split(np.asarray(bands), cuts)
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _missing_part(windows: SceneWindows, indices: Sequence[int], planned: PlannedScene) -> BandPart:
    """Return the part of a band that nothing has searched."""
    (sx, sy), grid = planned.scale, windows.grid
    first, last = (grid.windows_of_line(grid.line(index)) for index in (indices[0], indices[-1]))
    cores = grid.core(first[0]), grid.core(last[-1])
    left, right = round(cores[0].col_off * sx), round(cores[1].col_end * sx)
    top, bottom = round(cores[0].row_off * sy), round(cores[1].row_end * sy)
    area = Window(left, top, max(right - left, 1), max(bottom - top, 1))
    return replace(BandPart.concatenate([]), not_examined={area: "it was not computed"})
