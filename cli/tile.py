"""The command ``geodet tile``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as opt
from .report import print_json, set_up_logging

__all__ = ["EXAMPLES", "tile"]

EXAMPLES = """\
Examples:

  geodet tile scene.tif --labels trees.gpkg -o tiles
  geodet tile scene.tif --labels points.csv -o tiles --set data.box_size_m=7.2
  geodet tile scene.tif --labels cars.geojson -o tiles --chip-size 384
"""


def tile(
    scene: Annotated[Path, typer.Argument(help="A raster that GDAL opens.", show_default=False)],
    labels: Annotated[
        Path,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="A vector file with the objects as points or polygons, in any CRS.",
            rich_help_panel=opt.INPUT,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="The folder of the tileset to write.",
            rich_help_panel=opt.OUTPUT,
        ),
    ],
    overwrite: opt.Overwrite = False,
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    chip_size: opt.ChipSize = None,
    overlap: opt.Overlap = None,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Cut labelled chips from a scene, to train on.

    The chips for validation come from other parts of the scene than those for training, and share
    no pixel with them.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    flags = {"chip_size": chip_size, "overlap": overlap}
    config = opt.resolve(recipe, settings, flags={"tile": flags}, sections=("tile", "data"))
    from geodet.files.output_folders import check_new_tileset
    from geodet.raster.scene_lists import check_scene_exists
    from geodet.vector.formats import check_vector_exists

    check_new_tileset(output, overwrite=overwrite, inputs=(scene, labels))
    check_scene_exists(scene)
    check_vector_exists(labels)
    from geodet.api.progress_bars import count_bar
    from geodet.tilesets.tile import tile_scene

    with count_bar("cutting chips", is_shown=not quiet) as progress:
        report = tile_scene(
            scene,
            labels,
            output,
            config.tile,
            config.data,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        print_json(report)
        return
    typer.echo(
        f"{output}: {report.train} chips for training and {report.val} for validation with "
        f"{report.objects_kept} objects of {len(report.classes)} classes"
    )
