"""The command that measures: a model on labelled chips, or detections against labels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as opt
from .report import print_json, print_table, set_up_logging

if TYPE_CHECKING:
    from geodet.config import Config
    from geodet.evaluation.evaluate import EvaluateReport
    from geodet.evaluation.measures import ClassMeasures, Evaluation
    from geodet.tilesets.splits import Split

__all__ = ["evaluate"]

_CHIPS = "A model on labelled chips"
_FILES = "Detections against labels"


def evaluate(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="A tileset: images with labels.", rich_help_panel=_CHIPS),
    ] = None,
    model: opt.ModelName = "urban-trees",
    split: Annotated[
        str,
        typer.Option("--split", metavar="val|train", help="Which chips.", rich_help_panel=_CHIPS),
    ] = "val",
    detections: Annotated[
        Path | None,
        typer.Option(
            "--detections",
            help="What detect or another program found: a vector file with scores, COCO results or"
            " a folder of YOLO text.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", help="A vector file with points or polygons.", rich_help_panel=_FILES
        ),
    ] = None,
    scene: Annotated[
        Path | None,
        typer.Option("--scene", help="The raster that both belong to.", rich_help_panel=_FILES),
    ] = None,
    score_field: Annotated[
        str,
        typer.Option(
            "--score-field",
            help="Attribute with the score; '' takes all as equally sure.",
            rich_help_panel=_FILES,
        ),
    ] = "score",
    label_field: Annotated[
        str | None,
        typer.Option(
            "--label-field",
            help="Attribute of the labels with the class.  [default: label, class or name]",
            rich_help_panel=_FILES,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for figures, a table, curves and errors."),
    ] = None,
    overwrite: opt.Overwrite = False,
    device: opt.Device = "auto",
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    score_threshold: opt.ScoreThreshold = None,
    iou_threshold: opt.IouThreshold = None,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Measure a model on labelled chips, or detections against labels on chips or a scene."""
    _check_usage(data, detections, labels, scene, split)
    source = context.get_parameter_source("model")
    if detections is not None and source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter(
            "no model runs where --detections are compared with labels", param_hint="--model"
        )
    set_up_logging(verbose=verbose, quiet=quiet)
    flags: dict[str, dict[str, Any]] = {
        "detect": {"score_threshold": score_threshold, "iou_threshold": iou_threshold},
        "tile": {"label_field": label_field},
    }
    sections = ("data", "match", "detect", "tile")
    config = opt.resolve(recipe, settings, flags=flags, sections=sections)
    files: dict[str, Any] = {
        "score_field": score_field,
        "output": output,
        "overwrite": overwrite,
    }
    if data is not None and detections is not None:
        from geodet.evaluation.evaluate import evaluate_results

        which: Split = "val" if split == "val" else "train"
        report = evaluate_results(detections, data, config, split=which, **files)
    elif data is not None:
        report = _run_on_chips(data, model, split, config, device, output, overwrite=overwrite)
    else:
        from geodet.evaluation.evaluate import evaluate_vectors

        assert detections is not None
        assert labels is not None
        report = evaluate_vectors(detections, labels, config, scene=scene, **files)
    _print_as_json(report) if as_json else _print_evaluation(report, quiet=quiet)


def _check_usage(
    data: Path | None, detections: Path | None, labels: Path | None, scene: Path | None, split: str
) -> None:
    if split not in ("val", "train"):
        raise typer.BadParameter(f"{split!r} is neither val nor train", param_hint="--split")
    if data is not None and (labels or scene):
        raise typer.BadParameter(
            "give --data, or --detections and --labels, but not both", param_hint="--data"
        )
    if data is None and not (detections and labels):
        raise typer.BadParameter(
            "give --data with labelled chips, or --detections and --labels", param_hint="--data"
        )


def _run_on_chips(
    data: Path,
    model: str,
    split: str,
    config: Config,
    device: str,
    output: Path | None,
    *,
    overwrite: bool,
) -> EvaluateReport:
    from geodet.evaluation.evaluate import evaluate_model as run
    from geodet.onnx.backend import open_model

    return run(
        open_model(model),
        data,
        config,
        split="val" if split == "val" else "train",
        device=device,
        output=output,
        overwrite=overwrite,
    )


def _print_as_json(report: EvaluateReport) -> None:
    from geodet.evaluation.report_files import to_json

    about = {"title": report.title, "split": report.split, "images": report.images}
    print_json({**about, **to_json(report.evaluation), "output": report.output})


def _print_evaluation(report: EvaluateReport, *, quiet: bool) -> None:
    evaluation = report.evaluation
    by = evaluation.rule
    rule = f"IoU >= {by.iou:g}" if by.by == "iou" else f"centres within {by.distance_m:g} m"
    named = {"all": evaluation.overall, **evaluation.by_class}
    columns = ["class", "threshold", "precision", "recall", "F1", "objects", "detections"]
    columns += ["best at", "best F1"]
    rows = [_threshold_cells(name, figures) for name, figures in named.items()]
    print_table(f"{report.title}, one to one, {rule}", columns, rows)
    typer.echo()
    columns = ["class", "AP", "AP50", "AP75", *_size_columns(evaluation)]
    rows = [[name, *_ap_cells(figures)][: len(columns)] for name, figures in named.items()]
    print_table("average precision by overlap", columns, rows)
    if report.output and not quiet:
        typer.echo(str(report.output))


def _threshold_cells(name: str, figures: ClassMeasures) -> list[str]:
    scores, best = figures.scores, figures.best
    shares = (scores.threshold, scores.precision, scores.recall, scores.f1)
    counts = (str(scores.labelled), str(scores.detected))
    return [name, *map(_share, shares), *counts, _share(best.threshold), _share(best.f1)]


def _ap_cells(figures: ClassMeasures) -> list[str]:
    ap = figures.ap
    return [_share(v) for v in (ap.ap, ap.ap50, ap.ap75, ap.small, ap.medium, ap.large)]


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _size_columns(evaluation: Evaluation) -> list[str]:
    """Say where medium and large objects begin, in pixels and where known in metres."""
    if evaluation.sides_px is None:
        return []
    gsd = evaluation.gsd
    sides = [
        f"{side:g} px" + (f" ({side * gsd:.3g} m)" if gsd else "") for side in evaluation.sides_px
    ]
    return [f"AP below {sides[0]}", f"AP to {sides[1]}", "AP larger"]
