"""The command ``geodet view``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as opt
from . import vector_options as vec
from .process import end_if_signalled
from .report import set_up_logging

__all__ = ["EXAMPLES", "view"]

EXAMPLES = """\
Examples:

  geodet view scene.tif trees.gpkg
  geodet view scene.tif trees.gpkg --errors evaluation/errors.gpkg
  geodet view scene.tif trees.gpkg --reviews reviews.gpkg
  geodet view scene.tif --no-open --port 8000
"""


def view(
    scene: Annotated[str, typer.Argument(help="A raster that GDAL opens.", show_default=False)],
    detections: Annotated[
        Path | None,
        typer.Argument(
            help="A vector file with points or polygons, such as the output of detect.",
            show_default=False,
        ),
    ] = None,
    errors: Annotated[
        Path | None,
        typer.Option(
            "--errors",
            metavar="FILE",
            help="The errors.gpkg of an evaluation: true positives, false positives and misses.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    reviews: Annotated[
        Path | None,
        typer.Option(
            "--reviews",
            metavar="FILE.gpkg",
            help="Accept, reject, move, draw and delete objects; each decision is written to this "
            "file at once. An existing file is continued.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    score_field: vec.ScoreField = None,
    bands: vec.ShownBands = None,
    own_grid: Annotated[
        bool,
        typer.Option(
            "--own-grid",
            help="Show the scene in its own pixels, not in Web Mercator.",
            rich_help_panel=opt.RUN,
        ),
    ] = False,
    base_map: Annotated[
        str,
        typer.Option(
            "--base-map",
            metavar="URL",
            help="Address of tiles to show below the scene, with {z}, {x} and {y}.",
            show_default="none",
            rich_help_panel=opt.RUN,
        ),
    ] = "",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            metavar="N",
            help="Port of this machine to serve the page on.",
            show_default="a free one",
            rich_help_panel=opt.RUN,
        ),
    ] = 0,
    no_open: Annotated[
        bool,
        typer.Option(
            "--no-open",
            help="Only print the address of the page; do not open a browser.",
            rich_help_panel=opt.RUN,
        ),
    ] = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Show a scene and its objects as a map in the browser, until Ctrl-C.

    The page is served only to this machine, at an address with a random token. It works offline. A
    slider filters by score and shows the count; a click shows all attributes.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    from geodet.raster.reach import announce_reach
    from geodet.raster.scene_lists import check_scene_exists
    from geodet.vector.formats import check_vector_exists

    check_scene_exists(scene)
    announce_reach([scene])
    for file in (detections, errors):
        if file is not None:
            check_vector_exists(file)
    if not quiet:
        files = [scene, *(str(file) for file in (detections, errors) if file is not None)]
        typer.echo(f"reading {', '.join(files)}", err=True)
    from geodet.viewer.serve_map import serve_map

    def announce(address: str) -> None:
        typer.echo(address)
        if not quiet:
            typer.echo("Ctrl-C ends it", err=True)

    serve_map(
        scene,
        detections,
        errors=errors,
        reviews=reviews,
        score_field=score_field,
        bands=opt.parse_bands(bands) or (),
        own_grid=own_grid,
        base_map=base_map,
        port=port,
        opens_browser=not no_open,
        announce=announce,
    )
    end_if_signalled(0)
