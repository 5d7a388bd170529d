"""The command ``geodet count``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options as opt
from . import vector_options as vec
from .report import print_json, set_up_logging

if TYPE_CHECKING:
    from geodet.counting.count import CountReport

__all__ = ["EXAMPLES", "count"]

_PLACES = "Places to count in"
_ACCURACY = "Accuracy of the detections"
EXAMPLES = """\
Examples:

  geodet count trees.gpkg --by stands.gpkg -o counts.gpkg
  geodet count trees.gpkg --grid 100 -o density.tif
  geodet count trees.gpkg --by stands.gpkg --precision 0.81 --recall 0.7
  geodet count trees.gpkg --by stands.gpkg --sample all.gpkg --aoi plots.gpkg
"""


def count(
    detections: Annotated[
        Path,
        typer.Argument(
            help="A vector file with points or polygons, such as the output of detect.",
            show_default=False,
        ),
    ],
    by: Annotated[
        Path | None,
        typer.Option(
            "--by",
            metavar="FILE",
            help="Polygons to count in, in any vector format and CRS; they may overlap.",
            rich_help_panel=_PLACES,
        ),
    ] = None,
    grid: Annotated[
        float | None,
        typer.Option(
            "--grid",
            metavar="METRES",
            help="Count in square cells of this side, in metres.",
            rich_help_panel=_PLACES,
        ),
    ] = None,
    h3: Annotated[
        int | None,
        typer.Option(
            "--h3",
            min=0,
            max=15,
            metavar="RESOLUTION",
            help="Count in the hexagons of H3, which needs the package h3.",
            rich_help_panel=_PLACES,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The table to write: .gpkg, .geojson, .fgb, .parquet, or .csv without polygons; "
            "with --grid also .tif, a raster of densities.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    field: vec.PolygonField = None,
    min_score: vec.MinScore = 0.0,
    score_field: vec.ScoreField = None,
    label_field: vec.LabelField = None,
    precision: Annotated[
        float | None,
        typer.Option(
            "--precision",
            metavar="SHARE",
            help="Share of the detections that are right.",
            show_default="from the file",
            rich_help_panel=_ACCURACY,
        ),
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option(
            "--recall",
            metavar="SHARE",
            help="Share of the objects that are found.",
            show_default="from the file",
            rich_help_panel=_ACCURACY,
        ),
    ] = None,
    measured_on: Annotated[
        int,
        typer.Option(
            "--measured-on",
            min=0,
            metavar="OBJECTS",
            help="Labelled objects on which precision and recall were measured; 0: they are exact.",
            rich_help_panel=_ACCURACY,
        ),
    ] = 0,
    sample: Annotated[
        Path | None,
        typer.Option(
            "--sample",
            metavar="FILE",
            help="A vector file with all objects in the sample plots of --aoi.",
            rich_help_panel=_ACCURACY,
        ),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            "--aoi",
            metavar="FILE",
            help="The sample plots: two polygons or more.",
            rich_help_panel=_ACCURACY,
        ),
    ] = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Count detections by polygons or cells, and estimate how many objects there really are.

    An object counts in each polygon that its centre lies in. The 95 % interval of the true count
    comes from the precision and recall of the detections, or from a labelled sample. Densities and
    estimates refer to the examined part of each polygon, if the file records it.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    from geodet.files.outputs import check_destination
    from geodet.vector.formats import TABLE_SUFFIXES, check_vector_exists

    for path in filter(None, (detections, by, sample, plots)):
        check_vector_exists(path)
    if output is not None:
        suffixes = TABLE_SUFFIXES if grid is None else (*TABLE_SUFFIXES, ".tif", ".tiff")
        check_destination(output, suffixes, overwrite=overwrite)
    from geodet.counting.count import CountPlaces, count_objects
    from geodet.counting.known_accuracy import KnownAccuracy

    report = count_objects(
        detections,
        CountPlaces(by, field, grid, h3),
        output,
        min_score=min_score,
        score_field=score_field,
        label_field=label_field,
        known=KnownAccuracy(precision, recall, measured_on, sample, plots),
        overwrite=overwrite,
    )
    if as_json:
        print_json(report)
    else:
        _print(report)


def _print(report: CountReport) -> None:
    from geodet.documents.values import counted

    objects, places = counted(report.objects, "object"), counted(report.polygons, "place")
    typer.echo(f"{objects} in {places}, {report.elsewhere:,} elsewhere")
    total = report.total
    if "per_ha" in total:
        share = total.get("examined_share", 1.0)
        part = f", the examined {100 * share:.1f} % of the places" if share < 1 else ""
        typer.echo(f"{total['per_ha']:,.2f} per hectare on {total['area_ha']:,.2f} ha{part}")
    if "estimate" in total:
        low, high = total["estimate_low"], total["estimate_high"]
        typer.echo(
            f"estimated true count: {total['estimate']:,.0f}, 95 % between {low:,.0f} and "
            f"{high:,.0f} ({report.estimated_by})"
        )
    if report.output is not None:
        typer.echo(f"{report.output}")
