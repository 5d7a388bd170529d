"""The command ``geodet compare-runs``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import options as opt
from .report import print_json, print_table

__all__ = ["EXAMPLES", "compare_runs"]

EXAMPLES = """\
Examples:

  geodet compare-runs one.run two.run three.run
  geodet compare-runs *.run -o runs.md --plot runs.png
  geodet compare-runs *.run --format latex
"""


def compare_runs(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Training folders (NAME.run), or the models beside them.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The table to write: .txt, .csv, .md or .tex.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    format: Annotated[
        Literal["text", "csv", "markdown", "latex"] | None,
        typer.Option(
            "--format",
            help="Format of the table.",
            show_default="by the extension of the file, or else text",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw F1, AP and the losses by epoch: .png, .pdf or .svg.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    """Compare training runs: the settings that differ, data, epochs, figures, speed and size.

    Precision, recall and AP are those of the epoch with the best F1.
    """
    from geodet.files.outputs import check_destination
    from geodet.training.run_records import read_run
    from geodet.training.run_tables import (
        RUN_PLOTS,
        RUN_TABLES,
        check_run_table,
        plot_runs,
        tabulate_runs,
        write_run_table,
    )

    if output is not None:
        check_run_table(output, format, overwrite=overwrite)
    if plot is not None:
        check_destination(plot, RUN_PLOTS, overwrite=overwrite)
    records = [read_run(run) for run in runs]
    table = tabulate_runs(records)
    if output is not None:
        write_run_table(table, output, format=format, overwrite=overwrite)
        typer.echo(str(output), err=as_json)
    elif as_json:
        print_json([dict(zip(table.columns, row, strict=True)) for row in table.rows])
    elif format is None:
        print_table("", list(table.columns), [list(row) for row in table.rows])
    else:
        typer.echo(RUN_TABLES[format](table), nl=False)
    if plot is not None:
        plot_runs(records, plot, overwrite=overwrite)
        typer.echo(str(plot), err=as_json or format is not None)
