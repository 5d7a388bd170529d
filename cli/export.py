"""The command ``geodet export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import options as opt
from .report import print_json

__all__ = ["EXAMPLES", "export"]

EXAMPLES = """\
Examples:

  geodet export urban-trees -o urban-trees.onnx
  geodet export mine.safetensors -o mine.onnx --reader plain
"""


def export(
    model: Annotated[
        str, typer.Argument(help="A bundled model or a model file.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.onnx",
            help="The file to write.",
            rich_help_panel=opt.OUTPUT,
        ),
    ],
    file_format: Annotated[
        Literal["onnx"],
        typer.Option("--format", help="The format of the file.", rich_help_panel=opt.OUTPUT),
    ] = "onnx",
    reader: Annotated[
        Literal["deepness", "geodeep", "plain"],
        typer.Option(
            "--reader",
            help="The program that reads the file: the QGIS plugin Deepness, GeoDeep, or plain for "
            "geodet and programs of your own.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = "deepness",
    chip_size: Annotated[
        int,
        typer.Option(
            "--chip-size",
            min=32,
            metavar="PX",
            help="Side of a chip in pixels, for Deepness and GeoDeep.",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = 512,
    overlap: Annotated[
        int,
        typer.Option(
            "--overlap",
            min=0,
            metavar="PX",
            help="Pixels that neighbouring chips share, for Deepness and GeoDeep.",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = 64,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    """Write a model as an ONNX file, for QGIS and other programs.

    The graph is compared with PyTorch before it is written. This needs the packages onnx and
    onnxruntime.
    """
    del file_format  # there is only one
    from geodet.files.outputs import check_destination
    from geodet.models.description import check_model

    check_destination(output, [".onnx"], overwrite=overwrite)
    check_model(model)
    from geodet.models.checkpoint import load_checkpoint
    from geodet.onnx.export import export_model

    report = export_model(
        load_checkpoint(model),
        output,
        reader=reader,
        chip_size=chip_size,
        overlap=overlap,
        overwrite=overwrite,
    )
    if as_json:
        print_json(report)
        return
    typer.echo(
        f"{report.output}: {report.megabytes:.1f} MB for {report.reader}; PyTorch within "
        f"{report.score_difference:.1g} in scores and {report.box_difference_px:.1g} px in boxes"
    )
