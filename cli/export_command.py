"""The command that hands a model to other programs: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import options as opt
from .report import print_json

__all__ = ["export"]


def export(
    model: Annotated[str, typer.Argument(help="A bundled model or a model file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write: .onnx.")],
    file_format: Annotated[
        Literal["onnx"], typer.Option("--format", help="The format to write.")
    ] = "onnx",
    reader: Annotated[
        Literal["deepness", "geodeep", "plain"],
        typer.Option("--reader", help="The program that it is for; plain: geodet and your own."),
    ] = "deepness",
    chip_size: Annotated[
        int, typer.Option("--chip-size", min=32, help="Side of a tile in pixels.")
    ] = 512,
    overlap: Annotated[
        int, typer.Option("--overlap", min=0, help="Pixels that neighbouring tiles share.")
    ] = 64,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    """Write a model as an ONNX file, for QGIS and other programs."""
    del file_format  # there is one
    from geodet.models.checkpoint import load_model
    from geodet.onnx.export import export_model

    report = export_model(
        load_model(model),
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
