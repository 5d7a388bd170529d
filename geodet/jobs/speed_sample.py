"""Measure how fast a device searches scenes, from a sample of a few seconds."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass

from geodet.detection.band_search import BandSearch
from geodet.detection.detect import PreparedSearch
from geodet.detection.predictor import with_input_values
from geodet.errors import SceneError
from geodet.jobs.job_plan import JobPlan

__all__ = ["SpeedSample", "sample_speed"]


@dataclass(slots=True)
class SpeedSample:
    """The area searched for the sample, without the first batch, which warms the device up."""

    megapixels: float = 0.0
    """Pixels of the grid."""
    seconds: float = 0.0
    """Time that they took."""
    detections: int = 0
    """Detections in them, before duplicates are removed."""
    searched_megapixels: float = 0.0
    """Pixels with those of the first batch, in which the detections were found."""


def sample_speed(prepared: PreparedSearch, plan: JobPlan, *, seconds: float) -> SpeedSample:
    """Search bands of scenes that are evenly spread until a time is over, and keep nothing.

    Args:
        prepared: The scenes, the model and the device.
        plan: How the scenes are cut.
        seconds: About how long to search, besides the first batch.
    """
    sample = SpeedSample()
    sampled = {scene.name for scene in prepared.plan.sampled}
    for number, scene in enumerate(plan.scenes):
        if scene.planned.name in sampled and sample.seconds < seconds:
            try:
                _search(prepared, plan, number, sample, seconds)
            except SceneError:  # its shard reports it
                continue
    return sample


def _search(
    prepared: PreparedSearch, plan: JobPlan, number: int, sample: SpeedSample, seconds: float
) -> None:
    planned = plan.scenes[number].planned
    scene, windows = prepared.opened.open(planned.path), plan.cut(number)
    predictor = with_input_values(prepared.predictor, plan.values[planned.dtype])
    search = BandSearch(scene, predictor, prepared.config, windows, aoi=planned.aoi)
    middle = len(windows.bands) // 2  # the edges of a scene are often empty
    order = [*range(middle, len(windows.bands))]
    with closing(search.run(order)) as pieces:
        began = time.perf_counter()
        for piece in pieces:
            megapixels = windows.count_pixels(piece.windows) / 1e6
            sample.detections += len(piece.part.detections)
            is_first = sample.searched_megapixels == 0
            sample.searched_megapixels += megapixels
            now = time.perf_counter()
            if not is_first:
                sample.megapixels += megapixels
                sample.seconds += now - began
            began = now
            if sample.seconds >= seconds:
                break
    scene.clear_cache()
