"""The commands that make detections and detectors: detect and train."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options as opt
from .report import (
    detect_progress,
    print_json,
    print_stages,
    set_up_logging,
)
from .train_display import train_display

if TYPE_CHECKING:
    from geodet.detection.detect import DetectReport

__all__ = ["detect", "train"]


def detect(
    scenes: Annotated[
        list[str],
        typer.Argument(help="Rasters that GDAL opens, folders, 'patterns' or @lists of them."),
    ],
    outputs: Annotated[
        list[Path],
        typer.Option("--output", "-o", help="File to write, such as .gpkg; may be repeated."),
    ],
    model: opt.ModelName = "urban-trees",
    device: opt.Device = "auto",
    preview: Annotated[
        Path | None, typer.Option("--preview", help="Draw the detections into a PNG.")
    ] = None,
    aoi: opt.Aoi = None,
    bounds: opt.Bounds = None,
    bands: opt.Bands = None,
    format: opt.Format = None,
    geometry: opt.GeometryKind = "box",
    append: opt.Append = False,
    style: opt.Style = False,
    skip_uniform: Annotated[
        bool, typer.Option("--skip-uniform", help="Do not look at featureless chips.")
    ] = False,
    require_crs: Annotated[
        bool, typer.Option("--require-crs", help="Refuse a scene without a CRS.")
    ] = False,
    overwrite: opt.Overwrite = False,
    profile: Annotated[bool, typer.Option("--profile", help="Say where the time went.")] = False,
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
    """Detect objects in scenes and write them to one GIS file."""
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
    from geodet.detection.detect import DetectOptions
    from geodet.detection.detect import detect_to_files as run
    from geodet.onnx.backend import open_model

    corners, crs = opt.parse_bounds(bounds)
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
    with detect_progress(quiet=quiet) as progress:
        report = run(scenes, outputs, open_model(model), config.detect, options, progress=progress)
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


def train(
    data: Annotated[Path, typer.Option("--data", help="A tileset: images with labels.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file: .safetensors.")],
    device: opt.Device = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run of this output.")
    ] = False,
    overwrite: opt.Overwrite = False,
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", help="Passes over the chips.", rich_help_panel="Settings"),
    ] = None,
    chip_size: opt.ChipSize = None,
    batch_size: opt.BatchSize = None,
    workers: opt.Workers = None,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Train a detector of your own on labelled chips."""
    set_up_logging(verbose=verbose, quiet=quiet)
    flags = {
        "epochs": epochs,
        "chip_size": chip_size,
        "batch_size": batch_size,
        "workers": workers,
    }
    sections = ("model", "data", "augment", "train", "match", "detect")
    config = opt.resolve(recipe, settings, flags={"train": flags}, sections=sections)
    from geodet.training.train import run_training as run

    with _hint_at_resume(output), train_display(quiet=quiet) as display:
        report = run(
            data,
            output,
            config,
            device=device,
            resume=resume,
            overwrite=overwrite,
            progress=display.epoch,
            step_progress=display.step,
        )
    if os.environ.get("RANK", "0") != "0":  # under torchrun one process speaks
        return
    if as_json:
        print_json(report)
        return
    best = f"best F1 {report.best_f1:.3f} on the validation chips"
    what = best if report.best_f1 >= 0 else "no validation chips, so the last epoch"
    early = f", stopped early after {report.epochs}" if report.stopped_early else ""
    typer.echo(f"{report.model}: {what}, epoch {report.best_epoch}{early}, {report.seconds:.0f} s")


@contextmanager
def _hint_at_resume(output: Path) -> Iterator[None]:
    """Tell who interrupts a run that it can go on."""
    try:
        yield
    except KeyboardInterrupt:
        if (output.with_suffix(".run") / "state.pt").exists():
            typer.echo("the state after the last whole epoch is kept: see --resume", err=True)
        raise
