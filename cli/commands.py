"""The commands that run a network: detect, train, evaluate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as opt
from .report import (
    detect_progress,
    print_json,
    print_table,
    set_up_logging,
    train_progress,
)

if TYPE_CHECKING:
    from geodet.detect import DetectReport
    from geodet.evaluate import EvaluateReport
    from geodet.metrics import Scores

__all__ = ["detect", "evaluate", "train"]


def detect(
    scenes: Annotated[list[str], typer.Argument(help="Rasters that GDAL opens.")],
    outputs: Annotated[
        list[Path],
        typer.Option("--output", "-o", help="File to write: .gpkg or .geojson; may be repeated."),
    ],
    model: opt.ModelName = "urban-trees",
    device: opt.Device = "auto",
    preview: Annotated[
        Path | None, typer.Option("--preview", help="Draw the detections into a PNG.")
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option("--bands", metavar="R,G,B", help="Bands of the scene for the model's."),
    ] = None,
    require_crs: Annotated[
        bool, typer.Option("--require-crs", help="Refuse a scene without a CRS.")
    ] = False,
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
        "require_crs": require_crs or None,
    }
    config = opt.resolve(recipe, settings, flags={"detect": flags}, sections=("detect",))
    from geodet.detect import detect as run
    from geodet.models.checkpoint import load_model

    with detect_progress(quiet=quiet) as progress:
        report = run(
            scenes,
            outputs,
            load_model(model),
            config.detect,
            device=device,
            overwrite=overwrite,
            preview=preview,
            progress=progress,
        )
    print_json(report) if as_json else _print_detections(report, quiet=quiet)


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
    from geodet.train import train as run

    with train_progress(quiet=quiet) as progress:
        report = run(
            data,
            output,
            config,
            device=device,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    if os.environ.get("RANK", "0") != "0":  # under torchrun one process speaks
        return
    if as_json:
        print_json(report)
        return
    best = f"best F1 {report.best_f1:.3f} on the validation chips"
    what = best if report.best_f1 >= 0 else "no validation chips, so the last epoch"
    typer.echo(f"{report.model}: {what}, epoch {report.best_epoch}, {report.seconds:.0f} s")


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="A tileset: images with labels.")],
    model: opt.ModelName = "urban-trees",
    split: Annotated[
        str, typer.Option("--split", metavar="val|train", help="Which chips.")
    ] = "val",
    device: opt.Device = "auto",
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    score_threshold: opt.ScoreThreshold = None,
    iou_threshold: opt.IouThreshold = None,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Measure a model on labelled chips."""
    if split not in ("val", "train"):
        raise typer.BadParameter(f"{split!r} is neither val nor train", param_hint="--split")
    set_up_logging(verbose=verbose, quiet=quiet)
    flags = {"score_threshold": score_threshold, "iou_threshold": iou_threshold}
    sections = ("data", "match", "detect")
    config = opt.resolve(recipe, settings, flags={"detect": flags}, sections=sections)
    from geodet.evaluate import evaluate as run
    from geodet.models.checkpoint import load_model

    report = run(
        load_model(model), data, config, split="val" if split == "val" else "train", device=device
    )
    print_json(_scores_by_name(report)) if as_json else _print_evaluation(report)


def _print_evaluation(report: EvaluateReport) -> None:
    by = report.rule
    rule = f"IoU >= {by.iou:g}" if by.by == "iou" else f"centres within {by.distance_m:g} m"
    named = {
        "all": report.overall,
        **report.by_class,
        "all, at its best threshold": report.best,
    }
    rows = [[name, *_score_cells(scores)] for name, scores in named.items()]
    columns = ["class", "threshold", "precision", "recall", "F1", "objects", "detections"]
    print_table(f"{report.images} {report.split} images, one to one, {rule}", columns, rows)


def _score_cells(scores: Scores) -> list[str]:
    shares = (scores.threshold, scores.precision, scores.recall, scores.f1)
    return [*(f"{share:.3f}" for share in shares), str(scores.labelled), str(scores.detected)]


def _scores_by_name(report: EvaluateReport) -> dict[str, Any]:
    def figures(scores: Scores) -> dict[str, float]:
        return {
            "threshold": scores.threshold,
            "precision": scores.precision,
            "recall": scores.recall,
            "f1": scores.f1,
            "matched": scores.matched,
            "detected": scores.detected,
            "labelled": scores.labelled,
        }

    return {
        "split": report.split,
        "images": report.images,
        "match": report.rule,
        "overall": figures(report.overall),
        "by_class": {name: figures(scores) for name, scores in report.by_class.items()},
        "best": figures(report.best),
    }
