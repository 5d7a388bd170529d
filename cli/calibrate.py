"""The command ``geodet calibrate``."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import label_options as label
from . import options as opt
from .process import prepare_process
from .report import print_json, print_table, set_up_logging

if TYPE_CHECKING:
    from geodet.evaluation.calibrate import CalibrateReport
    from geodet.evaluation.threshold_curves import MatchCounts

__all__ = ["EXAMPLES", "calibrate"]

EXAMPLES = """\
Examples:

  geodet calibrate --model urban-trees --data tiles -o here.safetensors
  geodet calibrate --scene scene.tif --labels trees.gpkg -o here.safetensors
"""

_SCENE = "A labelled scene"


def calibrate(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.safetensors",
            help="The calibrated model.",
            rich_help_panel=opt.OUTPUT,
        ),
    ],
    model: opt.ModelName = "urban-trees",
    data: label.Data = None,
    split: label.Split = "all",
    scene: Annotated[
        Path | None,
        typer.Option("--scene", metavar="FILE", help="A raster.", rich_help_panel=_SCENE),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="A vector file with all objects of the scene, or of its area, as points or "
            "polygons.",
            rich_help_panel=_SCENE,
        ),
    ] = None,
    label_field: label.LabelField = None,
    labels_crs: label.LabelsCrs = None,
    aoi: Annotated[Path | None, label.labelled_aoi_option(_SCENE)] = None,
    bounds: Annotated[str | None, opt.bounds_option(_SCENE)] = None,
    overwrite: opt.Overwrite = False,
    device: opt.Device = "auto",
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Adapt the scores and the threshold of a model to an area, without training.

    A handful of labelled chips, or a labelled part of a scene, is enough. In the new file a score
    is the probability that a detection is right there, and the threshold is the one with the best
    F1. The precision and recall to expect are printed, with their 95 % confidence intervals.
    """
    if (data is None) == (scene is None) or (scene is None) != (labels is None):
        raise typer.BadParameter(
            "give --data with labelled chips, or --scene and --labels", param_hint="--data"
        )
    if data is not None and (aoi or bounds):
        raise typer.BadParameter(
            "applies only to a scene; for chips, give the area to geodet tile", param_hint="--aoi"
        )
    corners, crs = opt.parse_bounds(bounds)
    set_up_logging(verbose=verbose, quiet=quiet)
    from geodet.config.recipes import label_flags

    flags = label_flags(label_field, labels_crs, of_chips=data is not None)
    sections = ("data", "match", "detect", "tile")
    config = opt.resolve(recipe, settings, flags=flags, sections=sections)
    _check_files(output, data, scene, labels, aoi, overwrite=overwrite)
    from geodet.models.description import check_model
    from geodet.models.device import check_device_name

    check_model(model)
    check_device_name(device)
    prepare_process(device)
    from geodet.evaluation.calibrate import calibrate_on_chips, calibrate_on_scene
    from geodet.onnx.backend import load_model
    from geodet.tilesets.tile_inputs import LabelledArea

    loaded = load_model(model)
    run: dict[str, Any] = {"device": device, "overwrite": overwrite}
    if data is not None:
        report = calibrate_on_chips(loaded, output, data, config, split=split, **run)
    else:
        assert scene is not None
        assert labels is not None
        area = LabelledArea(aoi, corners, crs) if aoi or corners else None
        report = calibrate_on_scene(loaded, output, scene, labels, config, area=area, **run)
    _print_as_json(report) if as_json else _print(report, quiet=quiet)


def _check_files(
    output: Path,
    data: Path | None,
    scene: Path | None,
    labels: Path | None,
    aoi: Path | None,
    *,
    overwrite: bool,
) -> None:
    """Refuse paths that do not exist, or exist already, before anything slow is imported."""
    from geodet.files.output_folders import check_tileset_exists
    from geodet.files.outputs import check_destination, int8_path
    from geodet.raster.scene_lists import check_scene_exists
    from geodet.vector.formats import check_vector_exists

    check_destination(output, [".safetensors"], overwrite=overwrite)
    check_destination(int8_path(output), [".onnx"], overwrite=overwrite)
    if data is not None:
        check_tileset_exists(data)
    if scene is not None:
        check_scene_exists(scene)
    for path in (labels, aoi):
        if path is not None:
            check_vector_exists(path)


def _print_as_json(report: CalibrateReport) -> None:
    counts = {
        name: {**asdict(one), **_shares(one)}
        for name, one in (("before", report.before), ("expected", report.expected))
    }
    print_json({**asdict(report), **counts})


def _shares(counts: MatchCounts) -> dict[str, Any]:
    return {
        "precision": counts.precision,
        "precision_interval": counts.precision_interval,
        "recall": counts.recall,
        "recall_interval": counts.recall_interval,
        "f1": counts.f1,
    }


def _print(report: CalibrateReport, *, quiet: bool) -> None:
    from geodet.evaluation.chosen_threshold import show_threshold

    columns = ["", "threshold", "precision", "95 %", "recall", "95 %", "F1", "score error"]
    rows = [
        _cells("before", report.before, report.error_before),
        _cells("expected", report.expected, report.error_after),
    ]
    objects = report.before.labelled
    print_table(f"calibrated on {objects} labelled objects", columns, rows)
    if not report.is_held_out:
        typer.echo(
            "the threshold was chosen on these labels: expect slightly lower figures on new images"
        )
    for name, threshold in report.thresholds.items():
        typer.echo(f"{name}: best threshold {show_threshold(threshold)}")
    if not quiet:
        typer.echo(str(report.output))


def _cells(name: str, counts: MatchCounts, error: float) -> list[str]:
    from geodet.evaluation.chosen_threshold import show_threshold

    return [
        name,
        show_threshold(counts.threshold),
        f"{counts.precision:.3f}",
        _range(counts.precision_interval),
        f"{counts.recall:.3f}",
        _range(counts.recall_interval),
        f"{counts.f1:.3f}",
        "-" if math.isnan(error) else f"{error:.3f}",
    ]


def _range(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.2f} to {interval[1]:.2f}"
