"""The options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from geodet.config import Config

__all__ = [
    "AREA",
    "INPUT",
    "MESSAGES",
    "OUTPUT",
    "RUN",
    "SETTINGS",
    "Aoi",
    "Append",
    "Bands",
    "BatchSize",
    "Bounds",
    "ChipSize",
    "ConfigRecipe",
    "Device",
    "Format",
    "GeometryKind",
    "IouThreshold",
    "Json",
    "ModelName",
    "OnError",
    "Overlap",
    "Overwrite",
    "Quiet",
    "ReplaceScenes",
    "ScoreThreshold",
    "Settings",
    "Style",
    "Verbose",
    "Workers",
    "bounds_option",
    "model_option",
    "parse_bands",
    "parse_bounds",
    "resolve",
]

INPUT = "Input"
OUTPUT = "Output"
AREA = "Area of interest"
SETTINGS = "Settings"
RUN = "Run"
MESSAGES = "Messages"

OnError = Annotated[
    Literal["stop", "skip"] | None,
    typer.Option(
        "--on-error",
        help="Where a part of a scene cannot be read: stop with an error, or skip the part; "
        "detect writes skipped parts as polygons.",
        show_default="stop",
        rich_help_panel=SETTINGS,
    ),
]


def model_option(panel: str = INPUT) -> Any:
    """Return the option ``--model``, for a group of the help."""
    return typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        help="A bundled model, or a .safetensors or .onnx file. See `geodet models`.",
        rich_help_panel=panel,
    )


ModelName = Annotated[str, model_option()]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda[:N]",
        help="Where the network runs. auto: the first CUDA device, or else the CPU.",
        rich_help_panel=RUN,
    ),
]
ConfigRecipe = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="NAME|FILE.toml",
        help="A bundled recipe or a TOML file. See `geodet config`.",
        rich_help_panel=SETTINGS,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Set any key of the configuration. Overrides all else; may be repeated.",
        rich_help_panel=SETTINGS,
    ),
]
ScoreThreshold = Annotated[
    str | None,
    typer.Option(
        "--score-threshold",
        metavar="SCORE|CLASS=SCORE,...",
        help="Lowest score of a detection, one or by class, such as car=0.3,van=0.5.",
        show_default="the model's own",
        rich_help_panel=SETTINGS,
    ),
]
IouThreshold = Annotated[
    float | None,
    typer.Option(
        "--iou-threshold",
        min=0,
        max=1,
        metavar="IOU",
        help="Of two boxes that overlap by more than this IoU, the weaker is removed.",
        show_default="the model's own",
        rich_help_panel=SETTINGS,
    ),
]
ChipSize = Annotated[
    int | None,
    typer.Option(
        "--chip-size", metavar="PX", help="Side of a chip in pixels.", rich_help_panel=SETTINGS
    ),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        "--overlap",
        metavar="PX",
        help="Pixels that neighbouring chips share.",
        rich_help_panel=SETTINGS,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        metavar="N",
        help="Chips in one forward pass.",
        rich_help_panel=RUN,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Threads that read chips ahead.",
        rich_help_panel=RUN,
    ),
]
Aoi = Annotated[
    Path | None,
    typer.Option(
        "--aoi",
        metavar="FILE",
        help="A vector file with polygons, in any CRS: keep only objects whose centre is inside.",
        rich_help_panel=AREA,
    ),
]


def bounds_option(panel: str = AREA, crs_of: str = "the scene") -> Any:
    """Return the option ``--bounds``, for a group of the help and its default CRS."""
    return typer.Option(
        "--bounds",
        metavar="XMIN,YMIN,XMAX,YMAX[,CRS]",
        help=f"A rectangle, in the CRS of {crs_of} unless another is named.",
        rich_help_panel=panel,
    )


Bounds = Annotated[str | None, bounds_option()]
Bands = Annotated[
    str | None,
    typer.Option(
        "--bands",
        metavar="BAND,BAND,...",
        help="Bands of the scene to read as the model's bands, in its order: numbers from 1, "
        "or names.",
        show_default="by name, or else the first ones",
        rich_help_panel=INPUT,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="gpkg, geojson, geojsonl, flatgeobuf, geoparquet, parquet-quadkeys, parquet-scenes, "
        "csv, shapefile, kml, filegdb, coco or yolo.",
        show_default="by the extension of the file",
        rich_help_panel=OUTPUT,
    ),
]
GeometryKind = Annotated[
    Literal["box", "centroid"],
    typer.Option(
        "--geometry",
        help="Write each object as a polygon around it, or as a point at its centre.",
        rich_help_panel=OUTPUT,
    ),
]
Append = Annotated[
    bool,
    typer.Option(
        "--append",
        help="Add the detections to an existing GeoPackage of geodet's.",
        rich_help_panel=OUTPUT,
    ),
]
ReplaceScenes = Annotated[
    bool,
    typer.Option(
        "--replace-scene",
        help="With --append: replace the detections of these scenes in the file.",
        rich_help_panel=OUTPUT,
    ),
]
Style = Annotated[
    bool,
    typer.Option(
        "--style",
        help="Write a QGIS style (.qml) beside the file. A GeoPackage always contains one.",
        rich_help_panel=OUTPUT,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace existing output.", rich_help_panel=OUTPUT),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print the result as JSON.", rich_help_panel=MESSAGES),
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Print the messages of libraries too; -vv prints all of them.",
        rich_help_panel=MESSAGES,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print only results and errors.", rich_help_panel=MESSAGES),
]


def resolve(
    recipe: str | None,
    settings: list[str] | None,
    *,
    flags: dict[str, dict[str, Any]],
    sections: tuple[str, ...],
) -> Config:
    """Build the configuration from defaults, recipe, options and ``--set``, in this order."""
    from geodet.config.recipes import resolve_config

    return resolve_config(recipe, flags=flags, settings=settings or (), sections=sections)


def parse_bands(text: str | None) -> tuple[int | str, ...] | None:
    """Parse ``3,2,1`` as band numbers and ``red,nir`` as band names."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise typer.BadParameter(
            f"{text!r} is not a list of bands such as 1,2,3 or red,nir", param_hint="--bands"
        )
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def parse_bounds(text: str | None) -> tuple[tuple[float, float, float, float] | None, str | None]:
    """Parse ``xmin,ymin,xmax,ymax`` and the CRS that may follow."""
    if text is None:
        return None, None
    parts = text.split(",", 4)
    try:
        xmin, ymin, xmax, ymax = map(float, parts[:4])
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not xmin,ymin,xmax,ymax", param_hint="--bounds"
        ) from error
    return (xmin, ymin, xmax, ymax), parts[4].strip() if len(parts) > 4 else None
