"""The command ``geodet detect``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geodet.errors import GeodetError

from . import options as opt
from .count_by import check_counts, write_counts
from .process import prepare_process
from .report import (
    log_nothing,
    print_json,
    print_stages,
    set_up_logging,
)
from .score_thresholds import parse_thresholds
from .standard_output import STANDARD_OUTPUT, check_standard_output, lines_on_stdout

if TYPE_CHECKING:
    from geodet.detection.detect import DetectReport
    from geodet.geometry.scene_detections import SceneDetections

__all__ = ["EXAMPLES", "detect"]

EXAMPLES = """\
Examples:

  geodet detect scene.tif -o trees.gpkg
  geodet detect scene.tif -o trees.gpkg --preview trees.png
  geodet detect 'flights/*.tif' -m vehicles -o cars.gpkg --skip-uniform
  geodet detect scene.tif -o trees.geojson --aoi city.gpkg --geometry centroid
  geodet detect 'flights/*.tif' -m vehicles -o cars/
  geodet detect 16bit.tif -o trees.gpkg --bands 4,3,2 --score-threshold 0.4
  geodet detect scene.tif -o - | jq .properties.score
"""

_MOST_PRINTED = 10  # names of outputs


def detect(
    scenes: Annotated[
        list[str],
        typer.Argument(
            help="Rasters that GDAL opens, folders, quoted 'patterns', or @FILE: a list of them.",
            show_default=False,
        ),
    ],
    typed_outputs: Annotated[
        list[str],
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write, such as trees.gpkg. May be repeated. A folder, out/ or "
            "'out/*.geojson', gets a file for each scene, in the scene's CRS. -: GeoJSON lines in "
            "WGS 84 on standard output.",
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
    count_by: Annotated[
        Path | None,
        typer.Option(
            "--count-by",
            metavar="FILE",
            help="Polygons to count the objects in, to OUTPUT.counts.gpkg. See `geodet count`.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    aoi: opt.Aoi = None,
    bounds: opt.Bounds = None,
    bands: opt.Bands = None,
    format: opt.Format = None,
    geometry: opt.GeometryKind = "box",
    append: opt.Append = False,
    replace_scenes: opt.ReplaceScenes = False,
    style: opt.Style = False,
    tta: Annotated[
        bool,
        typer.Option(
            "--tta",
            help="Average the outputs over each chip and its flips: four times the work.",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = False,
    skip_uniform: Annotated[
        bool,
        typer.Option(
            "--skip-uniform",
            help="Skip chips without any feature, such as open water.",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = False,
    on_error: opt.OnError = None,
    require_crs: Annotated[
        bool,
        typer.Option(
            "--require-crs",
            help="Refuse a scene without a CRS.",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = False,
    overwrite: opt.Overwrite = False,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart",
            help="Begin anew in place of going on where an interrupted run ended.",
            rich_help_panel=opt.RUN,
        ),
    ] = False,
    discard: Annotated[
        bool,
        typer.Option(
            "--discard",
            help="Remove what an interrupted run has kept beside the output, and end.",
            rich_help_panel=opt.RUN,
        ),
    ] = False,
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

    All scenes go to one layer, in the CRS of the first, with a polygon for each object, unless the
    output is a folder. An object that overlapping scenes show is written once to a layer. The same
    command goes on where an interrupted one ended.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    from geodet.detection.scene_files import to_output

    given = {"--json": as_json, "--append": append, "--style": style, "--discard": discard}
    needs_file = [name for name, is_given in (*given.items(), ("--count-by", count_by)) if is_given]
    check_standard_output(typed_outputs, format=format, needs_file=needs_file)
    streams, stdout = STANDARD_OUTPUT in typed_outputs, sys.stdout
    outputs = [to_output(typed, format) for typed in typed_outputs if typed != STANDARD_OUTPUT]
    if discard:
        from geodet.detection.journal import discard_journal

        if not quiet and not discard_journal(outputs[0]):
            typer.echo(f"no unfinished run of {outputs[0]} is there", err=True)
        return
    flags = {
        "score_threshold": parse_thresholds(score_threshold),
        "iou_threshold": iou_threshold,
        "chip_size": chip_size,
        "overlap": overlap,
        "batch_size": batch_size,
        "workers": workers,
        "bands": opt.parse_bands(bands),
        "tta": tta or None,
        "skip_uniform": skip_uniform or None,
        "on_error": on_error,
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
        replace_scenes=replace_scenes,
        style=style,
        preview=preview,
        overwrite=overwrite,
        restart=restart,
        profile=profile,
    )
    # The same checks come again, with their warnings.
    with _reporting(as_json), log_nothing():
        check_paths(scenes, outputs, options)
        check_model(model)
        check_device_name(device)
        if count_by is not None:
            check_counts(outputs[0], count_by, format=format, overwrite=overwrite)
    prepare_process(device)
    from geodet.api.progress_bars import detect_bars
    from geodet.detection.detect import DetectionRun
    from geodet.onnx.backend import load_model

    is_shown = not quiet and not (streams and stdout.isatty())
    with detect_bars(is_shown=is_shown) as progress, _reporting(as_json) as report_to:
        run = DetectionRun(
            scenes, outputs, load_model(model), config.detect, options, progress=progress
        )
        report_to(run.report)
        write = lines_on_stdout(run, stdout, geometry) if streams else _write_nothing
        try:
            with closing(iter(run)) as parts:
                for part in parts:
                    write(part)
        finally:
            progress.finish(sum(run.report.labels.values()))
    if as_json:
        print_json(run.report)
    else:
        _print_detections(run.report, quiet=quiet, to_stderr=streams)
    if count_by is not None:
        write_counts(outputs[0], count_by, overwrite=overwrite, quiet=quiet or as_json)
    if profile:
        print_stages(run.report.stages, run.report.seconds)


@contextmanager
def _reporting(as_json: bool) -> Iterator[Callable[[DetectReport], None]]:
    """Print a failure as JSON too, with what became of each scene.

    Yields:
        A function that takes the report of the run, once there is one.
    """
    reports: list[DetectReport] = []
    try:
        yield reports.append
    except GeodetError as error:
        _print_failure(str(error), error.hint, reports, as_json=as_json)
        raise
    except (KeyboardInterrupt, SystemExit):
        hint = "the same command goes on from there"
        _print_failure("interrupted", hint, reports, as_json=as_json)
        raise


def _print_failure(error: str, hint: str, reports: list[DetectReport], *, as_json: bool) -> None:
    if as_json:
        scenes = [scene for report in reports for scene in report.scenes]
        print_json({"error": error, "hint": hint, "scenes": scenes})


def _write_nothing(_: SceneDetections) -> None:
    """Leave detections to the files."""


def _print_detections(report: DetectReport, *, quiet: bool, to_stderr: bool) -> None:
    for name, count in report.labels.items():
        typer.echo(f"{count} x {name}", err=to_stderr)
    if quiet:
        return
    rate = report.megapixels / report.seconds
    for output in report.outputs[:_MOST_PRINTED]:
        typer.echo(str(output), err=to_stderr)
    if len(report.outputs) > _MOST_PRINTED:
        typer.echo(f"and {len(report.outputs) - _MOST_PRINTED} more files", err=to_stderr)
    typer.echo(f"{report.seconds:.1f} s, {rate:.2f} Mpx/s on {report.device}", err=True)
