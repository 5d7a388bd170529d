"""The command ``geodet compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as opt
from . import vector_options as vec
from .report import print_json, print_table, set_up_logging

if TYPE_CHECKING:
    from geodet.counting.compare import CompareReport

__all__ = ["EXAMPLES", "compare"]

EXAMPLES = """\
Examples:

  geodet compare 2020.gpkg 2024.gpkg -o changes.gpkg
  geodet compare 2020.gpkg 2024.gpkg --distance 2 --by districts.gpkg
"""


def compare(
    before: Annotated[
        Path, typer.Argument(help="The detections of the first date.", show_default=False)
    ],
    after: Annotated[
        Path, typer.Argument(help="The detections of the second date.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.gpkg",
            help="A GeoPackage with the layers kept, gone and new.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    distance: Annotated[
        float,
        typer.Option(
            "--distance",
            min=0,
            metavar="METRES",
            help="Largest distance between the centres of one object on the two dates.",
            rich_help_panel=opt.SETTINGS,
        ),
    ] = 3.0,
    by: Annotated[
        Path | None,
        typer.Option(
            "--by",
            metavar="FILE",
            help="Polygons to count in: the layer counts, or without --output a table.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    field: vec.PolygonField = None,
    min_score: vec.MinScore = 0.0,
    score_field: vec.ScoreField = None,
    label_field: vec.LabelField = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Compare the detections of two dates: which objects were kept, which are gone or new.

    Objects of one class are matched one to one by the distance of their centres. An object where
    only one of the dates was examined is neither gone nor new.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    from geodet.files.outputs import check_destination
    from geodet.vector.formats import check_vector_exists

    if output is not None:
        check_destination(output, (".gpkg",), overwrite=overwrite)
    for path in filter(None, (before, after, by)):
        check_vector_exists(path)
    from geodet.counting.compare import compare_dates

    report = compare_dates(
        before,
        after,
        output,
        distance=distance,
        by=by,
        field=field,
        min_score=min_score,
        score_field=score_field,
        label_field=label_field,
        overwrite=overwrite,
    )
    if as_json:
        print_json(report)
    else:
        _print(report)


def _print(report: CompareReport) -> None:
    typer.echo(f"{report.kept:,} kept, {report.gone:,} gone, {report.new:,} new")
    if report.unseen_before or report.unseen_after:
        typer.echo(
            "not compared, because only one date was examined: "
            f"{report.unseen_before:,} of the first date, {report.unseen_after:,} of the second"
        )
    if report.output is not None:
        typer.echo(f"{report.output}")
    elif report.counts:
        _print_counts(report.counts)


def _print_counts(counts: Sequence[Mapping[str, Any]]) -> None:
    """Print what was kept, gone and new in each polygon, by its first attribute or its number.

    The last column is how much of it was compared, where that is known.
    """
    from rich.markup import escape

    fates = ["kept", "gone", "new"]
    first = next(iter(counts[0]))
    title = "polygon" if first in fates else first
    names = [number if first in fates else row[first] for number, row in enumerate(counts, start=1)]
    rows = [
        [escape(str(name)), *("" if row[fate] is None else f"{row[fate]:,}" for fate in fates)]
        for name, row in zip(names, counts, strict=True)
    ]
    columns = [escape(title), *fates]
    if "compared_share" in counts[0]:
        columns.append("compared_share")
        for cells, share in zip(rows, (row["compared_share"] for row in counts), strict=True):
            cells.append("" if share is None else f"{100 * share:.1f} %")
    print_table("", columns, rows)
