"""The command ``geodet export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import options as opt
from .report import print_json

if TYPE_CHECKING:
    from geodet.onnx.export import ExportReport

__all__ = ["EXAMPLES", "export"]

EXAMPLES = """\
Examples:

  geodet export urban-trees -o urban-trees.onnx
  geodet export mine.safetensors -o mine.onnx --reader plain
  geodet export mine.safetensors --precision int8 --calibrate tiles
"""


def export(
    model: Annotated[
        str, typer.Argument(help="A bundled model or a model file.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.onnx",
            help="The file to write. With --precision int8 by default MODEL.int8.onnx beside the "
            "model, where detect finds it.",
            show_default=False,
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    file_format: Annotated[
        Literal["onnx"],
        typer.Option("--format", help="The format of the file.", rich_help_panel=opt.OUTPUT),
    ] = "onnx",
    reader: Annotated[
        Literal["deepness", "geodeep", "plain"] | None,
        typer.Option(
            "--reader",
            help="The program that reads the file: the QGIS plugin Deepness, GeoDeep, or plain for "
            "geodet and programs of your own.",
            show_default="deepness, and plain with int8",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    precision: Annotated[
        Literal["float32", "int8"],
        typer.Option(
            "--precision",
            help="Numeric precision of the convolutions. int8 is faster on most CPUs, and needs "
            "--calibrate.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = "float32",
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="TILESET|SCENE",
            help="Imagery like that the model is for, to choose the scales of int8 and to check "
            "the result.",
            show_default=False,
            rich_help_panel=opt.SETTINGS,
        ),
    ] = None,
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
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    """Write a model as an ONNX file, for QGIS and other programs, or in eight-bit integers.

    Before the file is written, its detections are compared with those of PyTorch. This needs the
    packages onnx
    and onnxruntime.
    """
    del file_format  # there is only one
    if (precision == "int8") != (calibrate is not None):
        raise typer.BadParameter(
            "give both --precision int8 and --calibrate", param_hint="--calibrate"
        )
    if precision == "int8" and reader not in (None, "plain"):
        raise typer.BadParameter(
            f"int8 needs the reader plain, not {reader}", param_hint="--reader"
        )
    if output is None and precision != "int8":
        raise typer.BadParameter("give the file to write", param_hint="--output")
    config = opt.resolve(recipe, settings, flags={}, sections=("data", "match", "detect"))
    from geodet.files.outputs import check_destination, int8_path
    from geodet.models.description import check_model, find_model

    check_model(model)
    output = output or int8_path(find_model(model))
    check_destination(output, [".onnx"], overwrite=overwrite)
    from geodet.api.tools import export as export_with

    report = export_with(
        model,
        output,
        reader=reader or ("plain" if precision == "int8" else "deepness"),
        precision=precision,
        calibrate=calibrate,
        config=config,
        chip_size=chip_size,
        overlap=overlap,
        overwrite=overwrite,
    )
    print_json(report) if as_json else typer.echo(_describe(report))


def _describe(report: ExportReport) -> str:
    line = (
        f"{report.output}: {report.megabytes:.1f} MB for {report.reader}; PyTorch within "
        f"{report.score_difference:.1g} in scores and {report.box_difference_px:.1g} px in boxes"
    )
    if report.agreement is not None:
        line += f" on average; F1 of the detections against PyTorch {report.agreement:.3f}"
    if report.f1 is not None:
        line += f"; F1 against labels {report.f1:.3f}, in float32 {report.f1_of_floats:.3f}"
    return line
