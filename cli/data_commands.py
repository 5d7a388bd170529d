"""The commands that make data: tile and demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as opt
from .report import count_progress, detect_progress, print_json, set_up_logging

__all__ = ["demo", "tile"]


def tile(
    scene: Annotated[Path, typer.Argument(help="A raster.")],
    labels: Annotated[
        Path, typer.Option("--labels", help="Points or polygons in any format and CRS.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the tileset.")],
    overwrite: opt.Overwrite = False,
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    chip_size: opt.ChipSize = None,
    overlap: opt.Overlap = None,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Cut labelled chips from a scene, for training."""
    set_up_logging(verbose=verbose, quiet=quiet)
    flags = {"chip_size": chip_size, "overlap": overlap}
    config = opt.resolve(recipe, settings, flags={"tile": flags}, sections=("tile", "data"))
    from geodet.tilesets.tile import tile_scene

    with count_progress("cutting chips", quiet=quiet) as progress:
        report = tile_scene(
            scene,
            labels,
            output,
            config.tile,
            config.data,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        print_json(report)
        return
    typer.echo(
        f"{output}: {report.train} chips for training and {report.val} for validation with "
        f"{report.objects_kept} objects of {len(report.classes)} classes"
    )


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if missing.")] = Path("demo"),
    size: Annotated[int, typer.Option("--size", min=512, help="Side of the scene in px.")] = 4096,
    model: opt.ModelName = "urban-trees",
    device: opt.Device = "auto",
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Paint a town, find its trees, and say how many were found."""
    set_up_logging(verbose=verbose, quiet=quiet)
    from geodet.demo.run_demo import run_demo
    from geodet.models.checkpoint import load_model

    with detect_progress(quiet=quiet) as progress:
        report = run_demo(
            folder,
            load_model(model),
            size=size,
            device=device,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        print_json(report)
        return
    typer.echo(
        f"painted {report.painted} trees, detected {report.detected}: {report.matched} right, "
        f"so {report.recall:.0%} were found and {report.precision:.0%} of the detections are trees"
    )
    for path in report.files:
        typer.echo(str(path))
