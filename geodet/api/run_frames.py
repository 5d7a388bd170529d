"""The detections of a run as one frame."""

from __future__ import annotations

from collections.abc import Callable

import geopandas as gpd

from geodet.api.progress_bars import DetectBar
from geodet.detection.layer_run import LayerRun
from geodet.detection.progress import DetectProgress
from geodet.vector.frames import to_frame

__all__ = ["to_run_frame"]


def to_run_frame(run: LayerRun, progress: Callable[[DetectProgress], None]) -> gpd.GeoDataFrame:
    """Run to the end, and return all detections, with provenance and report in ``attrs``.

    Args:
        run: A detection, or the merging of a job.
        progress: Shows the progress; a bar ends with the number of rows.

    Raises:
        GeodetError: As the run does.
    """
    frame = to_frame(run, run.layer)
    if isinstance(progress, DetectBar):
        progress.finish(len(frame))
    frame.attrs = {"provenance": dict(run.layer.metadata), "report": run.report.to_json()}
    return frame
