"""The command ``geodet demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as opt
from .process import prepare_process
from .report import print_json, set_up_logging

__all__ = ["EXAMPLES", "demo"]

EXAMPLES = """\
Examples:

  geodet demo
  geodet demo town --size 1024 --overwrite
"""


def demo(
    folder: Annotated[
        Path, typer.Argument(help="The folder to write to; created if it does not exist.")
    ] = Path("demo"),
    size: Annotated[
        int,
        typer.Option(
            "--size",
            min=512,
            metavar="PX",
            help="Side of the scene in pixels.",
            rich_help_panel=opt.INPUT,
        ),
    ] = 4096,
    model: opt.ModelName = "urban-trees",
    device: opt.Device = "auto",
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Paint a town, detect its trees, and compare them with those painted.

    Needs no data. The painted town looks simpler than a photograph, so the figures say that geodet
    works on this machine, not how good a model is.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    from geodet.files.output_folders import check_demo_folder
    from geodet.models.description import check_model
    from geodet.models.device import check_device_name

    check_demo_folder(folder, overwrite=overwrite)
    check_model(model)
    check_device_name(device)
    prepare_process(device)
    from geodet.api.progress_bars import detect_bars
    from geodet.demo.run_demo import run_demo
    from geodet.onnx.backend import load_model

    with detect_bars(is_shown=not quiet) as progress:
        report = run_demo(
            folder,
            load_model(model),
            size=size,
            device=device,
            overwrite=overwrite,
            progress=progress,
        )
        progress.finish(report.detected)
    if as_json:
        print_json(report)
        return
    typer.echo(
        f"painted {report.painted} trees, detected {report.detected}: {report.matched} right, "
        f"so {report.recall:.0%} were found and {report.precision:.0%} of the detections are trees"
    )
    for path in report.files:
        typer.echo(str(path))
