"""The public functions for jobs: plan a job, search its shards, merge their detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Literal, get_args

import geopandas as gpd

from geodet.api.call_arguments import (
    Paths,
    ProgressChoice,
    check_bounds,
    check_choice,
    check_numbers,
    check_path,
    list_paths,
    resolve_search,
    showing_progress,
    to_path,
)
from geodet.api.run_frames import to_run_frame
from geodet.config import Config
from geodet.config.recipes import Settings
from geodet.detection.detect import DetectOptions
from geodet.detection.scene_files import to_output
from geodet.jobs.device_lists import list_devices
from geodet.jobs.job_folder import open_job
from geodet.jobs.merge import MergeRun
from geodet.jobs.planning import SAMPLE_SECONDS, PlanReport, plan_job
from geodet.jobs.pool_engines import several_processes
from geodet.jobs.pooled_shard import search_shard
from geodet.jobs.shard_run import ShardReport
from geodet.jobs.shards import Shard
from geodet.vector.formats import Geometry

__all__ = ["merge", "plan", "search"]


def plan(
    scenes: Paths,
    model: str | Path = "urban-trees",
    folder: str | Path | None = None,
    *,
    device: str = "auto",
    config: Config | str | Path | None = None,
    settings: Settings = (),
    score_threshold: float | Mapping[str, float] | None = None,
    iou_threshold: float | None = None,
    chip_size: int | None = None,
    overlap: int | None = None,
    batch_size: int | None = None,
    bands: Sequence[int | str] | None = None,
    aoi: str | Path | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    asset: str | None = None,
    overwrite: bool = False,
    sample_seconds: float = SAMPLE_SECONDS,
) -> PlanReport:
    """Plan a detection for several processes or machines.

    Args:
        scenes: As for :func:`detect`.
        model: A bundled model's name, or a model file, which is copied to the job.
        folder: A new folder for the job; None writes nothing.
        device: A device of the kind that will search.
        config: As for :func:`detect`, like the settings that follow.
        settings: Other keys.
        score_threshold: Lowest score to keep.
        iou_threshold: IoU above which the box with the lower score is a duplicate.
        chip_size: Side of a window in pixels of the model.
        overlap: Pixels that neighbouring windows share.
        batch_size: Chips in one forward pass.
        bands: Bands of the scene for those of the model.
        aoi: A vector file of polygons in any CRS: search only there.
        bounds: xmin, ymin, xmax, ymax: search only there.
        bounds_crs: The CRS of ``bounds``; None: the scene's.
        asset: The asset of each STAC item to read as the scene; None: the only one with data.
        overwrite: Replace a job that is in the folder, with all that was found.
        sample_seconds: About how long to search, to estimate the time; 0: not at all.

    Returns:
        The work: scenes, windows, parts, and the estimated time.

    Raises:
        GeodetError: As :func:`detect` raises it before it begins.

    Example:
        >>> report = plan(scene, sample_seconds=0)
        >>> report.scenes, report.overlaps
        (1, 0)
    """
    flags = {
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "chip_size": chip_size,
        "overlap": overlap,
        "batch_size": batch_size,
        "bands": bands,
    }
    options = DetectOptions(
        device=device,
        aoi=to_path("aoi", aoi),
        bounds=check_bounds(bounds),
        bounds_crs=bounds_crs,
        asset=asset,
        overwrite=overwrite,
    )
    check_path("model", model)  # only checked: it may be a name
    return plan_job(
        list_paths(scenes),
        model,
        resolve_search(config, settings, flags),
        options,
        folder=to_path("folder", folder),
        sample_seconds=sample_seconds,
    )


def search(
    job: str | Path,
    shard: tuple[int, int] = (1, 1),
    *,
    device: str = "auto",
    processes: int = 1,
    workers: int | None = None,
    allow_mixed: bool = False,
    progress: ProgressChoice = False,
) -> ShardReport:
    """Search what is left of a shard of a job.

    Args:
        job: The folder of the job.
        shard: The number of the shard, from 1, and the number of shards.
        device: As for :func:`detect`.
        processes: Worker processes on each device.
        workers: Reader threads; None: as many as the settings say.
        allow_mixed: Allow a kind of device, or a version of geodet, that differs from the one that
            started the job.
        progress: As for :func:`detect`.

    Returns:
        The counts of this call.

    Raises:
        SceneError: Some scenes could not be read; ``failed`` names them, and ``report`` has the
            counts of the others.
        GeodetError: The job cannot be read or written, or was begun on another kind of device or by
            another version.

    Example:
        >>> _ = plan(scene, folder=folder / "job", sample_seconds=0)
        >>> search(folder / "job", shard=(1, 1)).computed
        1
    """
    devices = list_devices(device, processes)
    with showing_progress(progress) as show:
        return search_shard(
            open_job(check_path("job", job)),
            Shard(*check_numbers("shard", shard, ("number", "count"), Integral)),
            device=devices[0],
            engine=several_processes(devices, readers=workers),
            readers=workers,
            allow_mixed=allow_mixed,
            progress=show,
        )


def merge(
    job: str | Path,
    output: Paths | None = None,
    *,
    geometry: Literal["box", "centroid"] = "box",
    format: str | None = None,
    append: bool = False,
    replace_scenes: bool = False,
    overwrite: bool = False,
    allow_missing: bool = False,
    progress: ProgressChoice = False,
) -> gpd.GeoDataFrame:
    """Merge what the shards of a job have found.

    Args:
        job: The folder of the job.
        output: As for :func:`detect`.
        geometry: Polygons of the boxes, or points at their centres.
        format: Name of the output's format; None: by its extension.
        append: Add the rows to a GeoPackage that exists.
        replace_scenes: With ``append``: replace the rows of scenes that the file holds already.
        overwrite: Replace outputs that exist.
        allow_missing: Write areas that are not computed yet as not examined.
        progress: As for :func:`detect`.

    Returns:
        The detections of all scenes, as :func:`detect` returns them.

    Raises:
        OutputError: Parts are missing, or an output exists or cannot be written.
        SceneError: Some scenes could not be read, as by :func:`detect`.

    Example:
        >>> _ = plan(scene, folder=folder / "job", sample_seconds=0)
        >>> _ = search(folder / "job")
        >>> len(merge(folder / "job")) == len(geodet.detect(scene))
        True
    """
    check_choice("geometry", geometry, get_args(Geometry))
    options = DetectOptions(
        format=format,
        geometry=geometry,
        append=append,
        replace_scenes=replace_scenes,
        overwrite=overwrite,
    )
    outputs = [to_output(path, format) for path in list_paths(output, "output")]
    with showing_progress(progress) as show:
        run = MergeRun(
            open_job(check_path("job", job)),
            outputs,
            options,
            allow_missing=allow_missing,
            progress=show,
        )
        return to_run_frame(run, show)
