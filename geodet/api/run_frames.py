"""The detections of a run as one frame."""

from __future__ import annotations

from collections.abc import Callable

import geopandas as gpd

from geodet.api.progress_bars import DetectBar
from geodet.detection.layer_run import LayerRun
from geodet.detection.progress import DetectProgress
from geodet.vector.formats import Geometry
from geodet.vector.frames import to_frame

__all__ = ["to_run_frame"]


def to_run_frame(
    run: LayerRun, geometry: Geometry, progress: Callable[[DetectProgress], None]
) -> gpd.GeoDataFrame:
    """Run to the end, and return all detections, with provenance and report in ``attrs``.

    Args:
        run: A detection, or the merging of a job.
        geometry: Polygons of the boxes, or points at their centres.
        progress: Shows the progress; a bar ends with the number of rows.

    Raises:
        GeodetError: As the run does.
    """
    frame = to_frame(
        run,
        run.classes,
        crs=run.crs,
        geometry=geometry,
        salt=run.salt,
        photographs=run.photographs,
        oriented=run.oriented,
    )
    if isinstance(progress, DetectBar):
        progress.finish(len(frame))
    frame.attrs = {"provenance": dict(run.provenance), "report": run.report.to_json()}
    return frame
