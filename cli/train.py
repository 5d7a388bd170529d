"""The command ``geodet train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import label_options as label
from . import options as opt
from .process import command_line, prepare_process
from .report import log_nothing, print_json, set_up_logging
from .train_display import train_display
from .train_report import hint_at_resume, print_plan, print_training
from .train_series import Seeds, Sweep, plan_runs, train_runs

if TYPE_CHECKING:
    from geodet.config import Config
    from geodet.tilesets.tile_inputs import LabelledArea
    from geodet.training.scene_chips import ScenesWithLabels
    from geodet.training.train import TrainReport
    from geodet.training.train_plan import TrainPlan

__all__ = ["EXAMPLES", "train"]

EXAMPLES = """\
Examples:

  geodet train --data tiles -o mine.safetensors
  geodet train --scene scene.tif --labels trees.gpkg -o mine.safetensors
  geodet train --scene 'flights/*.tif' --labels cars.gpkg -o mine.safetensors
  geodet train --data tiles --dry-run
  geodet train --data tiles -o mine.safetensors -c fast-cpu --epochs 20
  geodet train --data tiles -o mine.safetensors --init urban-trees
  geodet train --data tiles -o mine.safetensors --resume
  geodet train --data tiles -o mine.safetensors --sweep train.batch_size=8,16
  torchrun --nproc-per-node 4 -m geodet train --data tiles -o mine.safetensors
"""

_SECTIONS = ("model", "data", "augment", "train", "match", "detect")
"""The sections of the configuration that a training reads; of scenes, ``tile`` as well."""


def train(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="A tileset: a folder of chips with COCO, CSV, Pascal VOC or YOLO labels, or the "
            "COCO or CSV file.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    allow_outside: label.AllowOutside = False,
    scenes: Annotated[
        list[str] | None,
        typer.Option(
            "--scene",
            metavar="SCENE",
            help="Instead of a tileset, a raster from which chips are cut first, as by geodet "
            "tile; also a folder, a quoted 'pattern' or @FILE, a list. May be repeated.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="The labels of the scenes, in any vector format and CRS, as for geodet tile.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    label_field: label.LabelField = None,
    labels_crs: label.LabelsCrs = None,
    aoi: label.LabelledAoi = None,
    bounds: opt.Bounds = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.safetensors",
            help="The model file to write; not needed with --dry-run.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print what would be trained and how long an epoch would take, and write nothing.",
            rich_help_panel=opt.RUN,
        ),
    ] = False,
    device: opt.Device = "auto",
    seeds: Seeds = 1,
    sweep: Sweep = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the interrupted run of this output.",
            rich_help_panel=opt.RUN,
        ),
    ] = False,
    overwrite: opt.Overwrite = False,
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            metavar="N",
            help="Passes over the training chips.",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="NAME|PATH",
            help="Start from the weights of a bundled model or a model file. Its architecture is "
            "also used, unless --config or --set sets keys of the section model.",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = None,
    chip_size: opt.ChipSize = None,
    gsd: label.ChipGsd = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            metavar="N",
            help="Chips in one step, over all processes.",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            help="Processes that prepare chips; 0: the training process itself.",
            rich_help_panel=opt.RUN,
        ),
    ] = None,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Train a model on your own labelled chips, or directly on scenes and their labels.

    The model file holds the weights of the epoch with the best F1 on the validation chips, and the
    score threshold of that F1. The log, the state for --resume and a report go to a folder beside
    it, and so do the chips of scenes. With --scene, the keys of section tile say how chips are cut,
    e.g. --set tile.chip_size=PX.
    """
    if output is None and not dry_run:
        raise typer.BadParameter("name the model file to write", param_hint="--output / -o")
    has_cuts = any(value is not None for value in (labels_crs, gsd, aoi, bounds))
    scenes = _choose_scenes(data, scenes, labels, has_cuts=has_cuts)
    set_up_logging(verbose=verbose, quiet=quiet)
    flags = {
        "init": init,
        "epochs": epochs,
        "chip_size": chip_size,
        "batch_size": batch_size,
        "workers": workers,
    }
    layers: dict[str, dict[str, Any]] = {"train": flags}
    layers["tile"] = {"labels_crs": labels_crs, "gsd": gsd}
    layers["data"] = {"allow_outside": allow_outside or None}
    layers["tile" if scenes else "data"]["label_field"] = label_field
    sections = (*_SECTIONS, "tile") if scenes else _SECTIONS
    config = opt.resolve(recipe, settings, flags=layers, sections=sections)
    corners, crs = opt.parse_bounds(bounds)
    runs = plan_runs(output, config, seeds, sweep, dry_run=dry_run)
    files = [*(labels or ()), *([aoi] if aoi else ())]
    _check_output(None if runs else output, resume=resume, overwrite=overwrite)
    _check_inputs(data, scenes, files, device=device, init=config.train.init)
    prepare_process(device)
    from geodet.files.torchrun import is_first_process
    from geodet.tilesets.tile_inputs import LabelledArea

    source = _to_source(data, scenes, labels, LabelledArea(aoi, corners, crs))
    if output is None or dry_run:
        plan = _plan(source, config, device=device, is_shown=bool(scenes) and not quiet)
        print_json(plan) if as_json else print_plan(plan)
        return
    how: dict[str, Any] = {"device": device, "resume": resume, "overwrite": overwrite}
    if runs:
        train_runs(source, output, runs, as_json=as_json, quiet=quiet, **how)
        return
    report = _train(source, output, config, quiet=quiet, **how)
    if is_first_process():
        print_json(report) if as_json else print_training(report, quiet=quiet)


def _choose_scenes(
    data: Path | None, scenes: list[str] | None, labels: list[Path] | None, *, has_cuts: bool
) -> list[str]:
    """Return the scenes to cut, empty for a tileset; refuse options that do not go together."""
    if data is not None and scenes:
        raise typer.BadParameter("give a tileset or scenes, but not both", param_hint="--data")
    if data is None and not scenes:
        raise typer.BadParameter(
            "give a tileset, or scenes with --scene and --labels", param_hint="--data"
        )
    if scenes and not labels:
        raise typer.BadParameter("give the labels of the scenes", param_hint="--labels")
    if labels:
        return scenes or [str(data)]
    if has_cuts:
        raise typer.BadParameter(
            "--crs, --aoi, --bounds and --gsd belong to scenes: give them to geodet tile, or give "
            "--labels as well",
            param_hint="--data",
        )
    return []


def _check_output(output: Path | None, *, resume: bool, overwrite: bool) -> None:
    """Check that a run of one model can write it; None: nothing, or a series that checks it."""
    from geodet.files.output_folders import check_run

    if output is not None:
        check_run(output, resume=resume, overwrite=overwrite)


def _check_inputs(
    data: Path | None, scenes: list[str], files: list[Path], *, device: str, init: str | None
) -> None:
    """Refuse what does not exist, before anything slow is imported.

    Args:
        data: A tileset.
        scenes: Scenes in the place of a tileset.
        files: Labels of the scenes, and the labelled area.
        device: Name of the device.
        init: The model to start from.
    """
    from geodet.files.output_folders import check_tileset_exists
    from geodet.models.description import check_model
    from geodet.models.device import check_device_name
    from geodet.raster.scene_lists import list_scenes
    from geodet.vector.formats import check_vector_exists

    if scenes:
        with log_nothing():  # the same check comes again, with its warnings
            list_scenes(scenes)
    elif data is not None:
        check_tileset_exists(data)
    for file in files:
        check_vector_exists(file)
    check_device_name(device)
    if init:
        check_model(init)


def _to_source(
    data: Path | None, scenes: list[str], labels: list[Path] | None, area: LabelledArea
) -> Path | ScenesWithLabels:
    """Return the tileset, or the scenes with their labels."""
    from geodet.training.scene_chips import ScenesWithLabels

    if scenes:
        return ScenesWithLabels(tuple(scenes), tuple(labels or ()), area)
    assert data is not None
    return data


def _plan(
    source: Path | ScenesWithLabels, config: Config, *, device: str, is_shown: bool
) -> TrainPlan:
    """Plan a training, and show meanwhile how chips are cut."""
    from geodet.api.progress_bars import count_bar
    from geodet.training.train_plan import plan_training

    with count_bar("cutting chips", is_shown=is_shown) as cutting:
        return plan_training(source, config, device=device, cut_progress=cutting)


def _train(
    source: Path | ScenesWithLabels,
    output: Path,
    config: Config,
    *,
    device: str,
    resume: bool,
    overwrite: bool,
    quiet: bool,
) -> TrainReport:
    """Train one model, and show its progress."""
    from geodet.training.train import run_training

    with hint_at_resume(output), train_display(quiet=quiet) as display:
        return run_training(
            source,
            output,
            config,
            device=device,
            resume=resume,
            overwrite=overwrite,
            command=command_line(),
            progress=display.epoch,
            step_progress=display.step,
            cut_progress=display.cut,
        )
