"""The command ``geodet tile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import label_options as label
from . import options as opt
from . import search_options as search
from .report import log_nothing, print_json, set_up_logging

if TYPE_CHECKING:
    from geodet.tilesets.tile import TileReport

__all__ = ["EXAMPLES", "tile"]

EXAMPLES = """\
Examples:

  geodet tile scene.tif --labels trees.gpkg -o tiles
  geodet tile scene.tif --labels points.csv -o tiles --set data.box_size_m=7.2
  geodet tile scene.tif --labels cars.geojson -o tiles --chip-size 384
  geodet tile scene.tif --labels trees.gpkg -o tiles --label-field species
  geodet tile scene.tif --labels trees.gpkg -o tiles --aoi labelled.gpkg
  geodet tile 'flights/*.tif' --labels cars.gpkg -o tiles --gsd 0.13
  geodet tile 'flights/*.tif' --labels labels/ -o tiles
  geodet tile scene.tif --reviews reviews.gpkg -o tiles
"""


def tile(
    scenes: search.Scenes,
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
    labels: Annotated[
        list[Path] | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="A vector file with the objects as points or polygons, in any CRS: one for all "
            "scenes, or repeated, one for each; or a folder with a file of each scene's name.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    reviews: Annotated[
        Path | None,
        typer.Option(
            "--reviews",
            metavar="FILE.gpkg",
            help="Instead of --labels: a file that `geodet view --reviews` wrote. Only reviewed "
            "windows become chips.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    label_field: label.LabelField = None,
    labels_crs: label.LabelsCrs = None,
    allow_outside: Annotated[
        bool,
        typer.Option(
            "--allow-outside",
            help="Follow links from a folder of labels to files outside of it.",
            rich_help_panel=opt.INPUT,
        ),
    ] = False,
    aoi: label.LabelledAoi = None,
    bounds: opt.Bounds = None,
    overwrite: opt.Overwrite = False,
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    chip_size: opt.ChipSize = None,
    overlap: opt.Overlap = None,
    gsd: label.ChipGsd = None,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Cut labelled chips from scenes, to train on.

    Validation chips come from other parts of the scenes than training chips and do not overlap
    them. If you labelled only a part, give it with --aoi or --bounds: everything else without a
    label counts as background.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    if bool(labels) == (reviews is not None):
        raise typer.BadParameter("give --labels or --reviews, but not both", param_hint="--labels")
    flags = {
        "chip_size": chip_size,
        "overlap": overlap,
        "gsd": gsd,
        "label_field": label_field,
        "labels_crs": labels_crs,
    }
    layers: dict[str, dict[str, Any]] = {"tile": flags}
    layers["data"] = {"allow_outside": allow_outside or None}
    config = opt.resolve(recipe, settings, flags=layers, sections=("tile", "data"))
    corners, crs = opt.parse_bounds(bounds)
    files = [*(labels or ()), *([reviews] if reviews else ())]
    _check_paths(scenes, files, aoi, output, overwrite=overwrite)
    from geodet.api.progress_bars import count_bar
    from geodet.tilesets.reviewed_labels import choose_labels
    from geodet.tilesets.tile import LabelledArea, tile_scene

    chosen, area = choose_labels(labels, reviews, LabelledArea(aoi, corners, crs))
    with count_bar("cutting chips", is_shown=not quiet) as progress:
        report = tile_scene(
            scenes,
            chosen,
            output,
            config.tile,
            config.data,
            area=area,
            overwrite=overwrite,
            progress=progress,
        )
    print_json(report) if as_json else _print(report, output, quiet=quiet)


def _check_paths(
    scenes: list[str], files: list[Path], aoi: Path | None, output: Path, *, overwrite: bool
) -> None:
    """Check that the inputs exist and the output can be written, before anything slow is imported.

    Args:
        scenes: As they are typed.
        files: Labels, or reviews.
        aoi: The labelled area.
        output: The folder of the tileset.
        overwrite: Whether it may exist.
    """
    from geodet.files.output_folders import check_new_tileset
    from geodet.raster.scene_lists import list_scenes
    from geodet.vector.formats import check_vector_exists

    with log_nothing():  # the same check comes again, with its warnings
        paths = list_scenes(scenes)
    check_new_tileset(output, overwrite=overwrite, inputs=(*map(Path, paths), *files))
    for file in (*files, *([aoi] if aoi else ())):
        check_vector_exists(file)


def _print(report: TileReport, output: Path, *, quiet: bool) -> None:
    classes = f"{len(report.classes)} {'class' if len(report.classes) == 1 else 'classes'}"
    typer.echo(
        f"{output}: {report.train} chips for training and {report.val} for validation with "
        f"{report.objects_kept} objects of {classes}"
    )
    if quiet:
        return
    skipped = {
        "without objects": report.skipped_empty,
        "without data": report.skipped_invalid,
        "outside the area": report.skipped_outside,
        "overlapping validation windows": report.skipped_overlap - report.skipped_elsewhere,
        "in the validation area of another scene": report.skipped_elsewhere,
    }
    left = [f"{count} {why}" for why, count in skipped.items() if count]
    if left:
        typer.echo(f"windows left out: {', '.join(left)}", err=True)
    if report.objects_dropped:
        typer.echo(f"objects in no chip: {report.objects_dropped}", err=True)
