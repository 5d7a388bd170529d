"""The command ``geodet preview``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as opt
from . import vector_options as vec
from .report import print_json, set_up_logging

__all__ = ["EXAMPLES", "preview"]

EXAMPLES = """\
Examples:

  geodet preview scene.tif trees.gpkg -o trees.png
  geodet preview scene.tif trees.gpkg -o part.png --window 500,500,800,600
  geodet preview scene.tif cars.geojson -o cars.png --min-score 0.5
"""


def preview(
    scene: Annotated[str, typer.Argument(help="A raster that GDAL opens.", show_default=False)],
    detections: Annotated[
        Path,
        typer.Argument(
            help="A vector file with points or polygons, such as the output of detect.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.png",
            help="The picture to write.",
            rich_help_panel=opt.OUTPUT,
        ),
    ],
    window: Annotated[
        str | None,
        typer.Option(
            "--window",
            metavar="COL,ROW,WIDTH,HEIGHT",
            help="A part of the scene, in its pixels.",
            rich_help_panel=opt.AREA,
        ),
    ] = None,
    bounds: opt.Bounds = None,
    max_side: Annotated[
        int,
        typer.Option(
            "--max-side",
            min=64,
            max=16384,
            metavar="PX",
            help="Longest side of the picture in pixels.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = 2048,
    min_score: vec.MinScore = 0.0,
    score_field: vec.ScoreField = None,
    bands: vec.ShownBands = None,
    on_error: opt.OnError = None,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Draw detections over a scene, or a part of it, with a legend and a scale bar.

    Objects are boxes, or dots where boxes would be too small. Where dots would run together, a
    shading shows their density.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    corners, crs = opt.parse_bounds(bounds)
    part = _parse_numbers(window, "--window")
    if corners and part:
        raise typer.BadParameter("give --window or --bounds, but not both", param_hint="--window")
    if part and not (all(map(float.is_integer, part)) and min(part[2:]) > 0):
        raise typer.BadParameter(
            f"{window!r} is not a window of whole pixels", param_hint="--window"
        )
    from geodet.files.outputs import check_destination
    from geodet.raster.reach import announce_reach
    from geodet.raster.scene_lists import check_scene_exists
    from geodet.vector.formats import check_vector_exists

    check_destination(output, (".png",), overwrite=overwrite)
    check_scene_exists(scene)
    announce_reach([scene])
    check_vector_exists(detections)
    from geodet.geometry.windows import Window
    from geodet.previews.preview import draw_scene

    report = draw_scene(
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
        on_error=on_error or "stop",
        overwrite=overwrite,
    )
    if as_json:
        print_json(report)
        return
    count = sum(report.labels.values())
    typer.echo(f"{report.output}: {count:,} object{'' if count == 1 else 's'}")


def _parse_numbers(text: str | None, option: str) -> tuple[float, ...]:
    """Parse four numbers; empty without a text."""
    if text is None:
        return ()
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise typer.BadParameter(
            f"{text!r} is not four numbers separated by commas", param_hint=option
        )
    return numbers
