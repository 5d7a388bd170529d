"""The command ``geodet plan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geodet.errors import SceneError

from . import options as opt
from . import search_options as search
from .describe import print_fields
from .process import prepare_process
from .report import print_json, set_up_logging

if TYPE_CHECKING:
    from geodet.jobs.planning import PlanReport

__all__ = ["EXAMPLES", "plan"]

EXAMPLES = """\
Examples:

  geodet plan 'county/*.tif'
  geodet plan 'county/*.tif' -m vehicles -o job/
  geodet plan @scenes.txt --aoi city.gpkg --no-sample -o job/
"""


def plan(
    scenes: search.Scenes,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="JOB/",
            help="A new folder for the job, which all machines that search it can reach.",
            show_default="none: only print",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    model: opt.ModelName = "urban-trees",
    device: opt.Device = "auto",
    no_sample: Annotated[
        bool,
        typer.Option(
            "--no-sample",
            help="Do not search for ten seconds to estimate the time and the disk of the job.",
            rich_help_panel=opt.RUN,
        ),
    ] = False,
    aoi: opt.Aoi = None,
    bounds: opt.Bounds = None,
    bands: opt.Bands = None,
    tta: search.Tta = False,
    skip_uniform: search.SkipUniform = False,
    on_error: opt.OnError = None,
    require_crs: search.RequireCrs = False,
    gsd: search.SceneGsd = None,
    ground_altitude: search.GroundAltitude = None,
    asset: search.Asset = None,
    overwrite: opt.Overwrite = False,
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    score_threshold: opt.ScoreThreshold = None,
    iou_threshold: opt.IouThreshold = None,
    chip_size: opt.ChipSize = None,
    overlap: opt.Overlap = None,
    batch_size: opt.BatchSize = None,
    workers: opt.Workers = None,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Plan a detection for several processes or machines, and print its size and duration.

    All scenes are opened once. With -o the plan is written to a folder, with a copy of the model.
    Then `geodet detect --job` searches it in any number of shards, and `geodet merge` writes the
    detections.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    config = search.resolve_search(
        recipe,
        settings,
        score_threshold,
        bands,
        iou_threshold=iou_threshold,
        chip_size=chip_size,
        overlap=overlap,
        batch_size=batch_size,
        workers=workers,
        tta=tta,
        skip_uniform=skip_uniform,
        on_error=on_error,
        require_crs=require_crs,
        gsd=gsd,
        ground_altitude=ground_altitude,
    )
    corners, crs = opt.parse_bounds(bounds)
    prepare_process(device)
    from geodet.detection.detect_options import DetectOptions
    from geodet.jobs.planning import SAMPLE_SECONDS, plan_job

    report = plan_job(
        scenes,
        model,
        config,
        DetectOptions(
            device=device, aoi=aoi, bounds=corners, bounds_crs=crs, asset=asset, overwrite=overwrite
        ),
        folder=output,
        sample_seconds=0.0 if no_sample else SAMPLE_SECONDS,
    )
    print_json(report) if as_json else _print_plan(report)
    if report.failed:
        raise SceneError(
            f"scenes that cannot be opened and are left out: {len(report.failed)}",
            hint="repair them and plan again, or continue without them",
            report=report,
        )


def _print_plan(report: PlanReport) -> None:
    systems = [f"{name} ({count})" for name, count in report.crs.items()]
    fields = {
        "scenes": f"{report.scenes:,}",
        "cannot be opened": len(report.failed) or None,
        "outside the area": report.outside or None,
        "overlapping pairs": f"{report.overlaps:,}",
        "CRS": ", ".join(systems),
        "pixels": f"{report.megapixels:,.1f} Mpx",
        "windows": f"{report.windows:,} in {report.bands:,} bands",
        "model": ", ".join(filter(None, [report.model, report.precision])) + f" on {report.device}",
        "time": None if report.seconds is None else _time(report),
        "disk": None if report.disk_bytes is None else f"{report.disk_bytes / 1e6:,.1f} MB",
        "job": report.folder,
    }
    print_fields({name: text for name, text in fields.items() if text is not None})


def _time(report: PlanReport) -> str:
    seconds = report.seconds or 0.0
    units = (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
    name, length = next((one for one in units if seconds >= 2 * one[1]), units[-1])
    return f"{seconds / length:.1f} {name} at {report.megapixels_per_second:,.2f} Mpx/s"
