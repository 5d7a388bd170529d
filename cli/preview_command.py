"""The command that draws: preview."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as opt
from .report import print_json, set_up_logging

__all__ = ["preview"]

_PART = "A part of the scene"


def preview(
    scene: Annotated[str, typer.Argument(help="A raster that GDAL opens.")],
    detections: Annotated[
        Path, typer.Argument(help="A vector file with points or polygons, as of detect.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture: .png.")],
    window: Annotated[
        str | None,
        typer.Option(
            "--window",
            metavar="COL,ROW,WIDTH,HEIGHT",
            help="In pixels of the scene.",
            rich_help_panel=_PART,
        ),
    ] = None,
    bounds: Annotated[
        str | None,
        typer.Option(
            "--bounds",
            metavar="XMIN,YMIN,XMAX,YMAX[,CRS]",
            help="In the scene's CRS unless one is named.",
            rich_help_panel=_PART,
        ),
    ] = None,
    max_side: Annotated[
        int, typer.Option("--max-side", min=64, max=16384, help="Longest side in pixels.")
    ] = 2048,
    min_score: Annotated[
        float, typer.Option("--min-score", min=0, max=1, help="Lowest score shown.")
    ] = 0.0,
    score_field: Annotated[
        str | None,
        typer.Option("--score-field", help="Attribute with the score.  [default: score, if any]"),
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option("--bands", metavar="R,G,B", help="Bands that are red, green and blue."),
    ] = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Draw detections over a scene, or a part of it, with a legend and a scale bar."""
    set_up_logging(verbose=verbose, quiet=quiet)
    corners, crs = opt.parse_bounds(bounds)
    part = _parse_numbers(window, "--window")
    if corners and part:
        raise typer.BadParameter("give --window or --bounds, but not both", param_hint="--window")
    from geodet.geometry.windows import Window
    from geodet.previews.preview import draw_scene as run

    if part and not (all(map(float.is_integer, part)) and min(part[2:]) > 0):
        raise typer.BadParameter(
            f"{window!r} is not a window of whole pixels", param_hint="--window"
        )
    report = run(
        scene,
        detections,
        output,
        window=Window(*map(int, part)) if part else None,
        bounds=corners,
        bounds_crs=crs,
        bands=opt.parse_bands(bands) or (),
        min_score=min_score,
        score_field=score_field,
        max_side=max_side,
        overwrite=overwrite,
    )
    if as_json:
        print_json(report)
        return
    count = sum(report.labels.values())
    typer.echo(f"{report.output}: {count:,} object{'' if count == 1 else 's'}")


def _parse_numbers(text: str | None, option: str) -> tuple[float, ...]:
    """Read four numbers; none where there is no text."""
    if text is None:
        return ()
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise typer.BadParameter(
            f"{text!r} is not four numbers with commas between them", param_hint=option
        )
    return numbers
