"""The command ``geodet suggest``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import options as opt
from .process import prepare_process
from .report import log_nothing, print_json, set_up_logging
from .search_options import Scenes, resolve_search

if TYPE_CHECKING:
    from geodet.suggesting.suggest import SuggestReport

__all__ = ["EXAMPLES", "suggest"]

EXAMPLES = """\
Examples:

  geodet suggest scene.tif -o suggested.gpkg
  geodet suggest flights/ -m mine.safetensors --budget 32 -o suggested.gpkg
  geodet suggest scene.tif -o suggested.gpkg --by disagreement
  geodet suggest scene.tif --detections low.gpkg -o suggested.gpkg
  geodet suggest scene.tif --detections low.gpkg -m mine.onnx -o suggested.gpkg
  geodet suggest scene.tif --reviewed suggested.gpkg -o more.gpkg
"""


def suggest(
    scenes: Scenes,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.gpkg",
            help="The file of reviews to write, for `geodet view --reviews`.",
            rich_help_panel=opt.OUTPUT,
        ),
    ],
    model: opt.ModelName = "urban-trees",
    budget: Annotated[
        int,
        typer.Option(
            "--budget",
            min=1,
            metavar="N",
            help="Windows to suggest.",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = 16,
    by: Annotated[
        Literal["uncertainty", "disagreement", "rarity"],
        typer.Option(
            "--by",
            help="Rank windows by uncertainty (scores near the threshold), disagreement (objects "
            "that differ when the window is turned; twice the work) or rarity (rare classes).",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = "uncertainty",
    detections: Annotated[
        Path | None,
        typer.Option(
            "--detections",
            metavar="FILE",
            help="Detections that `geodet detect` found in the scenes with the same --model at a "
            "low threshold; the network is not run.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    reviewed: Annotated[
        Path | None,
        typer.Option(
            "--reviewed",
            metavar="FILE.gpkg",
            help="A file of reviews: its reviewed windows are not suggested again.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    bands: opt.Bands = None,
    aoi: opt.Aoi = None,
    bounds: opt.Bounds = None,
    chip_size: Annotated[
        int | None,
        typer.Option(
            "--chip-size",
            metavar="PX",
            help="Side of a window in pixels at the resolution of the model.",
            show_default="512",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = None,
    score_threshold: opt.ScoreThreshold = None,
    overwrite: opt.Overwrite = False,
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    device: opt.Device = "auto",
    batch_size: opt.BatchSize = None,
    workers: opt.Workers = None,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Suggest the windows of scenes from which a model would learn most if they were labelled.

    The windows lie apart from each other. `geodet view SCENE --reviews` shows them in order, and
    `geodet tile --reviews` cuts chips from the reviewed ones. A model makes more errors on such
    chips than on others, so do not evaluate on them.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    sizes = {"chip_size": chip_size, "batch_size": batch_size, "workers": workers}
    config = resolve_search(recipe, settings, score_threshold, bands, **sizes)
    corners, crs = opt.parse_bounds(bounds)
    from geodet.detection.detect_options import DetectOptions
    from geodet.models.description import check_model
    from geodet.models.device import check_device_name
    from geodet.suggesting.suggest_options import SuggestTask, check_suggestion

    options = DetectOptions(
        device=device, aoi=aoi, bounds=corners, bounds_crs=crs, overwrite=overwrite
    )
    task = SuggestTask(budget, by, detections, reviewed)
    with log_nothing():  # the same checks come again, with their warnings
        check_suggestion(scenes, output, task, options, config)
    check_model(model)
    check_device_name(device)
    prepare_process(device)
    from geodet.api.progress_bars import count_bar
    from geodet.onnx.backend import load_model
    from geodet.suggesting.suggest import suggest_windows

    with count_bar("rating windows", is_shown=not quiet) as progress:
        report = suggest_windows(
            scenes, output, load_model(model), config, task, options, progress=progress
        )
    print_json(report) if as_json else _print(report, quiet=quiet)


def _print(report: SuggestReport, *, quiet: bool) -> None:
    for rank, one in enumerate(report.windows, 1):
        place = f"{one.window.col_off},{one.window.row_off}"
        typer.echo(f"{rank:3}  {one.value:8.2f}  {one.scene} at {place}: {one.reason}")
    if not quiet:
        of_all = f"{len(report.windows)} of {report.candidates} windows"
        typer.echo(f"{report.output}: {of_all}, {report.seconds:.0f} s", err=True)
