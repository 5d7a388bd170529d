"""The command ``geodet evaluate``."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import label_options as label
from . import options as opt
from .evaluate_chips import evaluate_on_chips
from .process import command_line
from .report import print_json, print_table, set_up_logging
from .score_thresholds import parse_thresholds

if TYPE_CHECKING:
    from geodet.config import Config
    from geodet.evaluation.evaluate import EvaluateReport
    from geodet.evaluation.measures import ClassMeasures, Evaluation
    from geodet.tilesets.splits import Part

__all__ = ["EXAMPLES", "evaluate"]

EXAMPLES = """\
Examples:

  geodet evaluate --data tiles --model mine.safetensors -o report
  geodet evaluate --data tiles --detections results.coco.json
  geodet evaluate --detections found.gpkg --labels truth.gpkg --scene scene.tif
  geodet evaluate --detections found.gpkg --labels truth.gpkg --aoi area.gpkg
"""

_FILES = "Detections against labels"


def evaluate(
    context: typer.Context,
    data: label.Data = None,
    model: Annotated[str, opt.model_option(label.CHIPS)] = "urban-trees",
    split: label.Split = "val",
    allow_outside: Annotated[bool, label.allow_outside_option(label.CHIPS)] = False,
    detections: Annotated[
        Path | None,
        typer.Option(
            "--detections",
            metavar="PATH",
            help="Detections of geodet or another program: a vector file with scores, a COCO "
            "results file, or a folder of YOLO text files.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="A vector file with the labelled objects as points or polygons.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    scene: Annotated[
        Path | None,
        typer.Option(
            "--scene",
            metavar="FILE",
            help="The raster that the detections and labels belong to.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    aoi: Annotated[Path | None, label.labelled_aoi_option(_FILES)] = None,
    bounds: Annotated[
        str | None, opt.bounds_option(_FILES, crs_of="the scene or of the detections")
    ] = None,
    score_field: Annotated[
        str,
        typer.Option(
            "--score-field",
            metavar="NAME",
            help="Attribute of the detections with the score. '' gives all the same score.",
            rich_help_panel=_FILES,
        ),
    ] = "score",
    label_field: label.LabelField = None,
    labels_crs: label.LabelsCrs = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="A folder for the figures (JSON, CSV), the curves (PNG), the errors (GPKG) and a "
            "report (HTML).",
            rich_help_panel=opt.OUTPUT,
        ),
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
    """Measure a model on labelled chips, or compare detections with labels.

    Detections and objects are matched one to one. Precision, recall and F1 are printed at the
    score threshold, and average precision (AP) over all scores. Labels outside the examined area of
    the detections do not count, if the file records it.
    """
    inputs = _Inputs(data, detections, labels, scene, aoi)
    _check_usage(inputs, context, has_area=bool(aoi or bounds))
    corners, crs = opt.parse_bounds(bounds)
    set_up_logging(verbose=verbose, quiet=quiet)
    from geodet.config.recipes import label_flags

    flags: dict[str, dict[str, Any]] = {
        "data": {"allow_outside": allow_outside or None},
        "detect": {
            "score_threshold": parse_thresholds(score_threshold),
            "iou_threshold": iou_threshold,
        },
    }
    for section, given in label_flags(label_field, labels_crs, of_chips=data is not None).items():
        flags.setdefault(section, {}).update(given)
    sections = ("data", "match", "detect", "tile")
    config = opt.resolve(recipe, settings, flags=flags, sections=sections)
    _check_files(inputs, output, overwrite=overwrite)
    if data is not None and detections is None:
        told = {"overwrite": overwrite, "quiet": quiet}
        report = evaluate_on_chips(data, model, split, config, device, output, **told)
    else:
        files: dict[str, Any] = {
            "score_field": score_field,
            "output": output,
            "overwrite": overwrite,
            "command": command_line(),
        }
        report = _compare(inputs, config, split, (corners, crs), **files)
    _print_as_json(report) if as_json else _print_evaluation(report, quiet=quiet)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What is read."""

    data: Path | None
    detections: Path | None
    labels: Path | None
    scene: Path | None
    aoi: Path | None


def _check_usage(inputs: _Inputs, context: typer.Context, *, has_area: bool) -> None:
    if inputs.data is not None and (inputs.labels or inputs.scene):
        raise typer.BadParameter(
            "give --data, or --detections and --labels, but not both", param_hint="--data"
        )
    if inputs.data is None and not (inputs.detections and inputs.labels):
        raise typer.BadParameter(
            "give --data with labelled chips, or --detections and --labels", param_hint="--data"
        )
    if inputs.data is not None and has_area:
        raise typer.BadParameter(
            "applies only to the labels of a scene; for chips, give the area to geodet tile",
            param_hint="--aoi",
        )
    source = context.get_parameter_source("model")
    if inputs.detections is not None and source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter(
            "no model runs when --detections are compared with labels", param_hint="--model"
        )


def _check_files(inputs: _Inputs, output: Path | None, *, overwrite: bool) -> None:
    """Refuse paths that do not exist, or exist already, before anything slow is imported."""
    from geodet.files.output_folders import check_evaluation_folder, check_tileset_exists
    from geodet.raster.reach import announce_reach
    from geodet.raster.scene_lists import check_scene_exists
    from geodet.vector.formats import check_vector_exists, path_of

    if output is not None:
        given = [path for path in astuple(inputs) if path is not None]
        paths = [Path(path_of(path)) for path in given]
        check_evaluation_folder(output, overwrite=overwrite, inputs=paths)
    if inputs.data is not None:
        check_tileset_exists(inputs.data)
    for path in (inputs.detections, inputs.labels, inputs.aoi):
        if path is not None:
            check_vector_exists(path)
    if inputs.scene is not None:
        check_scene_exists(inputs.scene)
        announce_reach([str(inputs.scene)])


def _compare(
    inputs: _Inputs,
    config: Config,
    split: Part,
    bounds: tuple[tuple[float, float, float, float] | None, str | None],
    **files: Any,
) -> EvaluateReport:
    """Compare detections with the labels of chips or of a scene."""
    assert inputs.detections is not None
    if inputs.data is not None:
        from geodet.evaluation.evaluate import evaluate_results

        return evaluate_results(inputs.detections, inputs.data, config, split=split, **files)
    from geodet.evaluation.evaluate import evaluate_vectors
    from geodet.tilesets.tile_inputs import LabelledArea

    assert inputs.labels is not None
    area = LabelledArea(inputs.aoi, *bounds) if inputs.aoi or bounds[0] else None
    vectors = inputs.detections, inputs.labels
    return evaluate_vectors(*vectors, config, scene=inputs.scene, area=area, **files)


def _print_as_json(report: EvaluateReport) -> None:
    from geodet.evaluation.report_files import to_json

    about = {
        "title": report.title,
        "split": report.split,
        "images": report.images,
        "labels_not_examined": report.labels_not_examined,
    }
    print_json({**about, **to_json(report.evaluation), "output": report.output})


def _print_evaluation(report: EvaluateReport, *, quiet: bool) -> None:
    evaluation = report.evaluation
    by = evaluation.rule
    rule = f"IoU >= {by.iou:g}" if by.by == "iou" else f"centres within {by.distance_m:g} m"
    named = evaluation.by_row
    columns = ["class", "threshold", "precision", "recall", "F1", "objects", "detections"]
    columns += ["best at", "best F1"]
    rows = [_threshold_cells(name, figures) for name, figures in named.items()]
    print_table(f"{report.title}, one to one, {rule}", columns, rows)
    _print_interval(evaluation)
    typer.echo()
    columns = ["class", "AP", "AP50", "AP75", *_size_columns(evaluation)]
    rows = [[name, *_ap_cells(figures)][: len(columns)] for name, figures in named.items()]
    print_table("average precision by overlap", columns, rows)
    if report.output and not quiet:
        typer.echo(str(report.output))


def _print_interval(evaluation: Evaluation) -> None:
    """Print how certain F1 is, where it stands on few objects."""
    from geodet.evaluation.threshold_curves import FEW_OBJECTS

    scores = evaluation.overall.scores
    if scores.labelled < FEW_OBJECTS:
        low, high = scores.f1_interval
        typer.echo(
            f"only {scores.labelled} objects: F1 is uncertain; 95 % confidence interval "
            f"{low:.2f} to {high:.2f}"
        )


def _threshold_cells(name: str, figures: ClassMeasures) -> list[str]:
    from geodet.evaluation.chosen_threshold import show_threshold

    scores, best = figures.scores, figures.best
    used, chosen = (show_threshold(one.threshold, decimals=3) for one in (scores, best))
    shares = map(_share, (scores.precision, scores.recall, scores.f1))
    return [
        name,
        used,
        *shares,
        str(scores.labelled),
        str(scores.detected),
        chosen,
        _share(best.f1),
    ]


def _ap_cells(figures: ClassMeasures) -> list[str]:
    ap = figures.ap
    return [_share(v) for v in (ap.ap, ap.ap50, ap.ap75, ap.small, ap.medium, ap.large)]


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _size_columns(evaluation: Evaluation) -> list[str]:
    """Name the columns of AP by size, with the sides between the sizes in pixels and metres."""
    if evaluation.sides_px is None:
        return []
    gsd = evaluation.gsd
    sides = [
        f"{side:g} px" + (f" ({side * gsd:.3g} m)" if gsd else "") for side in evaluation.sides_px
    ]
    return [f"AP below {sides[0]}", f"AP to {sides[1]}", "AP larger"]
