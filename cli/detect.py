"""The command ``geodet detect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options as opt
from .process import prepare_process
from .report import (
    log_nothing,
    print_json,
    print_stages,
    set_up_logging,
)

if TYPE_CHECKING:
    from geodet.detection.detect import DetectReport

__all__ = ["EXAMPLES", "detect"]

EXAMPLES = """\
Examples:

  geodet detect scene.tif -o trees.gpkg
  geodet detect scene.tif -o trees.gpkg --preview trees.png
  geodet detect 'flights/*.tif' -m vehicles -o cars.gpkg --skip-uniform
  geodet detect scene.tif -o trees.geojson --aoi city.gpkg --geometry centroid
  geodet detect 16bit.tif -o trees.gpkg --bands 4,3,2 --score-threshold 0.4
"""


def detect(
    scenes: Annotated[
        list[str],
        typer.Argument(
            help="Rasters that GDAL opens, folders, quoted 'patterns', or @FILE: a list of them.",
            show_default=False,
        ),
    ],
    outputs: Annotated[
        list[Path],
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write, such as trees.gpkg. May be repeated.",
            rich_help_panel=opt.OUTPUT,
        ),
    ],
    model: opt.ModelName = "urban-trees",
    device: opt.Device = "auto",
    preview: Annotated[
        Path | None,
        typer.Option(
            "--preview",
            metavar="FILE.png",
            help="Draw the detections over the scene.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    aoi: opt.Aoi = None,
    bounds: opt.Bounds = None,
    bands: opt.Bands = None,
    format: opt.Format = None,
    geometry: opt.GeometryKind = "box",
    append: opt.Append = False,
    style: opt.Style = False,
    skip_uniform: Annotated[
        bool,
        typer.Option(
            "--skip-uniform",
            help="Skip chips without any feature, such as open water.",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = False,
    require_crs: Annotated[
        bool,
        typer.Option(
            "--require-crs",
            help="Refuse a scene without a CRS.",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = False,
    overwrite: opt.Overwrite = False,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Print the seconds that each stage took.",
            rich_help_panel=opt.MESSAGES,
        ),
    ] = False,
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
    """Detect objects in scenes and write them to a GIS file.

    All scenes go to one layer, in the CRS of the first, with a polygon for each object. An object
    that overlapping scenes show twice is written once.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    flags = {
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "chip_size": chip_size,
        "overlap": overlap,
        "batch_size": batch_size,
        "workers": workers,
        "bands": opt.parse_bands(bands),
        "skip_uniform": skip_uniform or None,
        "require_crs": require_crs or None,
    }
    config = opt.resolve(recipe, settings, flags={"detect": flags}, sections=("detect",))
    corners, crs = opt.parse_bounds(bounds)
    from geodet.detection.detect_options import DetectOptions, check_paths
    from geodet.models.description import check_model
    from geodet.models.device import check_device_name

    options = DetectOptions(
        device=device,
        aoi=aoi,
        bounds=corners,
        bounds_crs=crs,
        format=format,
        geometry=geometry,
        append=append,
        style=style,
        preview=preview,
        overwrite=overwrite,
        profile=profile,
    )
    with log_nothing():  # the same checks come again, with their warnings
        check_paths(scenes, outputs, options)
        check_model(model)
        check_device_name(device)
    prepare_process(device)
    from geodet.api.progress_bars import detect_bars
    from geodet.detection.detect import detect_to_files
    from geodet.onnx.backend import load_model

    with detect_bars(is_shown=not quiet) as progress:
        report = detect_to_files(
            scenes, outputs, load_model(model), config.detect, options, progress=progress
        )
    print_json(report) if as_json else _print_detections(report, quiet=quiet)
    if profile:
        print_stages(report.stages, report.seconds)


def _print_detections(report: DetectReport, *, quiet: bool) -> None:
    for name, count in report.labels.items():
        typer.echo(f"{count} x {name}")
    if quiet:
        return
    rate = report.megapixels / report.seconds
    for output in report.outputs:
        typer.echo(str(output))
    typer.echo(f"{report.seconds:.1f} s, {rate:.2f} Mpx/s on {report.device}", err=True)
