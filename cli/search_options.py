"""The options that the commands of a detection share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import options as opt
from .score_thresholds import parse_thresholds

if TYPE_CHECKING:
    from geodet.config import DetectConfig

__all__ = [
    "AllowMixed",
    "Asset",
    "CountBy",
    "Counts",
    "Devices",
    "EngineName",
    "GroundAltitude",
    "Job",
    "MergedOutputs",
    "OnlyWithObjects",
    "Preview",
    "PreviewFormat",
    "Processes",
    "RayAddress",
    "Report",
    "RequireCrs",
    "SceneGsd",
    "Scenes",
    "ScenesOrJob",
    "ShardName",
    "SkipUniform",
    "Tta",
    "TypedOutputs",
    "resolve_search",
]

_SCENES = typer.Argument(
    help="Rasters that GDAL opens, folders, quoted 'patterns', or @FILE: a list of them.",
    show_default=False,
)
Scenes = Annotated[list[str], _SCENES]
ScenesOrJob = Annotated[list[str] | None, _SCENES]


def _outputs(more_help: str = "") -> Any:
    return typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="The file to write, such as trees.gpkg. May be repeated. A folder, out/ or "
        f"'out/*.geojson', gets a file for each scene, in the scene's CRS.{more_help}",
        show_default=False,
        rich_help_panel=opt.OUTPUT,
    )


TypedOutputs = Annotated[
    list[str] | None, _outputs(" -: GeoJSON lines in WGS 84 on standard output.")
]
MergedOutputs = Annotated[list[str], _outputs()]
Preview = Annotated[
    str | None,  # a slash at its end is not lost
    typer.Option(
        "--preview",
        metavar="FILE.png|FOLDER/",
        help="Draw the detections over the scene, or over all scenes in one picture. A folder gets "
        "a picture of each photograph, and of each tile of other scenes.",
        rich_help_panel=opt.OUTPUT,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.html",
        help="Write an HTML report of the run: counts, densities, a map, times and warnings.",
        rich_help_panel=opt.OUTPUT,
    ),
]
PreviewFormat = Annotated[
    Literal["jpeg", "png", "webp"],
    typer.Option(
        "--preview-format",
        help="File format of the pictures in a folder.",
        rich_help_panel=opt.OUTPUT,
    ),
]
OnlyWithObjects = Annotated[
    bool,
    typer.Option(
        "--only-with-objects",
        help="Draw only pictures that show objects; for a folder of pictures.",
        rich_help_panel=opt.OUTPUT,
    ),
]
Counts = Annotated[
    Path | None,
    typer.Option(
        "--counts",
        metavar="FILE.csv",
        help="A table with the number of objects, time and location of each scene.",
        rich_help_panel=opt.OUTPUT,
    ),
]
SceneGsd = Annotated[
    float | None,
    typer.Option(
        "--gsd",
        metavar="METRES",
        help="Metres per pixel of the scenes.",
        show_default="from the georeference, or from the metadata of the camera",
        rich_help_panel=opt.SETTINGS,
    ),
]
Asset = Annotated[
    str | None,
    typer.Option(
        "--asset",
        metavar="NAME",
        help="The asset of each STAC item to read as the scene.",
        show_default="the only one with data",
        rich_help_panel=opt.INPUT,
    ),
]
GroundAltitude = Annotated[
    float | None,
    typer.Option(
        "--ground-altitude",
        metavar="METRES",
        help="Elevation of the ground above sea level, for photographs that do not record their "
        "height above ground.",
        rich_help_panel=opt.SETTINGS,
    ),
]
CountBy = Annotated[
    Path | None,
    typer.Option(
        "--count-by",
        metavar="FILE",
        help="Polygons to count the objects in, to OUTPUT.counts.gpkg. See `geodet count`.",
        rich_help_panel=opt.OUTPUT,
    ),
]
Tta = Annotated[
    bool,
    typer.Option(
        "--tta",
        help="Average the outputs over each chip and its flips: four times the work.",
        rich_help_panel=opt.SETTINGS,
    ),
]
SkipUniform = Annotated[
    bool,
    typer.Option(
        "--skip-uniform",
        help="Skip chips without features, such as open water.",
        rich_help_panel=opt.SETTINGS,
    ),
]
RequireCrs = Annotated[
    bool,
    typer.Option(
        "--require-crs",
        help="Refuse a scene without a CRS.",
        rich_help_panel=opt.SETTINGS,
    ),
]
Job = Annotated[
    Path | None,
    typer.Option(
        "--job",
        metavar="JOB/",
        help="Search the remaining parts of a job instead of SCENES. See `geodet plan`.",
        rich_help_panel=opt.INPUT,
    ),
]
Devices = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda[:N,...]|all",
        help="Where the network runs. auto: the first CUDA device, or else the CPU. cuda:0,1: a "
        "process on each; all: on each CUDA device.",
        rich_help_panel=opt.RUN,
    ),
]
Processes = Annotated[
    int,
    typer.Option(
        "--processes",
        min=1,
        metavar="N",
        help="Worker processes on each device. The result is the same.",
        rich_help_panel=opt.RUN,
    ),
]
EngineName = Annotated[
    Literal["process", "ray"],
    typer.Option(
        "--engine",
        help="Where workers run: as processes of this machine, or as actors of a Ray cluster.",
        rich_help_panel=opt.RUN,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="auto|ray://HOST:PORT",
        help="The Ray cluster.",
        show_default="a local Ray on this machine",
        rich_help_panel=opt.RUN,
    ),
]
ShardName = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="K/N",
        help="With --job: search shard K of N, from 1.",
        show_default="that of the Slurm array or of RANK and WORLD_SIZE, else all",
        rich_help_panel=opt.RUN,
    ),
]
AllowMixed = Annotated[
    bool,
    typer.Option(
        "--allow-mixed",
        help="With --job: allow a kind of device or a version that differs from those of earlier "
        "shards.",
        rich_help_panel=opt.RUN,
    ),
]


def resolve_search(
    recipe: str | None,
    settings: list[str] | None,
    score_threshold: str | None,
    bands: str | None,
    **others: Any,
) -> DetectConfig:
    """Build the settings of a search from defaults, recipe, options and ``--set``.

    Args:
        recipe: The value of ``--config``.
        settings: The values of ``--set``.
        score_threshold: As it is typed.
        bands: As they are typed.
        **others: Values of other options, by the name of their setting; those that are not given,
            and switches that are off, leave it to the recipe.
    """
    flags = {name: None if value is False else value for name, value in others.items()}
    flags["score_threshold"] = parse_thresholds(score_threshold)
    flags["bands"] = opt.parse_bands(bands)
    config = opt.resolve(recipe, settings, flags={"detect": flags}, sections=("detect",))
    return config.detect
