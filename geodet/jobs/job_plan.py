"""The plan of a job: all that its shards need to know, and the same for each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from geodet.config import DetectConfig
from geodet.detection.detect_report import SceneRecord
from geodet.detection.detection_plan import DetectionPlan, PlannedScene
from geodet.detection.prepared_run import PreparedRun
from geodet.detection.scene_source import choose_values
from geodet.detection.scene_windows import SceneWindows, cut_scene
from geodet.detection.window_plan import WindowPlan, count_band_rows, plan_windows, warn_of_seams
from geodet.geometry.windows import WindowLimits
from geodet.models.input_values import InputValues
from geodet.photographs.photograph import Photographs
from geodet.raster.scene_identity import identify_scene

__all__ = ["CHANGED", "CHANGED_HINT", "JobPlan", "JobScene", "WindowNumbers", "plan_bands"]

CHANGED = "has changed since the job was planned"
"""In the error of a scene that is not what was planned."""
CHANGED_HINT = (
    "plan a new job for the changed scene, and merge it into the same file with --append; copy "
    "scenes with their times (rsync -t, cp -p), because a new time counts as a change"
)

_STRIDES = 2**12  # a multiple of the stride of every network

WindowNumbers = Mapping[str, int]
"""How a scene is cut: ``size``, ``overlap``, ``align`` and ``batch_size``; in a plan ``band_rows``
as well."""


@dataclass(frozen=True, slots=True)
class JobScene:
    """A scene of a job, and how it is cut."""

    planned: PlannedScene
    """The scene."""
    identity: str
    """Differs when the scene has been edited, see :func:`identify_scene`."""
    numbers: WindowNumbers
    """The windows; chosen once, since they depend on the free memory."""
    bands: tuple[int, ...]
    """Pixels of each of its bands."""
    windows: int
    """Number of the windows that are computed."""

    def cut(self, iou_threshold: float) -> SceneWindows:
        """Return the windows and the bands."""
        return _cut(self.planned, self.numbers, iou_threshold)


@dataclass(frozen=True, slots=True)
class JobPlan:
    """The scenes of a job, and everything that what is found in them depends on."""

    identifier: str
    """Differs for other scenes or windows, another model or other settings."""
    scenes: tuple[JobScene, ...]
    """In the order given, without those that do not meet the area of interest."""
    records: tuple[SceneRecord, ...]
    """The record of each given scene; so far only of those that are left out."""
    config: DetectConfig
    """The settings."""
    device: str
    """Kind of the device that the windows were chosen for: ``cpu`` or ``cuda``."""
    iou_threshold: float
    """IoU threshold of the suppression of duplicates."""
    values: Mapping[str, InputValues | None]
    """The input statistics by data type, chosen from samples of the scenes; None: the model's."""
    images: Photographs = field(default_factory=dict)
    """Metadata of the scenes without a georeference, by name."""

    def cut(self, number: int) -> SceneWindows:
        """Return the windows of a scene, by its number from 0."""
        return self.scenes[number].cut(self.iou_threshold)


def plan_bands(
    prepared: PreparedRun,
    identifier: str,
    *,
    keep: Callable[[int, WindowNumbers], WindowNumbers] = lambda _, numbers: numbers,
) -> JobPlan:
    """Cut the scenes of a run into bands, and choose what all of its processes must agree on.

    Args:
        prepared: The scenes, open as far as they are sampled.
        identifier: Identifier of the job.
        keep: Returns how a scene was cut before, given its number and how it would be cut now.

    Raises:
        SceneError: A scene cannot be read any more.
    """
    plan, config = prepared.plan, prepared.config
    threshold = prepared.predictor.iou_threshold
    chosen = {_shape(scene): scene for scene in plan.scenes}
    numbers = {shape: _choose_numbers(scene, prepared) for shape, scene in chosen.items()}
    scenes = [
        _plan_scene(scene, keep(number, numbers[_shape(scene)]), threshold)
        for number, scene in enumerate(plan.scenes)
    ]
    if any(scene.windows > 1 for scene in scenes):
        warn_of_seams(config)
    return JobPlan(
        identifier,
        tuple(scenes),
        plan.records,
        config,
        prepared.predictor.device.type,
        threshold,
        _choose_all_values(prepared, plan),
        plan.images,
    )


def _choose_numbers(scene: PlannedScene, prepared: PreparedRun) -> WindowNumbers:
    about = prepared.predictor, prepared.config
    return plan_windows(
        *about, *scene.grid, limits=scene.limits, first_cell=scene.first_cell
    ).numbers


def _plan_scene(scene: PlannedScene, numbers: WindowNumbers, threshold: float) -> JobScene:
    plan = WindowPlan.from_numbers(scene.grid, numbers)
    numbers = {**numbers, "band_rows": count_band_rows(*plan)}
    if scene.aoi is None:
        bands, windows = _count_whole(plan, numbers["band_rows"], threshold)
    else:
        bands, windows = _count(_cut(scene, numbers, threshold))
    return JobScene(scene, identify_scene(scene.path), numbers, bands, windows)


@lru_cache(maxsize=256)
def _count_whole(plan: WindowPlan, band_rows: int, threshold: float) -> tuple[tuple[int, ...], int]:
    """Count as :func:`_count` does; kept, as the scenes of a county are alike."""
    windows = cut_scene(
        plan, iou_threshold=threshold, aoi=None, scale=(1.0, 1.0), band_rows=band_rows
    )
    return _count(windows)


def _count(windows: SceneWindows) -> tuple[tuple[int, ...], int]:
    """Count the pixels of each band, and the windows of all."""
    return tuple(map(windows.count_pixels, windows.bands)), len(windows.wanted)


def _shape(scene: PlannedScene) -> tuple[tuple[int, int], WindowLimits, tuple[int, int]]:
    """Return what the windows depend on, besides the model and the settings."""
    column, row = scene.first_cell
    return scene.grid, scene.limits, (column % _STRIDES, row % _STRIDES)


def _cut(scene: PlannedScene, numbers: WindowNumbers, threshold: float) -> SceneWindows:
    return cut_scene(
        WindowPlan.from_numbers(scene.grid, numbers),
        iou_threshold=threshold,
        aoi=scene.aoi,
        scale=scene.scale,
        band_rows=numbers["band_rows"],
    )


def _choose_all_values(
    prepared: PreparedRun, plan: DetectionPlan
) -> Mapping[str, InputValues | None]:
    """Choose the input statistics of each data type, as its first scene would."""
    about, config, opened = prepared.model.description, prepared.config, prepared.opened
    firsts = _first_by_dtype(plan.scenes)
    return {
        dtype: choose_values(opened.open(first.path), first, plan, opened, about, config)
        for dtype, first in firsts.items()
    }


def _first_by_dtype(scenes: Sequence[PlannedScene]) -> Mapping[str, PlannedScene]:
    return {scene.dtype: scene for scene in reversed(scenes)}
