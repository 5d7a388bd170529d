"""The command ``geodet merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as opt
from . import search_options as search
from .count_by import CountBy
from .found_report import print_detections, reporting
from .report import set_up_logging

__all__ = ["EXAMPLES", "merge"]

EXAMPLES = """\
Examples:

  geodet merge job/ -o county.gpkg
  geodet merge job/ -o county.gpkg -o county.parquet
  geodet merge job/ -o 'found/*.geojson' --geometry centroid
"""


def merge(
    job: Annotated[
        Path,
        typer.Argument(
            metavar="JOB/", help="The folder that `geodet plan` wrote.", show_default=False
        ),
    ],
    typed_outputs: search.MergedOutputs,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            help="Write areas that are not computed yet as not examined.",
            rich_help_panel=opt.RUN,
        ),
    ] = False,
    preview: search.Preview = None,
    preview_format: search.PreviewFormat = "jpeg",
    only_with_objects: search.OnlyWithObjects = False,
    counts: search.Counts = None,
    count_by: search.CountBy = None,
    format: opt.Format = None,
    geometry: opt.GeometryKind = "box",
    append: opt.Append = False,
    replace_scenes: opt.ReplaceScenes = False,
    style: opt.Style = False,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Write the detections of a job to a GIS file.

    The rows are those of one `geodet detect` with all scenes. Neither the scenes nor a GPU are
    needed. The job is not changed, so it can be merged again to other files.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    from geodet.detection.detect_options import DetectOptions
    from geodet.detection.scene_files import to_output

    outputs = [to_output(typed, format) for typed in typed_outputs]
    options = DetectOptions(
        format=format,
        geometry=geometry,
        append=append,
        replace_scenes=replace_scenes,
        style=style,
        preview=preview,
        preview_format=preview_format,
        only_with_objects=only_with_objects,
        image_counts=counts,
        overwrite=overwrite,
    )
    counting = CountBy(count_by, outputs, options)
    from geodet.api.progress_bars import detect_bars
    from geodet.jobs.job_folder import open_job
    from geodet.jobs.merge import MergeRun

    with detect_bars(is_shown=not quiet) as progress, reporting(as_json) as report_to:
        run = MergeRun(
            open_job(job), outputs, options, allow_missing=allow_missing, progress=progress
        )
        report_to(run.report)
        counting.follow(run)
        for _ in run:
            pass
    print_detections(run.report, counting, as_json=as_json, quiet=quiet, is_merge=True)
